"""The explorer: a local page with sliders, previews and live solves. `serving` starts it."""
