"""The result: its numbers, its file, and the controlled process for other libraries and languages."""
