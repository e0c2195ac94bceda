"""Claims side by side, each on a worker of its own.

Comes in: claims with their parameters, and an executor. Goes out: what was found, as each ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from controlsde.claims import claim_named
from controlsde.claims.harness.claim import Claim, Findings, Setting, Tested
from controlsde.claims.harness.running import run_claim
from controlsde.foundation.progress import Progress
from controlsde.workflow.side_by_side import Job, run_jobs


def run_claims(
    claims: Sequence[tuple[Claim, Any]], setting: Setting, executor: Executor, ended: Callable[[Tested], None]
) -> tuple[tuple[Tested, ...], bool]:
    """Run claims with their parameters, each on a worker. ended: told of each as it ends, in whatever order.

    Returns what was found, in the order of the claims, and whether an interruption left some out.
    """
    folder = setting.folder.resolve() if setting.folder else None  # workers may be elsewhere
    jobs = [Job(claim.id, _found, (claim.id, parameters, folder)) for claim, parameters in claims]

    def tested(number: int, found: tuple[Findings, float]) -> Tested:
        claim, parameters = claims[number]
        return Tested(claim, parameters, *found)

    done = run_jobs(jobs, executor, setting.progress, lambda number, found: ended(tested(number, found)))
    several = tuple(tested(number, found) for number, found in enumerate(done.results) if found is not None)
    return several, done.interrupted


def _found(
    name: str, parameters: Any, folder: Path | None, *, progress: Progress, executor: Executor
) -> tuple[Findings, float]:
    """What a worker finds. A claim is named, for it is found wherever the package is."""
    tested = run_claim(claim_named(name), parameters, Setting(progress, folder, executor))
    return tested.findings, tested.seconds
