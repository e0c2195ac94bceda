"""The arguments and options that several commands share, each with its words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from controlsde.cli.arguments import plain_count, plain_number

ProblemArgument = Annotated[
    str, typer.Argument(metavar="PROBLEM", help="A YAML file, or the name of a shipped problem.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. network.width=2; repeatable."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
OutputOption = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="DIR", help="Write the result and figures here.")
]
SolverOption = Annotated[
    str | None,
    typer.Option(
        "--solver", metavar="KIND", help="shooting, collocation, score-matching or switching, in place of the file's."
    ),
]
QuietOption = Annotated[bool, typer.Option("-q", "--quiet", help="No progress, no tables.")]
VerboseOption = Annotated[bool, typer.Option("-v", "--verbose", help="One line for every iteration.")]
QuickOption = Annotated[
    bool,
    typer.Option(
        "--quick",
        help="A first answer soon: fewer starts, hops and particles; in a plane fewer pieces. It says what it changed.",
    ),
]
RetryOption = Annotated[
    bool, typer.Option("--retry", help="Where something went wrong, try the first remedy, and keep the better answer.")
]
ExecutorOption = Annotated[
    str | None,
    typer.Option(
        "--executor", metavar="NAME", help="processes, dask, dask:ADDRESS or mpi: where what can run side by side does."
    ),
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", metavar="N", parser=plain_count, help="How many work at a time.")
]
NoiseOption = Annotated[
    list[float] | None,
    typer.Option(
        "--noise", metavar="η", parser=plain_number, help="A noise level, in place of the problem's; repeatable."
    ),
]
