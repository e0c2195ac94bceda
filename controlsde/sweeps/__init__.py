"""Grids of runs: what is varied, the executor that does the work, the folder that keeps it, and the table of it all."""
