"""The ways from a problem to a result: solve, evaluate, compare, simulate, and what they will cost."""
