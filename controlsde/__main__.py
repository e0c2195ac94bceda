"""`python -m controlsde`."""

from controlsde.cli import main

main()
