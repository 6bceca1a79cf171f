"""A plan evaluated: the task it is for, its network built stage by stage, and the outcome.
`evaluator` is the way in, `pipeline` has the stages."""
