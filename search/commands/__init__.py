"""The commands, one per file, and their common options.
Heavy imports are inside the functions, so that --help is fast."""
