"""The shipped problems: one YAML file each, and the data that they read."""
