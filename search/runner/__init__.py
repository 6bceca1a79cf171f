"""Runs a study: proposes plans, has them evaluated, stops hopeless ones, retrains the finalists.
`run_study` is the way in, `search_loop` the loop itself."""
