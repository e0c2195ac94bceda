"""Verification: every answer re-measured by methods that know nothing of the solver that found it."""

from controlsde.verification.certificate import Certificate, Check, MonteCarloEvidence
from controlsde.verification.evidence import DiscreteRun, Evidence, Fields, TrackingErrors
from controlsde.verification.promises import Promises
from controlsde.verification.verifying import verify

__all__ = [
    "Certificate",
    "Check",
    "DiscreteRun",
    "Evidence",
    "Fields",
    "MonteCarloEvidence",
    "Promises",
    "TrackingErrors",
    "verify",
]
