"""Runs a study: proposes plans, has them evaluated, stops stopped early ones, retrains the
finalists.
`run_study` is the way in, `search_loop` the loop itself."""
