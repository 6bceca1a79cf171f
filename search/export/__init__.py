"""Winners as folders that run elsewhere: files in several formats, checked, and what they are.
`exporting` is the way in; `rebuilding` is `paredown.load`, the way back."""
