"""Each cause by the evidence for it, and no cause without evidence."""

import dataclasses
import math

import numpy as np
import pytest

from controlsde.control.controls import Controls
from controlsde.diagnosis import Diagnosis, Remedy, Trials, Wall, diagnose
from controlsde.diagnosis.entries import listed, rounded_down, rounded_up
from controlsde.problem import load_problem, parse_override
from controlsde.solvers.outcome import Termination, Violation
from controlsde.verification.certificate import MonteCarloEvidence

DISAGREEING = MonteCarloEvidence(1000, 0.1, 0.01, 10.0, 2.0, 1.0, 0.0, 0.0, "cpu", "numba")
UNRESOLVED = {"refined_l2_change": 0.2}
GIVEN_MESH = {"mesh.elements": [8], "mesh.steps_per_piece": 2}
NO_NOISE = {"noise": 0}
RELU = {"network.activation": "relu"}
EXACT_IS_GOOD = Trials(exact_error=1e-3, exact_drift=20.0)
COLLOCATION = {"solver": "collocation"}
WORST = Violation(0.25, piece=2, step=0, stage=1, unknown=5)
PILED = (Wall(0, -5.0, 0.0, 0.7, -1.0, 0.0), Wall(0, 5.0, 12.0, 0.7, 2.0, 0.0))
SWEPT = (Wall(0, -5.0, 0.5, 0.7, -1.0, 0.3), Wall(0, 5.0, 0.5, 0.7, -1.0, 0.1))
STUCK = (0.0, *[1e3] * 59)
FALLING = (0.0, *np.geomspace(1e3, 1e-3, 59))


def held(bound=50.0, share=0.5):
    """Controls of which this share of A, in the first pieces, is at the bound."""
    a = np.full((4, 1, 2), 0.1)
    a.reshape(-1)[: round(share * 24)] = bound
    return Controls(a, np.full((4, 2, 1), 0.1), np.full((4, 2), 0.1), np.linspace(0, 1.5, 5))


def flat(count):
    """Controls of which `count` of eight neurons are flat on the box."""
    b = np.zeros((4, 2))
    b.reshape(-1)[:count] = 40.0
    return Controls(np.ones((4, 1, 2)), np.full((4, 2, 1), 0.5), b, np.linspace(0, 1.5, 5))


