"""Particles in PyTorch: any drift on any device."""
