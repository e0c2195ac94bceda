"""Tests of reference trajectories; a package, so that they share `builders`."""
