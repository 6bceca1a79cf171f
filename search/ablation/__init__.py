"""Winners taken apart: which technique saves what, and costs what."""
