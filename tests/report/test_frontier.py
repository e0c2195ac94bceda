"""The picture of the least energies."""

from controlsde.problem import load_problem
from controlsde.report.frontier import least_energies
from controlsde.workflow.bounding import bound


def test_the_frontier_says_which_energy_it_bounds():
    for name, integrand in (("two-bumps", "∫∫|v|²ρ"), ("vp-cosine", "∫∫(D̄/D) |v|²ρ")):
        figure = least_energies(bound(load_problem(name), [0.05], [1.0], frontiers=True))
        (axes,) = figure.axes
        assert integrand in axes.get_ylabel()
        assert axes.get_title(loc="left") == "noise 1"
        assert "no drift can" in {text.get_text() for text in axes.texts}
