"""Evaluation of plans in a separate process, whose crashes do not end the search. `backend` is the
interface; `process` and `child_process` are the parent's side of the pipe, `child`, `inbox` and
`worker` the child's side."""
