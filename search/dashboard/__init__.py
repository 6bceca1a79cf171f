"""optuna-dashboard on a study, with what Paredown knows of it."""
