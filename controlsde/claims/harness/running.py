"""Running claims: each with its parameters, timed; several side by side.

Comes in: claims, their parameters and their setting. Goes out: what was found.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from controlsde.claims.harness.claim import Claim, Findings, Setting, Tested
from controlsde.foundation.progress import Progress, Step
from controlsde.foundation.surroundings import own_settings
from controlsde.workflow.side_by_side import Job, run_jobs


@own_settings()
def run_claim(claim: Claim, parameters: Any = None, setting: Setting | None = None) -> Tested:
    """Run the experiment of a claim, with its own parameters where none are given."""
    setting = setting or Setting()
    parameters = claim.parameters if parameters is None else parameters

    def labelled(step: Step) -> None:
        setting.progress(Step(f"{claim.id}: {step.task}", step.iteration, step.objective, step.fraction))

    began = time.perf_counter()
    setting.progress(Step(claim.id))
    findings = claim.experiment(parameters, Setting(labelled, setting.folder, setting.executor))
    return Tested(claim, parameters, findings, time.perf_counter() - began)


def run_claims(
    claims: Sequence[tuple[Claim, Any]], setting: Setting, executor: Executor, ended: Callable[[Tested], None]
) -> tuple[tuple[Tested, ...], bool]:
    """Run claims with their parameters, each on a worker. ended: told of each as it ends, in whatever order.

    Returns what was found, in the order of the claims, and whether an interruption left some out.
    """
    jobs = [Job(claim.id, _found, (claim.id, parameters, setting.folder)) for claim, parameters in claims]

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
    from controlsde.claims import claim_named

    tested = run_claim(claim_named(name), parameters, Setting(progress, folder, executor))
    return tested.findings, tested.seconds
