"""The command of sweeps: `sweep PROBLEM… --vary …`, and `sweep status | retry | report DIR`.

Comes in: what a user types. Goes out: words and a table on stderr, JSON on stdout, the folder, exit codes. Nothing
heavy is imported before it is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlsde.cli.arguments import plain_number
from controlsde.cli.exits import UsageError, running
from controlsde.cli.options import ExecutorOption, JsonOption, QuietOption, SetOption, VerboseOption, WorkersOption
from controlsde.cli.outputs import print_json
from controlsde.cli.side_by_side import SideBySide, leads
from controlsde.foundation.errors import EXIT_INTERRUPTED, EXIT_NOT_CONVERGED, EXIT_NOT_VERIFIED

if TYPE_CHECKING:
    from controlsde.cli.console import Console
    from controlsde.foundation.progress import Progress
    from controlsde.sweeps.plan import Plan
    from controlsde.sweeps.store import Row
    from controlsde.sweeps.sweep import Sweep
    from controlsde.sweeps.sweep_file import Asked

STATUS, RETRY, REPORT = "status", "retry", "report"


def sweep(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="PROBLEM… | status DIR | retry DIR | report DIR",
            help="Problems, or a sweep file; or what to do with the folder of a sweep.",
        ),
    ],
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary", metavar="KEY=V1,V2,…", help="Values of a key, or 0:8 for 0 to 7; repeatable: every combination."
        ),
    ] = None,
    climb: Annotated[
        str | None,
        typer.Option(
            "--climb", metavar="KEY", help="A varied key: each run starts from the answer at the value before."
        ),
    ] = None,
    overrides: SetOption = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="The folder that keeps the runs.")
    ] = None,
    workers: WorkersOption = None,
    executor: ExecutorOption = None,
    budget: Annotated[
        float | None,
        typer.Option("--budget", metavar="SECONDS", parser=plain_number, help="Begin no run after so many seconds."),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Solve problems under many settings, side by side; go on with what is missing."""
    from controlsde.cli.console import Console

    console = Console(quiet=quiet or not leads(executor), verbose=verbose)
    SideBySide.asked(executor, workers)
    if budget is not None and not budget > 0.0:
        raise UsageError(f"--budget must be more than 0 seconds (got {budget:g})")
    if words[0] in (STATUS, RETRY, REPORT):
        if vary or climb or overrides or output:
            raise UsageError(f"sweep {words[0]} takes the folder alone: leave --vary, --climb, --set and -o out")
        found = _of_a_folder(words, console, executor, workers, budget)
    else:
        if output is None:
            raise UsageError("-o DIR is needed: the folder that keeps the runs, and can be gone on with")
        asked = _request(words, vary or [], overrides or [], climb)
        found = _asked(asked, output, console, executor, workers, budget)
    if found is None:  # another process leads
        return
    console.sweep(found)
    if as_json:
        print_json(found.to_json())
    if words[0] != STATUS:
        _finish(found)


def _request(words: Sequence[str], vary: Sequence[str], overrides: Sequence[str], climb: str | None) -> Asked:
    from controlsde.problem import parse_override
    from controlsde.sweeps import sweep_file
    from controlsde.sweeps.variations import Variations, parse_vary

    path = Path(words[0])
    if len(words) == 1 and path.suffix in (".yaml", ".yml") and sweep_file.is_sweep(path):
        if vary or overrides or climb:
            raise UsageError(
                f"{path} says what is varied and set: leave --vary, --climb and --set out, or add them there"
            )
        return sweep_file.load(path)
    grid: dict[str, Any] = {}
    for text in vary:
        key, values = parse_vary(text)
        if key in grid:
            raise UsageError(f"--vary {key} is given twice; give all its values in one")
        grid[key] = values
    base = dict(parse_override(text) for text in overrides)
    return sweep_file.Asked(tuple(words), Variations.of(grid), base, climb)


