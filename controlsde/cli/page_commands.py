"""The commands that open a page of this machine in the browser: the explorer, the lessons."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from controlsde.cli.arguments import plain_count
from controlsde.cli.exits import UsageError, say
from controlsde.cli.inputs import load_problem
from controlsde.cli.options import JsonOption, SetOption
from controlsde.cli.outputs import print_json
from controlsde.foundation.errors import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controlsde.lessons.contents import Lesson


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
    from controlsde.foundation.loopback import bound
    from controlsde.problem import list_problems

    first: Opened | str = problem
    path = Path(problem)
    if overrides:
        first = Opened(loaded.name, loaded.to_yaml(), f"{loaded.name}, as set", Path.cwd())
    elif problem not in {one.name for one in list_problems()} or path.is_file():
        first = Opened(path.stem, path.read_text(encoding="utf-8-sig"), path.name, path.parent)

    def ready(address: str) -> None:
        say(f"explorer: {address}")
        say("Ctrl-C ends it")
        if not no_browser:
            _open(address)

    serve(first, bound(port), ready)


def learn(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="N", help="A lesson; without it, all of them. With --marks, the files to check."),
    ] = None,
    port: PortOption = 0,
    no_browser: NoBrowserOption = False,
    marks: Annotated[bool, typer.Option("--marks", help="Check answers that were handed in, FILE….")] = False,
    as_json: JsonOption = False,
) -> None:
    """Open the lessons in the browser: eight notebooks whose exercises check themselves."""
    from controlsde.foundation.loopback import bound
    from controlsde.lessons.serving import available, make_sure_of_marimo, serve

    if marks:
        _mark(words or [], as_json)
        return
    there = available()
    if as_json:
        print_json([_told(one) for one in there])
        return
    first = _chosen(there, words or [])
    make_sure_of_marimo()
    opened = bound(port)
    if first is None:
        _list(there)
    say("starting the lessons; Ctrl-C ends them")

    def ready(address: str) -> None:
        say(f"{first.title if first else 'the lessons'}: {address}")
        if not no_browser:
            _open(address)

    with suppress(KeyboardInterrupt):
        serve(there, opened, ready, first)
    say("interrupted")
    _leave(EXIT_INTERRUPTED)


def _chosen(there: Sequence[Lesson], words: Sequence[str]) -> Lesson | None:
    if not words:
        return None
    for one in there:
        if list(words) == [str(one.number)]:
            return one
    numbers = ", ".join(str(one.number) for one in there)
    raise UsageError(f"there is no lesson {' '.join(words)}; there are {numbers}: `controlsde learn {there[0].number}`")


def _mark(names: Sequence[str], as_json: bool) -> None:
    """Check files that were handed in, and say what was solved and which mistakes were made."""
    if not names:
        raise UsageError("--marks wants the files that were handed in: controlsde learn --marks FILE…")
    from controlsde.lessons.serving import make_sure_of_marimo

    make_sure_of_marimo()
    from controlsde.cli.console import Console
    from controlsde.cli.marks import explained, marked, marks_tables

    found = [marked(Path(name)) for name in names]
    Console().marks(marks_tables(found), explained(found))
    if as_json:
        print_json([one.to_json() for one in found])


def _told(one: Lesson) -> dict[str, object]:
    return {"number": one.number, "name": one.name, "title": one.title, "about": one.about, "minutes": one.minutes}


def _list(there: Sequence[Lesson]) -> None:
    for one in there:
        say(f"controlsde learn {one.number}   {one.title}: {one.about} ({one.minutes} minutes)")


def _open(address: str) -> None:
    """Open a browser, by a thread of its own, for some do not return before they end."""
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def _leave(code: int) -> NoReturn:
    """End this process at once: a lesson that still computes in a thread of its own would hold it up."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


COMMANDS = (explore, learn)
