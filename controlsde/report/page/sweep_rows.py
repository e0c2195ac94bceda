"""The table of all runs on the page of a sweep: settings, outcome, main numbers, and why one failed.

Comes in: a `Sweep`, its columns, and the link of every run. Goes out: rows of text, for the template.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controlsde.report.page.sweep_columns import FAILED, MISSING, VERIFIED, Columns, Measure
from controlsde.report.page.writing import FILE
from controlsde.report.words import digits
from controlsde.sweeps.plan import short_value
from controlsde.sweeps.store import RESULT

if TYPE_CHECKING:
    from controlsde.sweeps.store import Row
    from controlsde.sweeps.sweep import Sweep

MOST_ROWS = 500  # of the table of runs
SHARE_OF_FAULTS = 4  # one row in so many is left to runs without an answer
LONGEST_REASON = 400  # letters
COLUMNS = {  # of the table of runs, where any run has them
    "tracking.l2_final": "L² at T",
    "tracking.mollified.value": "mollified",
    "tracking.w1_final": "W₁ at T",
    "tracking.log_likelihood.value": "log-likelihood",
    "energy": "energy",
    "price": "price",
    "objective": "J",
    "seconds": "seconds",
}


@dataclass(frozen=True)
class Told:
    """A row of the table of runs."""

    number: int
    settings: tuple[str, ...]
    outcome: str
    alarm: bool
    numbers: tuple[str, ...]
    page: str
    result: str
    reason: str
    rest: str  # of the reason, which a reader may unfold


def shown_numbers(columns: Columns) -> list[tuple[str, Measure]]:
    return [(COLUMNS[one.name], one) for one in columns.measures if one.name in COLUMNS]


def rows_of(sweep: Sweep, columns: Columns, linked: Sequence[str]) -> tuple[list[Told], str]:
    """The rows of the table, and where some are left out, which these are."""
    total, places, cut = len(sweep.rows), list(range(len(sweep.rows))), ""
    main = columns.main
    if total > MOST_ROWS:
        faults = [place for place in places if columns.states[place] in (MISSING, FAILED)][
            : MOST_ROWS // SHARE_OF_FAULTS
        ]
        best = sorted(
            (place for place in places if columns.states[place] == VERIFIED),
            key=lambda place: _badness(main, place),
        )[: MOST_ROWS - len(faults)]
        places = sorted({*faults, *best})
        first = f" and the first {len(faults):,} that failed or are missing" if faults else ""
        cut = (
            f"Of {total:,} runs the {len(best):,} verified ones with the best {main.title if main else 'numbers'}"
            f"{first} are shown; sweep.csv beside this page has all."
        )
    numbers = [measure.values for _, measure in shown_numbers(columns)]
    return [_told(sweep, place, numbers, linked[place]) for place in places], cut


def _badness(main: Measure | None, place: int) -> float:
    value = math.nan if main is None else float(main.values[place])
    return math.inf if math.isnan(value) else -value if main is not None and main.more else value


def _told(sweep: Sweep, place: int, numbers: Sequence[Any], link: str) -> Told:
    run, row = sweep.plan.runs[place], sweep.rows[place]
    settings = [short_value(run.settings[key]) if key in run.settings else "—" for key in sweep.plan.keys]
    several = [run.problem] if len(sweep.plan.sources) > 1 else []
    words = outcome(row)
    shown = [digits(None if math.isnan(values[place]) else float(values[place])) for values in numbers]
    reason, rest = _reason(row)
    result = f"{link.rpartition('/')[0]}/{RESULT}" if link else ""
    return Told(
        place + 1,
        (*several, *settings),
        words,
        row is None or not row.verified,
        tuple(shown),
        link if link.endswith(FILE) else "",
        result,
        reason,
        rest,
    )


def _reason(row: Row | None) -> tuple[str, str]:
    """Why there is no answer; or the name of a diagnosis, and all that it says."""
    if row is None or not (row.error or row.diagnosis):
        return "", ""
    if row.error:
        return _cut(row.error), ""
    first, _, rest = row.diagnosis[0].partition("; ")
    return _cut(first), _cut("; ".join(words for words in (rest, *row.diagnosis[1:]) if words))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"


def outcome(row: Row | None) -> str:
    """How a run ended, in words."""
    if row is None:
        return "missing"
    if row.failed:
        return "failed"
    words = "verified" if row.verified else "NOT VERIFIED"
    return words if row.status in ("converged", "given") else f"{words}, {row.status.replace('-', ' ')}"
