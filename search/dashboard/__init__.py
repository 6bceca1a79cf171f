"""optuna-dashboard with notes, figures and exported files of Paredown's studies.
These are created when the dashboard requests them, and not stored in the study."""
