"""Figures of a study's results, one file each; whoever imports one waits for plotly.
The report and the dashboard show them."""
