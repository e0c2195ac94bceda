"""`python -m controlsde`."""

from controlsde.cli.commands import main

main()
