"""Direct collocation: densities and weights together in one sparse nonlinear program."""
