"""Channel groups: which channels depend on each other, and how they are pruned.
The groups of Torch-Pruning are verified by running the network."""
