"""The notebooks, one a lesson: marimo serves them, and each runs as a script."""
