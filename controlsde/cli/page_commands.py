"""The commands that open a page of this machine in the browser: the lessons."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from controlsde.cli.arguments import plain_count
from controlsde.cli.exits import UsageError, say
from controlsde.cli.options import JsonOption
from controlsde.foundation.errors import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controlsde.lessons.contents import Lesson


def learn(
    number: Annotated[
        int | None, typer.Argument(metavar="N", parser=plain_count, help="A lesson; without it, all of them.")
    ] = None,
    port: Annotated[
        int, typer.Option("--port", metavar="P", parser=plain_count, help="Of this machine; else a free one.")
    ] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Open the lessons in the browser: eight notebooks whose exercises check themselves."""
    from controlsde.lessons.serving import available, bound, make_sure_of_marimo, serve

    there = available()
    if as_json:
        from controlsde.cli.outputs import print_json

        print_json([_told(one) for one in there])
        return
    first = _chosen(there, number)
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


def _chosen(there: Sequence[Lesson], number: int | None) -> Lesson | None:
    if number is None:
        return None
    for one in there:
        if one.number == number:
            return one
    numbers = ", ".join(str(one.number) for one in there)
    raise UsageError(f"there is no lesson {number}; there are {numbers}: `controlsde learn {there[0].number}`")


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


COMMANDS = (learn,)
