"""How plans are chosen: study files, samplers, the Optuna driver, winners and the command."""
