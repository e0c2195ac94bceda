"""What everything stands on: files, text, progress, threads and settings. It knows nothing of densities."""
