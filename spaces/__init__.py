"""Compression of networks: techniques, plans that combine them, and search spaces of plans.
Folders import downwards only, in the order of ARCHITECTURE.md."""
