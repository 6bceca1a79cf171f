"""From Python: `paredown.pare`, and the result that it returns."""
