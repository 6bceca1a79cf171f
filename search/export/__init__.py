"""Export of winners as folders: model files in several formats, each checked, and their manifest.
`exporting` is the entry point; `rebuilding` implements `paredown.load`."""
