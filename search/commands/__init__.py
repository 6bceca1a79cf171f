"""The commands, one a file, and what they share.
Heavy imports wait inside them, so that --help answers at once."""
