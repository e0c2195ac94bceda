"""Running claims: each with its parameters, timed.

Comes in: a claim, its parameters and its setting. Goes out: what was found.
"""

from __future__ import annotations

import time
from typing import Any

from controlsde.claims.harness.claim import Claim, Setting, Tested
from controlsde.foundation.progress import Step
from controlsde.foundation.surroundings import own_settings


@own_settings()
def run_claim(claim: Claim, parameters: Any = None, setting: Setting | None = None) -> Tested:
    """Run the experiment of a claim, with its own parameters where none are given."""
    setting = setting or Setting()
    parameters = claim.parameters if parameters is None else parameters

    began = time.perf_counter()
    setting.progress(Step("measuring"))
    findings = claim.experiment(parameters, setting)
    return Tested(claim, parameters, findings, time.perf_counter() - began)
