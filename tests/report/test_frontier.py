"""The picture of the least energies."""

import pytest

from controlsde.problem import load_problem
from controlsde.report.frontier import least_energies
from controlsde.result.result_file import ResultError
from controlsde.workflow.bounding import bound
from controlsde.workflow.solving import evaluate


def test_the_frontier_says_which_energy_it_bounds():
    for name, integrand in (("two-bumps", "∫∫|v|²ρ"), ("vp-cosine", "∫∫(D̄/D) |v|²ρ")):
        figure = least_energies(bound(load_problem(name), [0.05], [1.0], frontiers=True))
        (axes,) = figure.axes
        assert integrand in axes.get_ylabel()
        assert axes.get_title(loc="left") == "noise 1"
        assert "no drift can" in {text.get_text() for text in axes.texts}


@pytest.mark.slow
def test_answers_stand_above_the_curve_of_their_noise_and_those_of_another_reference_are_refused():
    problem = load_problem("two-bumps", set={"drift": "exact", "monte_carlo.particles": 2000, "network.width": 2})
    answer = evaluate(problem)
    found = bound(problem, [0.05], [0.25, 1.0], frontiers=True, answers=[answer])
    (stands,) = found.answers
    assert (stands.noise, stands.width, stands.energy) == (1.0, 2, answer.energy.weighted)
    first, second = least_energies(found).axes
    labels = [{line.get_label() for line in axes.lines} for axes in (first, second)]
    assert "network of width 2" not in labels[0]
    assert "network of width 2" in labels[1]
    with pytest.raises(ResultError, match="another domain or reference than circle"):
        bound(load_problem("circle"), [0.05], answers=[answer])
