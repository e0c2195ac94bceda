"""The theory as runnable experiments, one module for each claim, every number beside the one that is expected.

Comes in: the name of a claim and its parameters. Goes out: rows of expected and measured numbers, a verdict, a figure.
"""

from __future__ import annotations

from difflib import get_close_matches

from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, Tested
from controlsde.claims.harness.running import run_claim
from controlsde.foundation.errors import ControlsdeError
from controlsde.registry import CLAIMS

__all__ = ["CLAIMS", "Claim", "ClaimError", "Findings", "Row", "Setting", "Tested", "claim_named", "run_claim"]


class ClaimError(ControlsdeError, ValueError):
    """A claim that does not exist; one line with the cure."""


def claim_named(name: str) -> Claim:
    """The claim of one name. Raises ClaimError, with the nearest name, where there is none."""
    if name not in CLAIMS:
        near = get_close_matches(name, CLAIMS, 1)
        hint = f"did you mean {near[0]}?" if near else "`controlsde claims list` names them all"
        raise ClaimError(f"{name} is not a claim; {hint}")
    claim: Claim = CLAIMS[name]
    return claim
