"""From Python: `paredown.pare`, and the result that it returns.
The commands offer the same from a shell."""
