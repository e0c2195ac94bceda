"""Interleaved timing: competitors take turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.reporting import seconds


@dataclass(frozen=True)
class Timing:
    """The durations of all rounds, in seconds for one call."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle round."""
        return statistics.median(self.rounds)

    @property
    def least(self) -> float:
        """The fastest round."""
        return min(self.rounds)

    def cells(self) -> tuple[str, str]:
        """Median and minimum as text."""
        return seconds(self.median), seconds(self.least)


def interleaved(
    tasks: Mapping[str, Callable[[], object]], rounds: int, least_seconds: float = 0.05
) -> dict[str, Timing]:
    """Time all tasks in turn, `rounds` times; within a round a short task repeats until `least_seconds` are full."""
    counts: dict[str, int] = {}
    for name, task in tasks.items():
        task()  # warm up
        began = time.perf_counter()
        task()
        counts[name] = max(1, round(least_seconds / max(time.perf_counter() - began, 1e-9)))
    found: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            began = time.perf_counter()
            for _ in range(counts[name]):
                task()
            found[name].append((time.perf_counter() - began) / counts[name])
    return {name: Timing(tuple(rows)) for name, rows in found.items()}


def ratio(slow: Timing, fast: Timing) -> float:
    """Median over the rounds of slow / fast, round by round: load that lasts longer than a round cancels."""
    return statistics.median(a / b for a, b in zip(slow.rounds, fast.rounds, strict=True))
