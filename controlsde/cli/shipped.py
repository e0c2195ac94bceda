"""The shipped problems as `controlsde problems` lists them.

Comes in: the problem files, and `problems/data/quick-times.json`, which holds what `solve NAME --quick` took of each.
Goes out: a table for people, and entries for JSON. Nothing is built or predicted, so that the list is there at once.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

EXPLAINED = (
    "d is the dimension; quick the processor time of `controlsde solve NAME --quick` as it was measured, pictures and "
    "all, which an idle machine does not exceed by the clock; pictures are in docs/."
)
TIMES = "data/quick-times.json"
ROOMY = 90  # columns that have room for the pictures' names
UNWRAPPED = 400  # columns where there is no terminal: one line for each problem


@dataclass(frozen=True)
class Shipped:
    """A shipped problem: its name, what it is, its file, its dimension, its picture in the documentation.

    seconds: of processor time that `solve NAME --quick` took, pictures and all; None where nobody measured.
    """

    name: str
    description: str
    path: str
    dimension: int
    picture: str
    seconds: float | None

    def to_json(self) -> dict[str, Any]:
        """An entry of `problems --json`."""
        return {
            "name": self.name,
            "description": self.description,
            "path": self.path,
            "dimension": self.dimension,
            "quick_processor_seconds": self.seconds,
            "picture": self.picture,
        }


def shipped_problems() -> list[Shipped]:
    """All of them, by name."""
    from controlsde.problem import list_problems
    from controlsde.problem.loading import dimension_of

    times = quick_times()
    return [
        Shipped(name, text, str(path), dimension_of(path), f"gallery/{name}.png", times.get(name))
        for name, text, path in list_problems()
    ]


def quick_times() -> dict[str, float]:
    """Seconds of processor time of `solve NAME --quick`, as they were measured."""
    stored = json.loads(resources.files("controlsde.problems").joinpath(TIMES).read_text("utf-8"))
    return {name: float(seconds) for name, seconds in stored["processor_seconds"].items()}


def problems_table(shipped: list[Shipped], *, pictures: bool = True) -> Table:
    """A row a problem; without the pictures' names where there is little room."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("d", justify="right", no_wrap=True)
    table.add_column("quick", justify="right", no_wrap=True)
    if pictures:
        table.add_column("picture", no_wrap=True)
    table.add_column("what it is")
    for one in shipped:
        seconds = "—" if one.seconds is None else f"{one.seconds:.0f} s"
        picture = [one.picture] if pictures else []
        table.add_row(one.name, str(one.dimension), seconds, *picture, " ".join(one.description.split()))
    return table


def print_table(shipped: list[Shipped]) -> None:
    """The table on stdout: as wide as the terminal, or a line for each problem where there is none."""
    from rich.console import Console

    console = Console(highlight=False)
    piped = not console.is_terminal and "COLUMNS" not in os.environ
    if piped:
        console = Console(highlight=False, width=UNWRAPPED)
    with console.capture() as captured:
        console.print(problems_table(shipped, pictures=console.width >= ROOMY))
        console.print(f"\n{EXPLAINED}", soft_wrap=piped)
    for line in captured.get().splitlines():
        typer.echo(line[:ROOMY] if set(line) == {"─"} else line.rstrip())
