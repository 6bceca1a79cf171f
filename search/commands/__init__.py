"""The commands, one a file. Heavy imports wait inside them, so that --help answers at once."""
