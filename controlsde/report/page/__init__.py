"""One self-contained HTML page about a result, a comparison or a simulation."""
