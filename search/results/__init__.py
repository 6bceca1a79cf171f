"""What a study has found: the Pareto front, each budget's winner, and how sure that is.
All of it is read from the study's trials; nothing is trained."""
