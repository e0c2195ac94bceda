"""What can be reached, at what energy, and what no drift whatsoever can do."""
