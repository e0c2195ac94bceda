"""Periods of switching must fill the pieces: what fits, and what to do where it does not."""

import pytest

from controlsde.problem import ProblemError, load_problem
from controlsde.solvers.drift_fitting.options import Switching, fitting_groups, period
from controlsde.workflow.solving import solver_options


@pytest.mark.parametrize("pieces", range(1, 60))
@pytest.mark.parametrize("ordering", ["forward", "symmetric"])
def test_what_fits_fills_the_pieces_and_the_problem_is_valid_exactly_then(ordering, pieces):
    groups = fitting_groups(ordering, pieces)
    assert all(pieces % period(ordering, count) == 0 for count in groups)
    length = 1 if ordering == "forward" else 2
    assert set(groups) == {count for count in range(2, 9) if pieces % (length * count) == 0}
    chosen = {"controls.pieces": pieces, "solver": {"kind": "switching", "ordering": ordering}}
    if groups:
        assert load_problem("two-bumps", set=chosen).solver.groups(pieces, 1) == groups
    else:
        with pytest.raises(ProblemError, match=r"controls\.pieces must hold whole periods of switching") as caught:
            load_problem("two-bumps", set=chosen)
        cure = int(str(caught.value).split("use ")[1].split(",")[0])
        assert cure > pieces
        assert load_problem("two-bumps", set={**chosen, "controls.pieces": cure}).controls.pieces == cure


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"solver.neurons": 3},
         "controls.pieces must be a multiple of 6, the pieces of a symmetric period of 3 solver.neurons (got 16): "
         "use 18"),
        ({"solver.neurons": 3, "network.width": 2},
         "solver.neurons must be a multiple of network.width 2, at least twice that (got 3): use 4"),
        ({"solver.neurons": 1},
         "solver.neurons must be a multiple of network.width 1, at least twice that (got 1): use 2"),
        ({"solver.neurons": 0}, "solver.neurons must be auto or a whole number from 1 to 256 (got 0)"),
        ({"solver.neurons": "many"}, "solver.neurons must be auto or a whole number from 1 to 256 (got 'many')"),
        ({"controls.pieces": 6, "solver.ordering": "forwards"},
         "solver.ordering must be 'symmetric' or 'forward' (got 'forwards')"),
        ({"controls.pieces": 3},
         "controls.pieces must hold whole periods of switching, each an even number of 4 to 16 pieces: use 4, or "
         "solver.ordering: forward"),
        ({"objective.terminal_error": 0.1},
         "objective.terminal_error is for solver.kind shooting or collocation, which see the error (got switching); "
         "use one of these, with solver.start: switching"),
        ({"solver": {"kind": "shooting", "start": "switching"}, "controls.pieces": 11},
         "controls.pieces must hold whole periods of switching, each a number of 2 to 8 pieces: use 12, or "
         "solver.start: random"),
        ({"solver": {"kind": "collocation", "start": "switching", "refine": [{"pieces": 11}]}, "controls.pieces": 22},
         "solver.refine.0.pieces must hold whole periods of switching, each a number of 2 to 8 pieces: use 12, or "
         "solver.start: random"),
        ({"solver": {"kind": "score-matching", "refine": [4]}},
         "solver.refine is not a known key of kind score-matching; known keys: kind, starts, seed, iterations, "
         "tolerance, device, start"),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(map(str, value)),
)  # fmt: skip
def test_what_does_not_fit_is_told_with_its_cure(chosen, message):
    kind = {} if "solver" in chosen else {"solver.kind": "switching"}
    with pytest.raises(ProblemError) as caught:
        load_problem("two-bumps", set={**kind, **chosen})
    (line,) = caught.value.messages
    assert line.endswith(message)


def test_another_kind_of_solver_is_checked_against_the_problem():
    assert solver_options(load_problem("two-bumps"), "switching") == Switching()
    with pytest.raises(ValueError, match=r"^controls\.pieces must hold whole periods of switching"):
        solver_options(load_problem("two-bumps", set={"controls.pieces": 7}), "switching")
