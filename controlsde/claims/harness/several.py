"""Several claims: in turn, or each on a worker of its own.

Comes in: claims with their parameters, and what becomes of those that have ended. Goes out: what was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from controlsde.claims import claim_named
from controlsde.claims.harness.claim import Claim, Setting, Tested
from controlsde.claims.harness.running import run_claim
from controlsde.foundation.progress import Progress
from controlsde.workflow.cost_alone import Cost
from controlsde.workflow.jobs import Done, Job, Keeping, run_jobs

SECONDS, MEMORY = 15.0, 2**29  # of a claim, at a guess


def run_claims(claims: Sequence[tuple[Claim, Any]], setting: Setting, keeping: Keeping[Tested]) -> Done[Tested]:
    """Run claims with their parameters; see `run_jobs`."""
    folder = setting.folder.resolve() if setting.folder else None  # workers may be elsewhere
    jobs = [Job(claim.id, _tested, (claim.id, parameters, folder)) for claim, parameters in claims]
    return run_jobs(jobs, setting.executor, lambda: Cost(SECONDS, MEMORY), setting.progress, keeping)


def _tested(name: str, parameters: Any, folder: Path | None, *, progress: Progress, executor: Executor) -> Tested:
    """What a worker finds. A claim is named, for it is found wherever the package is."""
    return run_claim(claim_named(name), parameters, Setting(progress, folder, executor))
