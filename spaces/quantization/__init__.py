"""Fewer bits per weight and per activation: widths, layers that round, and how they are set."""
