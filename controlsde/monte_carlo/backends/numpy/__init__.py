"""Particles in NumPy and double precision, to be read."""
