"""Particles of a network in one kernel on a CUDA device."""
