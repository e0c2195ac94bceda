"""What a sweep will do: its problems, the settings of every run, and the folder name that each run has by its content.

Comes in: problems, by name, file or as objects, and `Variations`. Goes out: a `Plan`; the same settings of the same
problem have the same key, in whatever sweep they stand.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controlsde.problem import Problem, load_problem
from controlsde.problem.loading import load_variants
from controlsde.problem.yaml_text import write
from controlsde.sweeps.variations import Settings, SweepError, Variations, canonical

HASH_LETTERS = 12


@dataclass(frozen=True)
class Source:
    """A problem of a sweep: its name, where its file is, and a digest of all that it says, data included."""

    name: str
    file: str
    digest: str


@dataclass(frozen=True)
class Run:
    """One run: the key that names its folder, the problem by name, and what is set on top of it.

    after: the key of the run whose answer it starts from, where the sweep climbs.
    """

    key: str
    problem: str
    settings: Settings
    after: str | None = None

    @property
    def label(self) -> str:
        """The run as messages name it."""
        return ", ".join([self.problem, *(f"{key}={short_value(value)}" for key, value in self.settings.items())])


@dataclass(frozen=True)
class Plan:
    """sources: the problems. base: what is set on top of all of them. keys: what varies. runs: all of them.

    climb: the key along whose values each run starts from the answer to the one before; None where all start afresh.
    """

    sources: tuple[Source, ...]
    base: Settings
    keys: tuple[str, ...]
    runs: tuple[Run, ...]
    climb: str | None = None

    def source(self, name: str) -> Source:
        """The problem of a name."""
        return next(one for one in self.sources if one.name == name)


def plan_of(
    problems: Sequence[str | Path],
    variations: Variations,
    base: Mapping[str, Any] | None = None,
    climb: str | None = None,
) -> Plan:
    """Raises ProblemError or SweepError, in a line each, for what no run could use: every value is tried once."""
    fixed = dict(base or {})
    twice = next((key for key in fixed if key in variations.keys), None)
    if twice is not None:
        raise SweepError(f"{twice} is set and varied; leave one of them out")
    sources = tuple(_source(problem, fixed) for problem in problems)
    names = [one.name for one in sources]
    if len(set(names)) < len(names):
        raise SweepError(f"two problems are called {max(names, key=names.count)}; give one of them another name")
    for problem in problems:
        for _ in load_variants(problem, ({**fixed, **settings} for settings in _telling(variations))):
            pass  # that it can be read is all that is asked
    if climb is not None and climb not in variations.keys:
        raise SweepError(f"climb: {climb} is not varied; climb along {' or '.join(variations.keys)}, or not at all")
    runs = tuple(run for source in sources for run in _runs_of(source, variations, climb))
    if climb is not None and all(run.after is None for run in runs):
        raise SweepError(f"climb: no two runs differ in {climb} alone; give it two values or more, on its own")
    return Plan(sources, fixed, variations.keys, runs, climb)


def _runs_of(source: Source, variations: Variations, climb: str | None) -> Iterator[Run]:
    """The runs of a problem; where they climb, each after the one with the value before, and the same settings else."""
    before: dict[str, str] = {}
    for settings in variations.runs():
        if climb is None:
            yield Run(key_of(source, settings), source.name, settings)
            continue
        others = canonical({key: value for key, value in settings.items() if key != climb})
        after = before.get(others)
        before[others] = key_of(source, settings, after)
        yield Run(before[others], source.name, settings, after)


def check_unchanged(plan: Plan) -> None:
    """Raises SweepError where a problem is not what it was when the sweep began: runs would be of something else."""
    for source in plan.sources:
        if digest_of(source.file, plan.base) != source.digest:
            raise changed(source)


def changed(source: Source) -> SweepError:
    """The error that says so."""
    return SweepError(
        f"{source.file}: has changed since the sweep began, or its data have; name another folder with -o for what it "
        "is now, or bring back what it was"
    )


def digest_of(file: str | Path, base: Settings) -> str:
    """A digest of all that a problem says with these settings on top, its data included."""
    return _digest(load_problem(file, set=base))


def _telling(variations: Variations) -> Iterator[Settings]:
    """Settings in which every value stands once, beside the first of all others: far fewer than all combinations."""
    first = next(variations.runs())
    yield first
    for key, values in variations.grid.items():
        for value in values[1:]:
            yield {**first, key: value}
    for group in variations.zipped:
        for row in list(zip(*group.values(), strict=True))[1:]:
            yield {**first, **dict(zip(group, row, strict=True))}
    for one in variations.listed[1:]:
        yield {**{key: value for key, value in first.items() if key not in variations.listed[0]}, **one}


def key_of(source: Source, settings: Settings, after: str | None = None) -> str:
    """The name of the folder of a run: the problem's, and a digest of what it, the settings and the run before say."""
    content = canonical([source.digest, settings, *([after] if after else [])])
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", source.name).strip("-.") or "problem"
    return f"{name[:60]}-{hashlib.sha256(content.encode()).hexdigest()[:HASH_LETTERS]}"


def written(problem: Problem) -> str:
    """A problem that is in no file, as YAML with what was said of it alone: what follows from that may still change."""
    return write(problem.model_dump(by_alias=True, exclude_none=True, exclude_unset=True))


def short_value(value: Any) -> str:
    """A value as a label has it."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else canonical(value)


def _source(problem: str | Path, base: Settings) -> Source:
    loaded = load_problem(problem, set=base)
    path = Path(problem)
    file = str(path.resolve()) if path.suffix in (".yaml", ".yml") or path.is_file() else str(problem)
    return Source(loaded.name, file, _digest(loaded))


def _digest(problem: Problem) -> str:
    return hashlib.sha256(problem.to_yaml().encode()).hexdigest()
