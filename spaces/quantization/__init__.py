"""Fewer bits per weight and per activation: widths, layers that round, and how scales are set.
`spaces.quantizers` chooses how a network comes to them."""
