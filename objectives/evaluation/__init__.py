"""Evaluation of plans: the task, the training pipeline of a plan's network, and the outcome.
`evaluator` is the entry point, `pipeline` has the stages."""
