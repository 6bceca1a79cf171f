"""`paredown doctor`: what this machine is (`environment`), and whether what is known to go wrong on
some machines goes right on it (`self_checks`, run in processes of their own by `examine`)."""
