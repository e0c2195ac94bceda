"""Work side by side in threads: for what spends its time in compiled loops, where threads let each other run.

Comes in: what to do with each of some things. Goes out: the answers, in their order. They do not depend on the number
of threads, for each piece of work is given whatever is random in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import loky

from controlsde.foundation.surroundings import own_settings

A = TypeVar("A")
T = TypeVar("T")

MOST_THREADS = 4  # beyond, they wait for each other: with more processors, long work goes to processes


def side_by_side(work: Callable[[A], T], things: Sequence[A]) -> list[T]:
    """work(thing) of each, in as many threads as there are processors; of errors the first one is raised."""

    def in_own_settings(thing: A) -> T:
        with own_settings():
            return work(thing)

    count = min(loky.cpu_count(), MOST_THREADS, len(things))
    if count <= 1:
        return [in_own_settings(thing) for thing in things]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(in_own_settings, things))
