"""What can be done to a network: plans, and the space of the plans that are possible."""