# arguments of the case; the first cause; its remedy; words of its evidence
CASES = {
    "iterations, falling": (
        {"termination": Termination("iterations"),
         "history": np.array([[0, 2, 1], [1, 1.5, 1], [2, 1.2, 1]], dtype=float)},
        "iterations", "solver.iterations=2000", ["500 iterations were not enough"],
    ),
    "iterations, flat": (
        {"termination": Termination("iterations")}, "iterations", "solver.iterations=1000", ["the last 5"]),
    "iterations, first order": (
        {"termination": Termination("iterations"), "problem": {"solver.method": "adam"}},
        "iterations", "solver.method=newton", ["adam is of first order"],
    ),
    "iterations of IPOPT": (
        {
            "termination": Termination("iterations", violation=WORST),
            "problem": COLLOCATION, "place": np.array([1.25]),
            "history": np.array([[0, 2, math.nan], [1, 1.5, math.nan]]),
        },
        "iterations", "solver.iterations=2000", ["by 2.5e-01", "piece 3, step 1, stage 2, at x = 1.25"],
    ),
    "false inertia": (
        {"termination": Termination("iterations", regularisation=STUCK), "problem": COLLOCATION},
        "regularisation", "solver.pivot_tolerance=0.1", ["10^3.0", "pivot tolerance 0.01"],
    ),
    "false inertia, nothing left to raise": (
        {
            "termination": Termination("iterations", regularisation=STUCK),
            "problem": {"solver": {"kind": "collocation", "pivot_tolerance": 0.5}},
        },
        "regularisation", "solver=shooting", ["10^3.0"],
    ),
    "state equation": (
        {"termination": Termination("infeasible", violation=WORST), "problem": COLLOCATION, "place": np.array([1.25])},
        "state-equation", "solver=shooting", ["piece 3, step 1, stage 2, at x = 1.25"],
    ),
    "disagreement": (
        {"termination": Termination("disagrees", violation=WORST), "problem": COLLOCATION},
        "state-equation", "solver.tolerance=1e-10", ["as the solver says", "piece 3"],
    ),
    "no descent, first order": (
        {"termination": Termination("no-descent"), "problem": {"solver.method": "l-bfgs"}},
        "no-descent", "solver.method=newton", ["gradient of 1.0e-03"],
    ),
    "no descent near an optimum": (
        {"termination": Termination("no-descent"), "gradient_norm": 3e-5},
        "no-descent", "solver.tolerance=5e-05", ["gradient of 3.0e-05"],
    ),
    "no descent": ({"termination": Termination("no-descent")}, "no-descent", "solver.seed=1", ["gradient of 1.0e-03"]),
    "a stall at a kink": (
        {"termination": Termination("stalled"), "problem": RELU},
        "kink", "network.activation=tanh", ["gradient of 1.0e-03 where 1e-06", "the slope of relu jumps"],
    ),
    "no descent at a kink": (
        {"termination": Termination("no-descent"), "problem": RELU}, "kink", "network.activation=tanh", [],
    ),
    "iterations, flat at a kink": (
        {"termination": Termination("iterations"), "problem": RELU},
        "kink", "network.activation=tanh", ["no longer falls"],
    ),
    "a kink before the wall that it leaves mass at": (
        {"termination": Termination("stalled"), "check": UNRESOLVED, "walls": PILED, "problem": NO_NOISE | RELU},
        "kink", "network.activation=tanh", [],
    ),
    "a stall of a smooth network": ({"termination": Termination("stalled")}, "kink", "solver.seed=1", ["at a kink"]),
    "a limit that few starts miss": (
        {"termination": Termination("limit", "as close as this"), "problem": {"solver.starts": 2}},
        "limit", "solver.starts=8", ["as close as this, from 2 starts"],
    ),
    "a limit that the steps hide": (
        {"termination": Termination("unseen-error", "as close as this", what="steps"), "problem": GIVEN_MESH},
        "limit", "mesh.steps_per_piece=auto", ["as close as this: too few steps"],
    ),
    "a limit that the elements hide": (
        {"termination": Termination("unseen-error", what="elements"), "problem": GIVEN_MESH},
        "limit", "mesh.elements=auto", ["too few elements"],
    ),
    "a limit that steps hide beside given elements": (
        {"termination": Termination("unseen-error", what="steps"), "problem": {"mesh.elements": [8]}},
        "limit", "mesh.elements=auto", ["too few steps"],
    ),
    "a limit that no mesh shows": (
        {"termination": Termination("unseen-error", what="steps")}, "limit", "controls.bounds=0.2", ["too few steps"],
    ),
    "a limit that is met on the solver's mesh alone": (
        {"check": {"terminal_error": 0.00223, "terminal_limit": 0.002}, "problem": GIVEN_MESH},
        "limit", "mesh.elements=auto", ["the verified error at T is 0.00223, and at most 0.002 was asked for"],
    ),
    "a limit that given controls miss": (
        {"check": {"terminal_error": 0.3, "terminal_limit": 0.2}, "status": "given"}, "limit", None, ["is 0.3"],
    ),
    "loose": (
        {"termination": Termination("loose", violation=Violation(1e-9, 0, 0, 0, 0)), "problem": COLLOCATION},
        "tolerance", "solver.tolerance=1e-06", ["not to 1e-08"],
    ),
    "an unknown ending": ({"termination": Termination("unknown")}, "solver", "solver.seed=1", ["as the solver says"]),
    "set aside, given mesh": (
        {"termination": Termination("pruned"), "problem": GIVEN_MESH}, "mesh", "mesh.elements=auto", ["do not survive"],
    ),
    "set aside, given steps": (
        {"termination": Termination("pruned"), "problem": {"mesh.steps_per_piece": 2}},
        "steps", "mesh.steps_per_piece=auto", ["do not survive"],
    ),
    "set aside": ({"termination": Termination("pruned")}, "sharp", "controls.bounds=0.2", ["do not survive"]),
    "non-finite solver": (
        {"termination": Termination("non-finite", what="the density", piece=2)},
        "non-finite", "controls.bounds=2", ["the density stopped being finite in piece 3", "the weights reach 1.9"],
    ),
    "non-finite verification": (
        {"check": {"refined_l2_change": math.nan}, "error": math.nan},
        "non-finite", "controls.bounds=0.2", ["blows up"],
    ),
    "piled up at a wall": (
        {"check": UNRESOLVED, "walls": PILED, "problem": NO_NOISE},
        "wall", "network.tangential=true", ["x = 5", "reaches 12", "0.7 at most"],
    ),
    "swept from a wall": (
        {"check": UNRESOLVED, "walls": SWEPT, "problem": NO_NOISE},
        "wall", "network.tangential=true", ["x = -5", "30%", "jump"],
    ),
    "mesh": (
        {"check": UNRESOLVED, "problem": GIVEN_MESH, "trials": Trials(elements=(14,))},
        "mesh", "mesh.elements=[14]", ["8 elements are too few", "0.2 of ‖p(T)‖"],
    ),
    "steps": (
        {"check": UNRESOLVED, "problem": GIVEN_MESH, "trials": Trials(steps=6)},
        "steps", "mesh.steps_per_piece=6", ["2 time steps a piece are too few"],
    ),
    "mesh and steps, mesh more": (
        {"check": UNRESOLVED, "problem": GIVEN_MESH, "trials": Trials(by_elements=0.05, by_steps=0.1)},
        "mesh", "mesh.elements=auto", ["8 elements with 2 steps"],
    ),
    "mesh and steps, steps more": (
        {"check": UNRESOLVED, "problem": GIVEN_MESH, "trials": Trials(by_elements=0.1, by_steps=0.05)},
        "steps", "mesh.steps_per_piece=auto", ["8 elements with 2 steps"],
    ),
    "target on the mesh": (
        {"check": {"target_change": 0.4}, "trials": Trials(target_elements=(24,))},
        "target", "mesh.elements=[24]", ["40.0%"],
    ),
    "target on no mesh": ({"check": {"target_change": 0.4}}, "target", None, ["broader data"]),
    "target on no grid": ({"check": {"target_mass": 0.4}}, "target", None, ["40.0% of the target's mass"]),
    "narrower than the grid at T": (
        {"check": {"final_norm": 0.7}},
        "narrow", None, ["the density at T is so narrow", "by 0.7 of ‖p(T)‖"],
    ),
    "narrower than the grid at T, on no mesh": (
        {"check": UNRESOLVED | {"final_norm": 0.7, "resolution": 0.2}},
        "sharp", "controls.bounds=0.2", ["sharper than the finest mesh"],
    ),
    "sharp": (
        {"check": UNRESOLVED | {"negative_mass": 0.1, "resolution": 0.2}},
        "sharp", "controls.bounds=0.2", ["sharper than the finest mesh", "negative mass of 0.1", "top modes"],
    ),
    "sharp, given drift": (
        {"check": UNRESOLVED, "status": "given", "controls": None, "problem": NO_NOISE},
        "sharp", "noise=1", ["sharper than the finest mesh"],
    ),
    "sharp, beyond all numbers": (
        {"check": UNRESOLVED | {"refinement": math.nan, "resolution": math.nan}},
        "sharp", "controls.bounds=0.2", ["on finer meshes it grows beyond what a computer holds"],
    ),
    "sharp, beyond all numbers on one mesh": (
        {"check": {"refined_l2_change": math.inf, "negative_mass": 0.1}},
        "sharp", "controls.bounds=0.2", ["on this mesh it grows beyond what a computer holds"],
    ),
    "bounds": (
        {"error": 0.8, "controls": held(2.0, 0.25), "problem": {"controls.bounds": 2}, "trials": EXACT_IS_GOOD},
        "bounds", "controls.bounds=20", ["6 of 24", "±2", "6 of 8 in A", "pieces 1–3", "reaches 20"],
    ),
    "saturated": (
        {"error": 0.8, "controls": flat(5), "trials": EXACT_IS_GOOD},
        "saturated", "solver.starts=32", ["5 of 8 neurons", "pieces 1–3"],
    ),
    "one start": (
        {"error": 0.8, "starts": (1.0,), "problem": {"solver.starts": 1}, "trials": EXACT_IS_GOOD},
        "local-minimum", "solver.starts=8", ["80% of ‖p(T)‖", "from 1 start it"],
    ),
    "undercut by shooting": (
        {"known": 0.25, "problem": {"solver": "collocation", "solver.start": "random"}},
        "local-minimum", "solver.start=shooting", ["J = 1 ", "shooting finds 0.25"],
    ),
    "undercut by the search that it began with": (
        {"known": 0.25, "problem": {"solver": "collocation"}}, "local-minimum", "solver=shooting", ["finds 0.25"],
    ),
    "a good fit of the drift": (
        {"error": 0.8, "problem": {"solver": "score-matching"}, "trials": EXACT_IS_GOOD},
        "fit", "solver=shooting", ["the drift is fitted, and verified, but its error at T is 80%", "does not look at"],
    ),
    "narrow": (
        {"error": 0.8, "trials": EXACT_IS_GOOD},
        "unreachable", "network.width=4", ["80% of ‖p(T)‖", "0.1% on the same mesh", "4 pieces of 2 neurons"],
    ),
    "particles": (
        {"check": {"monte_carlo": DISAGREEING}},
        "particles", "monte_carlo.steps_per_piece=320", ["64 steps a piece are 10.0 standard errors"],
    ),
    "a given mesh on which no drift tracks": (
        {"error": 0.8, "problem": GIVEN_MESH, "trials": Trials(exact_error=0.5)},
        "mesh", "mesh.elements=auto", ["80% of ‖p(T)‖", "exact drift has 50% on 8 elements"],
    ),
    "a mesh on which no drift tracks": (
        {"error": 0.8, "trials": Trials(exact_error=0.5)}, "mesh", "mesh.elements=[16]", ["exact drift has 50%"],
    ),
    "lost mass": ({"check": {"mass_error": 1e-3}}, "mass", None, ["please report"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_first_cause_has_its_evidence_and_a_remedy_that_can_be_pasted(name, case):
    arguments, cause, setting, words = CASES[name]
    of = case(**arguments)
    first = diagnose(of)[0]
    assert first.cause == cause
    for text in words:
        assert text in first.evidence
    if setting is None:
        assert first.remedy is None
        return
    assert first.remedy.setting.startswith(setting)
    if not setting.endswith("="):
        assert first.remedy.setting == setting
    key, value = parse_override(first.remedy.option.removeprefix("--set "))
    document = {k: v for k, v in of.problem.model_dump(by_alias=True, exclude_none=True).items() if k != "name"}
    document["solver"].pop("hops", None)  # nobody gave it: it follows the starts
    pasted = load_problem("two-bumps", set=document | {key: value})
    assert pasted == first.remedy.applied_to(of.problem)
    assert pasted != of.problem


SOUND = {
    "converged and verified": {},
    "some weights at their bounds": {"controls": held()},
    "saturated neurons": {"controls": flat(8)},
    "mass at a wall, and resolved": {"walls": PILED, "problem": NO_NOISE},
    "interrupted": {"status": "interrupted", "certificate": None, "termination": None},
    "a given drift that does not track": {"status": "given", "error": 0.9},
    "a poor start that was improved": {"starts": (1.0,)},
}


@pytest.mark.parametrize("name", SOUND)
def test_a_healthy_answer_has_no_diagnosis(name, case):
    assert diagnose(case(**SOUND[name])) == ()


NOT_FOR_THIS = {
    "a fit is no optimum": (
        "local-minimum",
        {"error": 0.8, "starts": (), "problem": {"solver": "switching"}, "trials": EXACT_IS_GOOD},
    ),
    "nor the best of several": (
        "unreachable", {"error": 0.8, "problem": {"solver": "switching"}, "trials": EXACT_IS_GOOD},
    ),
    "noise": ("wall", {"check": UNRESOLVED, "walls": PILED}),
    "a drift along the walls": (
        "wall",
        {"check": UNRESOLVED, "walls": PILED, "problem": NO_NOISE | {"network.tangential": True}},
    ),
    "a little mass at the wall": (
        "wall",
        {
            "check": UNRESOLVED, "problem": NO_NOISE,
            "walls": tuple(dataclasses.replace(one, density=0.7) for one in PILED),
        },
    ),
    "auto": ("mesh", {"check": UNRESOLVED, "trials": Trials(elements=(14,))}),
    "regularisation that falls": (
        "regularisation",
        {"termination": Termination("iterations", regularisation=FALLING), "problem": COLLOCATION},
    ),
    "regularisation of few iterations": (
        "regularisation",
        {"termination": Termination("iterations", regularisation=STUCK[:20]), "problem": COLLOCATION},
    ),
    "no regularisation": (
        "regularisation",
        {"termination": Termination("iterations", regularisation=(0.0,) * 60), "problem": COLLOCATION},
    ),
    "a mesh that holds not even the exact drift": ("unreachable", {"error": 0.8, "trials": Trials(exact_error=0.5)}),
    "one weight in twenty-four at its bound": (
        "bounds",
        {"error": 0.8, "controls": held(50.0, 1 / 24), "trials": EXACT_IS_GOOD},
    ),
    "three neurons of eight": ("saturated", {"error": 0.8, "controls": flat(3), "trials": EXACT_IS_GOOD}),
    "sines, which are nowhere flat": (
        "saturated",
        {"error": 0.8, "controls": flat(8), "trials": EXACT_IS_GOOD, "problem": {"network.activation": "sin"}},
    ),
    "relu at an optimum to rounding": (
        "kink", {"termination": Termination("no-descent"), "problem": RELU, "gradient_norm": 3e-5},
    ),
    "relu, falling": (
        "kink",
        {
            "termination": Termination("iterations"), "problem": RELU,
            "history": np.array([[0, 2, 1], [1, 1.5, 1], [2, 1.2, 1]], dtype=float),
        },
    ),
    "no descent of a smooth network": ("kink", {"termination": Termination("no-descent")}),
    "a stall, which more iterations do not end": (
        "iterations", {"termination": Termination("stalled"), "problem": RELU}),
    "a density that is not resolved": (
        "particles",
        {"check": UNRESOLVED | {"monte_carlo": DISAGREEING}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_FOR_THIS)
def test_a_cause_is_not_named_where_something_speaks_against_it(name, case):
    cause, arguments = NOT_FOR_THIS[name]
    found = [entry.cause for entry in diagnose(case(**arguments))]
    assert found
    assert cause not in found


def test_without_a_certificate_the_solver_alone_is_judged(case):
    of = case(Termination("non-finite", what="the density", piece=0), certificate=None, error=None)
    assert [entry.cause for entry in diagnose(of)] == ["non-finite"]


@pytest.mark.parametrize("rate", [0.8, 0.97, 0.999])
def test_more_iterations_are_as_many_as_the_fall_of_the_gradient_asks_for(rate, case):
    number = np.arange(100.0)
    history = np.stack([number, 1 + rate**number, rate**number], axis=1)
    of = case(Termination("iterations"), {"solver.iterations": 100}, history=history)
    (more,) = [entry.remedy.value for entry in diagnose(of) if entry.cause == "iterations"]
    needed = math.log(1e-6) / math.log(rate)
    assert 200 <= more <= 1000
    assert more >= min(needed, 1000)
    assert more <= max(2.2 * needed, 200)


def test_entries_survive_their_json():
    for remedy in (
        None,
        Remedy("mesh.elements", (8, 12)),
        Remedy("mesh.elements", "auto"),
        Remedy("network.tangential", True),
        Remedy("solver.tolerance", 1e-6),
        Remedy("solver.iterations", 400),
    ):
        entry = Diagnosis("mesh", "seen", remedy)
        assert Diagnosis.from_json(entry.to_json()) == entry
        assert set(entry.to_json()) == {"cause", "message", "try"}
        if remedy:
            assert Remedy.from_json(remedy.to_json()) == remedy


def test_numbers_are_rounded_to_one_two_and_five_and_listed_as_ranges():
    assert [rounded_up(x) for x in (1.0, 1.01, 3.0, 7.0, 20.0, 0.03)] == [1, 2, 5, 10, 20, 0.05]
    assert [rounded_down(x) for x in (1.0, 1.99, 3.0, 7.0, 20.0, 0.03)] == pytest.approx([1, 1, 2, 5, 20, 0.02])
    assert listed([3, 1, 2, 7]) == "1–3, 7"


def test_an_answer_as_low_as_any_known_is_not_told_of_another(case):
    assert diagnose(case(known=0.96)) == ()
    assert [entry.cause for entry in diagnose(case(known=0.94))] == ["local-minimum"]
