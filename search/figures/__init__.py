"""Plotly figures of a study's results, one per file.
The report and the dashboard show them."""
