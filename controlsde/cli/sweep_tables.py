"""The table of a sweep in the terminal: what was varied, how it ended, the numbers that matter.

Comes in: a `Sweep`. Goes out: a table of rich, cut in the middle where it is long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from controlsde.cli.tables import empty, outcome_of
from controlsde.report.words import digits
from controlsde.sweeps.plan import short_value

if TYPE_CHECKING:
    from controlsde.sweeps.store import Row
    from controlsde.sweeps.sweep import Sweep

COLUMNS = {  # in few letters, in this order, where any run has them
    "tracking.l2_final": "L² at T",
    "tracking.mollified.value": "mollified",
    "tracking.w1_final": "W₁ at T",
    "tracking.log_likelihood.value": "log-likelihood",
    "energy": "energy",
    "objective": "J",
}
MOST_ROWS = 40
ACROSS = 7  # columns of settings and numbers that 80 letters hold


def sweep_table(found: Sweep) -> Table:
    """A row a run; of very many the first and the last."""
    names = [name for name in COLUMNS if any(row and name in row.numbers for row in found.rows)]
    several = len(found.plan.sources) > 1
    names = names[: max(1, ACROSS - len(found.plan.keys) - several)]  # the rest is in sweep.csv
    first = ["problem"] if several else []
    table = empty(*first, *_short(found.plan.keys), *(COLUMNS[name] for name in names), "s", "outcome")
    table.columns[-1].no_wrap = True
    pairs = list(zip(found.plan.runs, found.rows, strict=True))
    shown = pairs if len(pairs) <= MOST_ROWS else [*pairs[: MOST_ROWS - 5], None, *pairs[-5:]]
    for pair in shown:
        if pair is None:
            table.add_row("…")
            continue
        run, row = pair
        numbers = row.numbers if row else {}
        told = [digits(value) if (value := numbers.get(name)) is not None else "—" for name in names]
        settings = [short_value(run.settings[key]) if key in run.settings else "" for key in found.plan.keys]
        seconds = f"{row.seconds:.1f}" if row and row.seconds is not None else "—"
        table.add_row(*([run.problem] if several else []), *settings, *told, seconds, _outcome(row))
    return table


def _short(keys: Sequence[str]) -> list[str]:
    """The last word of every dotted key, where no other key ends in the same."""
    last = [key.rpartition(".")[2] for key in keys]
    return [word if last.count(word) == 1 else key for word, key in zip(last, keys, strict=True)]


def _outcome(row: Row | None) -> Text:
    if row is None:
        return Text("missing", "yellow")
    return Text("failed", "bold red") if row.failed else outcome_of([row])
