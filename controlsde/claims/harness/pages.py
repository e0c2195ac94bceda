"""The page of a claim: statement, formulas, figure, table, what it means, what to try next.

Comes in: a claim, and what its experiment found. Goes out: Markdown, and a figure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controlsde.claims.harness.claim import SOURCES, Claim, Row, Tested
from controlsde.foundation.files import write_whole
from controlsde.report.figures import Failed, save_all
from controlsde.report.panels import draw_panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INDEX = "README.md"


def introduction(claim: Claim) -> str:
    """The page down to where measurements begin: it depends on the module of the claim alone."""
    formulas = "\n".join(f"    {line}" for formula in claim.formulas for line in formula.splitlines())
    parameters = "\n".join(
        f"| `{field.name}` | {shown(getattr(claim.parameters, field.name))} |" for field in fields(claim.parameters)
    )
    return f"""# {claim.title}

`{claim.id}`, after {claim.source}: {SOURCES[claim.source]}

{claim.statement}

## Formulas

{formulas}

## Parameters

| parameter | default |
|---|---|
{parameters}

Run it with `controlsde claims run {claim.id}`; change a parameter with `--set NAME=VALUE`.

"""


def page(tested: Tested) -> str:
    """The whole page."""
    claim = tested.claim
    bases = dict.fromkeys(row.basis for row in tested.findings.rows if row.basis)
    grounds = "".join(f"- {basis}\n" for basis in bases)
    return f"""{introduction(claim)}## Measured

**{tested.verdict.capitalize()}.** {tested.findings.note}
{_changed(tested)}
![{claim.title}]({claim.id}.png)

{table(tested.findings.rows)}
{f"Where the tolerances come from:{chr(10)}{chr(10)}{grounds}" if grounds else ""}
## What it means

{claim.meaning}

## What to try next

{claim.further}
"""


def _changed(tested: Tested) -> str:
    """Which parameters were not the defaults; nothing where all were."""
    names = [field.name for field in fields(tested.parameters)]
    pairs = [(name, getattr(tested.parameters, name), getattr(tested.claim.parameters, name)) for name in names]
    changed = ", ".join(f"`{name}` = {shown(value)}" for name, value, default in pairs if value != default)
    return f"\nMeasured with {changed} in place of the defaults.\n" if changed else ""


def index(entries: Sequence[tuple[Claim, str]]) -> str:
    """A page that lists claims with their verdicts."""
    rows = "\n".join(
        f"| [{claim.id}]({claim.id}.md) | {claim.source} | {claim.title} | {verdict} |" for claim, verdict in entries
    )
    sources = "\n".join(f"- {name}: {text}" for name, text in SOURCES.items())
    return f"""# Claims

The theory as experiments: every number beside the one that is expected. `controlsde claims list` names them,
`controlsde claims run NAME` runs one, `controlsde claims run --all -o DIR` writes pages like these.

| claim | after | | verdict |
|---|---|---|---|
{rows}

{sources}
"""


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| | expected | measured | tolerance | |", "|---|---:|---:|---:|---|"]
    for row in rows:
        expected = (
            "" if row.expected is None else f"{'' if row.relation == '=' else row.relation + ' '}{number(row.expected)}"
        )
        tolerance = "" if row.tolerance is None else f"{row.tolerance:.2g}"
        outcome = {True: "passed", False: "**missed**", None: ""}[row.passed]
        name = row.parameter.replace("|", r"\|")
        lines.append(f"| {name} | {expected} | {number(row.measured)} | {tolerance} | {outcome} |")
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    """Five digits, as few signs as they need; a dash where there is no number."""
    return "—" if math.isnan(value) else f"{value:.5g}"


def shown(value: Any) -> str:
    """A parameter as `--set` takes it."""
    return (
        f"[{', '.join(map(shown, value))}]"
        if isinstance(value, tuple)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def figure(tested: Tested) -> Figure:
    """The claim's panels under its title and verdict."""
    subtitle = f"{tested.claim.source}, {tested.verdict}"
    return draw_panels(tested.findings.panels, tested.claim.title, subtitle, alarm=not tested.as_expected)


def write_page(tested: Tested, folder: Path, failed: Failed | None = None) -> None:
    """Write ID.md and ID.png. `failed` is told of a picture that cannot be drawn, which is an error without it."""
    write_text(folder / f"{tested.claim.id}.md", page(tested))
    save_all({tested.claim.id: lambda: figure(tested)}, folder, failed)


def write_index(claims: Iterable[Claim], folder: Path) -> None:
    """Write the index of those claims that have a page in the folder, whenever they were run."""
    pages = ((claim, folder / f"{claim.id}.md") for claim in claims)
    entries = [(claim, _verdict_in(path.read_text(encoding="utf-8"))) for claim, path in pages if path.exists()]
    write_text(folder / INDEX, index(entries))


def _verdict_in(text: str) -> str:
    found = re.search(r"^\*\*(Confirmed|Refuted|Open)\.\*\*", text, re.MULTILINE)
    return found[1].lower() if found else ""


def write_text(target: Path, text: str) -> None:
    """A text file, written whole or not at all."""
    write_whole(target, text.encode())
