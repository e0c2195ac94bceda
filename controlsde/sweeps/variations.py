"""What a sweep varies: every combination of some values, values that go together, and single settings.

Comes in: words such as `noise=0,0.25,1` or `solver.seed=0:8`, mappings, or a sweep file. Goes out: `Variations`, and
the settings of every run, one mapping of dotted keys a run, in an order that depends on what was asked alone.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from controlsde.foundation.errors import ControlsdeError
from controlsde.problem.overrides import plain
from controlsde.problem.yaml_text import ProblemError, read

RANGE = re.compile(r"(-?[0-9]{1,9}):(-?[0-9]{1,9})(?::([0-9]{1,9}))?")  # from:to or from:to:step, without `to`
MOST_RUNS = 10_000_000
EXAMPLE = "write KEY=VALUE,VALUE,… such as noise=0,0.25,1 or solver.seed=0:8"

Settings = dict[str, Any]  # of a run: dotted keys of a problem, and values


class SweepError(ControlsdeError, ValueError):
    """A sweep that cannot be run, or read, as asked; one line with the cure."""


@dataclass(frozen=True)
class Variations:
    """grid: keys and their values, every combination. zipped: groups of keys whose values go together, place by place.

    listed: settings of single runs, each on top of every combination of the rest.
    """

    grid: Mapping[str, Sequence[Any]]
    zipped: Sequence[Mapping[str, Sequence[Any]]] = ()
    listed: Sequence[Mapping[str, Any]] = ()

    @staticmethod
    def of(
        grid: Mapping[str, Any] | None = None,
        zipped: Sequence[Mapping[str, Any]] = (),
        listed: Sequence[Mapping[str, Any]] = (),
    ) -> Variations:
        """Raises SweepError for a key without values, one that is varied twice, or a value that stands twice."""
        found = Variations(
            {key: _values(key, values) for key, values in (grid or {}).items()},
            tuple({key: _values(key, values) for key, values in group.items()} for group in zipped),
            tuple({str(key): plain(value) for key, value in one.items()} for one in listed),
        )
        found._check()
        return found

    @property
    def keys(self) -> tuple[str, ...]:
        """All that is varied, in the order in which it was given."""
        of_lists = (key for one in self.listed for key in one)
        return tuple(dict.fromkeys([*self.grid, *(key for group in self.zipped for key in group), *of_lists]))

    @property
    def count(self) -> int:
        """How many runs of one problem there are."""
        groups = [len(next(iter(group.values()))) for group in self.zipped]
        return math.prod(map(len, self.grid.values())) * math.prod(groups) * max(len(self.listed), 1)

    def runs(self) -> Iterator[Settings]:
        """The settings of every run; the last key changes fastest."""
        of_grid = [[(key, value) for value in values] for key, values in self.grid.items()]
        of_zips = [
            [tuple(zip(group, row, strict=True)) for row in zip(*group.values(), strict=True)] for group in self.zipped
        ]
        for chosen in product(*of_grid):
            for rows in product(*of_zips):
                together = dict(pair for row in rows for pair in row)
                for one in self.listed or ({},):
                    yield {**dict(chosen), **together, **one}

    def _check(self) -> None:
        several = [key for place in (self.grid, *self.zipped) for key in place]
        listed = {key for one in self.listed for key in one}
        for key in several:
            if several.count(key) > 1 or key in listed:
                raise SweepError(f"{key} is varied twice; give all its values in one place")
            above = next((other for other in (*several, *listed) if key.startswith(f"{other}.")), None)
            if above is not None:
                raise SweepError(f"{key} is varied, and so is {above}, which holds it; vary one of them")
        for group in self.zipped:
            lengths = {key: len(values) for key, values in group.items()}
            if not group:
                raise SweepError("a group of `zipped` is empty; give it two keys or more, or leave it out")
            if len(set(lengths.values())) > 1:
                told = ", ".join(f"{key} has {length}" for key, length in lengths.items())
                raise SweepError(f"values that go together must be as many: {told}")
        for number, one in enumerate(self.listed, 1):
            if not one:
                raise SweepError(f"entry {number} of `listed` is empty; give it a key and a value, or leave it out")
        entries = [canonical(one) for one in self.listed]
        if len(set(entries)) < len(entries):
            raise SweepError(f"`listed` has {max(entries, key=entries.count)} twice; give it once")
        if not several and not listed:
            raise SweepError(f"nothing is varied; {EXAMPLE}")
        if self.count > MOST_RUNS:
            raise SweepError(f"that is {self.count:,} runs, more than {MOST_RUNS:,}; vary less, or in several sweeps")


def canonical(value: Any) -> str:
    """A value as one text, the same for all that are equal: 1 and 1.0, and mappings whatever their order."""
    return json.dumps(_plainest(value), sort_keys=True, ensure_ascii=False, default=str)


def _plainest(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plainest(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plainest(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def parse_vary(text: str) -> tuple[str, list[Any]]:
    """`noise=0,0.25,1` or `solver.seed=0:8` as a key and its values; ranges end before their last number.

    Raises SweepError, in one line with the cure.
    """
    key, equals, words = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise SweepError(f"--vary {text}: {EXAMPLE}")
    try:
        document = read(f"[{words}]", "value")
    except ProblemError as error:
        raise SweepError(f"--vary {text}: {error.messages[0]}; quote text with special characters") from None
    if document.faults or not isinstance(document.data, list):
        raise SweepError(f"--vary {text}: {document.faults[0] if document.faults else EXAMPLE}")
    return key, _values(key, document.data)


def ranged(value: Any) -> list[Any]:
    """The whole numbers that `0:8` or `0:8:2` stand for, the last one excluded; any other value as it is."""
    match = RANGE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return [value]
    first, end, step = int(match[1]), int(match[2]), int(match[3] or 1)
    return list(range(first, end, max(step, 1))) if step else []


def _values(key: str, given: Any) -> list[Any]:
    """Values of a key as a list of plain ones. Raises SweepError for none, or one that stands twice."""
    given = plain(given)
    if isinstance(given, str | Mapping) or not isinstance(given, Sequence):
        given = [given]
    values = [one for value in given for one in ranged(value)]
    if not values:
        raise SweepError(f"{key} has no values; {EXAMPLE}")
    seen: set[str] = set()
    for value in values:
        text = canonical(value)
        if text in seen:
            raise SweepError(f"{key} has the value {text} twice; give it once")
        seen.add(text)
    return values
