"""Accuracy on a set of images, the drop from the baseline, its confidence interval, and budgets,
the largest allowed drops."""
