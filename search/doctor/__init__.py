"""`paredown doctor`: what this machine is, and whether known faults of others are here.
`examine` runs `self_checks` in processes of their own; `environment` says what an issue needs."""
