"""Cases made by hand, each sound but for what a test changes in it."""

import dataclasses

import numpy as np
import pytest

from controlsde.control.controls import Controls
from controlsde.diagnosis import Case
from controlsde.problem import load_problem
from controlsde.solvers.outcome import Termination
from controlsde.tracking.tracking_problem import build_network
from controlsde.verification.certificate import Measurements, MonteCarloEvidence, judge

SOUND = {
    "mass_error": 1e-12,
    "negative_mass": 0.0,
    "resolution": 1e-3,
    "refined_l2_change": 1e-3,
    "refinement": 1e-4,
    "target_mass": 1e-4,
    "target_change": 1e-2,
    "characteristics_l2_change": None,
    "monte_carlo": MonteCarloEvidence(1000, 0.1, 0.01, 0.5, 1.0, 1.0, 0.0, 0.0, "cpu", "numba"),
    "gradient_norm": 1e-7,
    "nodes": 100,
}


def certificate(**changes):
    ends = {name: changes.pop(name) for name in ("terminal_error", "terminal_limit") if name in changes}
    return judge(Measurements(**{**SOUND, **changes}), closed=True, **ends)


def made(termination=None, problem=None, check=None, **changes):
    """A converged, verified case of two bumps with four pieces of two neurons, but for the changes.

    problem: overrides of the problem; check: values of the certificate.
    """
    of = load_problem(
        "two-bumps",
        set={"controls.pieces": 4, "network.width": 2, "mesh.elements": "auto", "mesh.steps_per_piece": "auto"}
        | (problem or {}),
    )
    network = build_network(of)
    weights = np.random.default_rng(0).uniform(-2, 2, (4, network.weights_per_piece))
    number = np.arange(50.0)
    case = Case(
        problem=of,
        network=network,
        controls=Controls(*network.split(weights), np.linspace(0, 1.5, 5)),
        status="converged" if termination is None else "not-converged",
        message="as the solver says",
        termination=termination or Termination("converged"),
        iterations=49,
        gradient_norm=1e-7 if termination is None else 1e-3,
        history=np.stack([number, 1 + 0.5**number, 0.5**number], axis=1),
        starts=(1.0, 1.1, 1.2, 1.3),
        objective=1.0,
        elements=(8,),
        steps=2,
        certificate=certificate(**(check or {})),
        error=0.1,
    )
    return dataclasses.replace(case, **changes)


@pytest.fixture
def case():
    """Builds such a case: (termination, problem, check, **changes)."""
    return made
