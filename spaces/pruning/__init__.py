"""Channel groups: which channels depend on each other, whether cutting them is sound, and the cut.
What Torch-Pruning finds is verified by running the network."""
