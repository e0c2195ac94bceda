"""Particles of a network in one compiled loop on the processor."""
