"""Runs a study: proposes and evaluates plans, stops unpromising ones early, retrains finalists.
`run_study` is the entry point, `search_loop` the loop."""
