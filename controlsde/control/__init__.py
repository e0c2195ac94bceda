"""What steers the density: the network, its piecewise-constant weights, and any other drift."""
