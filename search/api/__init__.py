"""The Python API: `paredown.pare`, and its result.
The commands offer the same from a shell."""
