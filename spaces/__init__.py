"""What can be done to a network: techniques, plans made of them, and the space of the plans.
Folders import downwards only, in the order of ARCHITECTURE.md."""
