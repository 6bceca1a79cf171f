"""Accuracy on a set of images, the drop from the baseline's, and how sure a drop is.
Budgets say how large a drop may be."""
