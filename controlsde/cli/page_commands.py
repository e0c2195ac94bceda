"""The commands that open a local page: the explorer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from controlsde.cli.arguments import plain_count
from controlsde.cli.exits import say
from controlsde.cli.inputs import load_problem
from controlsde.cli.options import SetOption

PortOption = Annotated[
    int,
    typer.Option(
        "--port", metavar="N", parser=plain_count, help="The port of the page; any that is free if not given."
    ),
]
NoBrowserOption = Annotated[bool, typer.Option("--no-browser", help="Only print the address of the page.")]


def explore(
    problem: Annotated[
        str, typer.Argument(metavar="[PROBLEM]", help="A YAML file or the name of a shipped problem to begin with.")
    ] = "two-bumps",
    overrides: SetOption = None,
    port: PortOption = 0,
    no_browser: NoBrowserOption = False,
) -> None:
    """Open a local page with sliders, previews and live solves."""
    loaded = load_problem(problem, overrides)

    from controlsde.explore.question import Opened
    from controlsde.explore.serving import serve
    from controlsde.problem import list_problems

    first: Opened | str = problem
    path = Path(problem)
    if overrides:
        first = Opened(loaded.name, loaded.to_yaml(), f"{loaded.name}, as set", Path.cwd())
    elif problem not in {one.name for one in list_problems()} or path.is_file():
        first = Opened(path.stem, path.read_text(encoding="utf-8-sig"), path.name, path.parent)
    serve(first, port=port, browser=not no_browser, say=say)


COMMANDS = (explore,)
