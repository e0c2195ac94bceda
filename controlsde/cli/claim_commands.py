"""`controlsde claims`: the theory, claim by claim, from the command line.

Tables go to stderr, JSON with --json to stdout. Nothing heavy is imported before a claim runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlsde.cli.exits import UsageError
from controlsde.cli.options import ExecutorOption, JsonOption, WorkersOption
from controlsde.cli.outputs import print_json, warn, writable_folder
from controlsde.cli.side_by_side import SideBySide, leads
from controlsde.foundation.errors import EXIT_INTERRUPTED, EXIT_NOT_VERIFIED

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from controlsde.claims import Claim, Tested
    from controlsde.cli.console import Console

app = typer.Typer(
    help="The theory as experiments: every number beside the one that is expected.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command("list")
def list_claims(as_json: JsonOption = False) -> None:
    """Name every claim, its source and its statement."""
    from controlsde.claims import CLAIMS, claim_named

    claims = [claim_named(name) for name in CLAIMS]
    if as_json:
        entries = [{"id": claim.id, "source": claim.source, "statement": claim.statement} for claim in claims]
        print_json(entries)
        return
    width = max(len(claim.id) for claim in claims)
    for claim in claims:
        typer.echo(f"{claim.id:<{width}}  {claim.source}  {claim.title}{' (long)' if claim.long else ''}")


@app.command()
def run(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME…", help="Claims, as `list` names them.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every claim, but those that take an hour: name these.")
    ] = False,
    fast: Annotated[bool, typer.Option("--fast", help="The small version of each experiment.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a parameter of the one claim; repeatable."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Write a page and a figure for each claim here."),
    ] = None,
    executor: ExecutorOption = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress, no tables.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="One line for every step.")] = False,
) -> None:
    """Run claims; exits with 4 when a verdict is not the one that sound software reaches."""
    place = SideBySide.asked(executor, workers)
    from controlsde.cli.console import LOADING, Console

    console = Console(quiet=quiet or not leads(executor), verbose=verbose)
    with console.progress(LOADING):
        from controlsde.claims.harness.settings import with_settings

    chosen = _chosen(names or [], everything)
    if settings and len(chosen) != 1:
        raise UsageError("--set changes a parameter of one claim: name just that one")
    parameters = {claim.id: with_settings(claim.fast if fast else claim.parameters, settings or []) for claim in chosen}
    folder = writable_folder(output) if output else None

    tried = [(claim, parameters[claim.id]) for claim in chosen]
    with place.started() as pool:
        tested, interrupted = _run_all(tried, folder, settings or [], pool, console)
    console.verdicts(tested, folder)
    if as_json:
        print_json([found.to_json() for found in tested])
    if interrupted:
        _say_left(console, chosen, tested)
        raise typer.Exit(EXIT_INTERRUPTED)
    if not all(found.as_expected for found in tested):
        raise typer.Exit(EXIT_NOT_VERIFIED)


def _run_all(
    tried: Sequence[tuple[Claim, Any]],
    folder: Path | None,
    changed: Sequence[str],
    pool: Executor | None,
    console: Console,
) -> tuple[list[Tested], bool]:
    """Run claims, with a page for each as it ends; returns what was found, and whether an interruption left some out.

    With parameters that were changed, a claim that fails is their fault.
    """
    from controlsde.claims.harness.claim import Setting
    from controlsde.claims.harness.several import run_claims
    from controlsde.claims.harness.unfinished import Unfinished
    from controlsde.workflow.jobs import Keeping

    unfinished = Unfinished(folder) if folder else None
    before = [unfinished.read(*one) if unfinished else None for one in tried]
    known = {number: found for number, found in enumerate(before) if found is not None}
    if known:
        names = ", ".join(found.claim.id for found in known.values())
        console.note(f"of the run that was cut short, {folder} keeps {names}: these are not run again")
        for found in known.values():
            console.claim(found)

    def ended(number: int, found: Tested) -> Tested:
        known[number] = found
        if folder and unfinished:
            _write(found, [known[one] for one in sorted(known)], folder)
            unfinished.write(found)
        console.claim(found)
        return found

    try:
        with console.progress() as progress:
            done = run_claims(tried, Setting(progress, folder, pool), Keeping(before.__getitem__, ended))
    except (ValueError, ArithmeticError, IndexError, TypeError) as error:
        if not changed:
            raise
        words = " ".join(f"--set {one}" for one in changed)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{tried[0][0].id} does not run with {words}: {reason}") from error
    if folder and unfinished and not done.interrupted:
        _write_document(done.there, folder)
        unfinished.remove(claim for claim, _ in tried)
    return done.there, done.interrupted


def _chosen(names: Sequence[str], everything: bool) -> list[Claim]:
    from controlsde.claims import CLAIMS, claim_named

    if not names and not everything:
        raise UsageError("name the claims to run, or give --all; `controlsde claims list` names them")
    named = [claim_named(name) for name in dict.fromkeys(names)]
    rest = [claim_named(name) for name in CLAIMS if everything and name not in names]
    return named + [claim for claim in rest if not claim.long]


def _write(found: Tested, tested: Sequence[Tested], folder: Path) -> None:
    from controlsde.claims import CLAIMS, claim_named
    from controlsde.claims.harness.pages import write_index, write_page

    write_page(found, folder, warn)
    write_index(map(claim_named, CLAIMS), folder)
    _write_document(tested, folder)


def _write_document(tested: Sequence[Tested], folder: Path) -> None:
    from controlsde.claims.harness.pages import write_text

    document = json.dumps([found.to_json() for found in tested], indent=2, ensure_ascii=False, allow_nan=False)
    write_text(folder / "claims.json", document + "\n")


def _say_left(console: Console, chosen: Sequence[Claim], tested: Sequence[Tested]) -> None:
    known = {found.claim.id for found in tested}
    left = ", ".join(claim.id for claim in chosen if claim.id not in known)
    console.message(f"interrupted; not run: {left}" if left else "interrupted")
