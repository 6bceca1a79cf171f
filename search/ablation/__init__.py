"""Winners taken apart: the winner without each of its techniques, trained briefly.
It says which technique saves what, and what it costs in accuracy."""
