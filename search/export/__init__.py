"""Winners as folders that run elsewhere: files in several formats, checked, and what they are."""
