"""Results of a study: Pareto front, winners and their confidence intervals.
Everything is read from the study's trials and attributes; nothing is trained."""
