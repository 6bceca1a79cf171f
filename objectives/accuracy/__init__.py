"""Accuracy on a set of images, the drop from the baseline, and its confidence interval.
Budgets are the largest allowed drops."""
