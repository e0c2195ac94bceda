"""Solvers of the tracking problem: each takes an `Objective` and its options, and knows no YAML. See `declaration`."""
