"""Particles: the controlled process simulated, and what its particles say about a density."""
