"""The command line: commands, what is printed, where files go, and the exit codes."""