def _asked(
    asked: Asked, folder: Path, console: Console, executor: str | None, workers: int | None, budget: float | None
) -> Sweep | None:
    from controlsde.foundation.progress import Step
    from controlsde.sweeps.plan import plan_of
    from controlsde.sweeps.store import Store, missing_of
    from controlsde.sweeps.sweep import carry_on

    store = Store(folder)
    with running(console, str(folder), "reading the problems"):
        plan = plan_of(asked.problems, asked.variations, asked.base, asked.climb)
        store.extend(plan)
        known = tuple(store.rows(plan))
        missing = missing_of(plan, known)
    console.note(f"{len(plan.runs):,} runs in {folder}, {len(missing):,} to do: {_listed(plan)}")
    if missing and leads(executor):
        from controlsde.sweeps.expectation import expected

        with running(console, str(folder), "looking how long it takes"):
            words = expected(plan, missing, workers)
        console.note(words)
    with running(console, str(folder)) as progress:
        progress(Step("starting workers"))
        return carry_on(store, plan, executor, workers, budget, progress, known)


def _listed(plan: Plan) -> str:
    """What varies, with its values."""
    from controlsde.sweeps.plan import short_value

    keys = dict.fromkeys(key for run in plan.runs for key in run.settings)
    told = []
    for key in keys:
        values = list(dict.fromkeys(short_value(run.settings[key]) for run in plan.runs if key in run.settings))
        shown = ", ".join(values if len(values) <= 8 else [*values[:4], "…", values[-1]])
        from_before = ", each from the answer before" if key == plan.climb else ""
        told.append(f"{key} {shown}{from_before}")
    return "; ".join(told)


def _of_a_folder(
    words: Sequence[str], console: Console, executor: str | None, workers: int | None, budget: float | None
) -> Sweep | None:
    from controlsde.sweeps.plan import check_unchanged
    from controlsde.sweeps.store import Store
    from controlsde.sweeps.sweep import Sweep, carry_on

    what, *folders = words
    if len(folders) != 1:
        raise UsageError(f"sweep {what} takes one folder: `controlsde sweep {what} DIR`")
    store = Store(Path(folders[0]))
    if what == STATUS:
        return Sweep.load(store.folder)
    if what == REPORT:
        with running(console, str(store.folder), "reading the runs") as progress:
            return _reported(Sweep.load(store.folder), console, executor, workers, progress)
    plan = store.read_plan()
    with running(console, str(store.folder), "reading the problems"):
        check_unchanged(plan)
    good = _good(plan, tuple(store.rows(plan)))
    with running(console, str(store.folder)) as progress:
        return carry_on(store, plan, executor, workers, budget, progress, good, again=True)


def _good(plan: Plan, rows: Sequence[Row | None]) -> list[Row | None]:
    """The rows of what need not be done again: neither it nor, where the sweep climbs, any run on the way to it."""
    good: dict[str, Row | None] = {}
    for run, row in zip(plan.runs, rows, strict=True):  # each after the one that it starts from
        sound = row is not None and row.status == "converged" and row.verified
        good[run.key] = row if sound and (run.after is None or good.get(run.after)) else None
    return [good[run.key] for run in plan.runs]


def _reported(
    found: Sweep, console: Console, executor: str | None, workers: int | None, progress: Progress
) -> Sweep | None:
    """Write the pages of runs, the tables and the page of all again; None where another process leads."""
    from controlsde.sweeps.store import Store
    from controlsde.sweeps.sweep import gather

    faults = found.report_runs(executor, workers, progress)
    if faults is None or not leads(executor):
        return None
    for line in faults:
        console.note(line)
    return gather(Store(found.folder), progress, always=True)


def _finish(found: Sweep) -> None:
    if found.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    rows = found.rows_asked_for
    if any(row is None or row.status != "converged" for row in rows):
        raise typer.Exit(EXIT_NOT_CONVERGED)
    if not all(row and row.verified for row in rows):
        raise typer.Exit(EXIT_NOT_VERIFIED)


COMMANDS = (sweep,)
