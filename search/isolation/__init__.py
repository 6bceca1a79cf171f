"""Evaluation in a process of its own: what builds, trains and scores plans may die, and the search
goes on. `backend` is what a search asks; `process` and `child_process` hold the parent's end of the
pipe, `child`, `inbox` and `worker` the other."""
