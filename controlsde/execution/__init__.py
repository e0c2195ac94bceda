"""Where work runs that can run side by side, and what tasks say while they run."""
