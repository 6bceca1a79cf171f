"""optuna-dashboard on a study, with what Paredown knows of it: notes, figures and exported files.
They are made when the dashboard asks for them, and nobody has to write them."""
