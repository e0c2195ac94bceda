"""The explorer's page: its HTML, style and script."""
