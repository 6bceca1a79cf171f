"""Leave-one-out ablation of winners: the winner without each of its techniques, trained briefly.
It shows what each technique saves, and what it costs in accuracy."""
