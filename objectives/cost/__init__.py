"""The predicted cost of a plan, which is exact and known before training, and the objectives that a
search minimizes. Both are computed from a blueprint."""
