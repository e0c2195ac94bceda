"""Shooting: J as a function of the weights alone, and the searches that minimise it."""
