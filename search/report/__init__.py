"""The report: a study as one self-contained HTML page.
`making` is the entry point."""
