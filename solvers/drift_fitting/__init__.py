"""Fits to the exact drift that look at no density: score matching, switching, multiplexing."""
