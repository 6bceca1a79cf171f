"""Pictures of a study's answer, one file each; whoever imports one waits for plotly."""
