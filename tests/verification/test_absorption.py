"""Between absorbing walls: the mass that they took, the error that is owed to it, and what people are told."""

import math

import numpy as np
import pytest

import controlsde as cs
from controlsde.cli.console import Console
from controlsde.cli.tables import errors_table
from controlsde.problem import parse_problem
from controlsde.verification.absorption import least_error, mass_taken, sentence
from controlsde.workflow.prediction import predict

UNIT = ((0.0, 1.0),)


def flat(expression="0", noise=1.0, diffusivity=0.05, box="[[0, 1]]", walls="absorbing", drift=None):
    """Nothing to do for the reference, which is flat."""
    given = drift or f'{{kind: formula, expressions: ["{expression}"]}}'
    return parse_problem(
        f"""
domain: {{box: {box}, walls: {walls}}}
reference: {{kind: moser, horizon: 1, from: uniform, to: uniform, diffusivity: {diffusivity}}}
noise: {noise}
controls: {{pieces: 2}}
mesh: {{elements: [12]}}
monte_carlo: {{particles: 500}}
drift: {given}
"""
    )


@pytest.mark.parametrize(("noise", "diffusivity"), [(1.0, 0.05), (0.5, 0.4)])
def test_the_mass_that_is_gone_is_that_of_a_sine_series(noise, diffusivity):
    result = cs.evaluate(flat(noise=noise, diffusivity=diffusivity))
    odd = np.pi * np.arange(1, 199, 2)
    left = float(np.sum(8 / odd**2 * np.exp(-(odd**2) * noise * diffusivity)))
    assert mass_taken(result.fields) == pytest.approx(1 - left, abs=2e-6)


@pytest.mark.slow
def test_error_and_total_variation_are_at_least_the_cost_of_lost_mass():
    for diffusivity in (0.01, 2.0):
        result = cs.evaluate(flat(diffusivity=diffusivity))
        taken = mass_taken(result.fields)
        floor = least_error(taken, UNIT)
        assert taken > 0.1
        assert floor * 0.9999 <= result.tracking.l2_final
        assert result.tracking.tv_final == pytest.approx(0.5 * taken, rel=1e-3)  # ρ < p everywhere
        if diffusivity == 2.0:  # all is gone, and evenly: the bound is attained
            assert result.tracking.l2_final == pytest.approx(floor, rel=1e-6)
    assert least_error(0.5, ((-1.0, 1.0), (0.0, 8.0))) == 0.125


@pytest.mark.slow
def test_without_noise_the_exact_drift_takes_nothing_to_the_walls():
    problem = parse_problem(
        """
domain: {box: [[-1.5, 1.5]], walls: absorbing}
reference:
  {kind: reversed-diffusion, forward: heat, horizon: 0.5, data: {kind: mixture, means: [0.2], stds: [0.25]}}
noise: 0
drift: {kind: exact}
controls: {pieces: 4}
monte_carlo: {particles: 500}
"""
    )
    result = cs.evaluate(problem)
    assert mass_taken(result.fields) < 1e-7
    assert result.tracking.l2_final < 1e-4
    assert predict(problem).warnings == ()


def test_check_warns_only_where_the_reference_feels_absorbing_walls():
    def warnings(**keys):
        prediction = predict(flat(**keys))
        return prediction.warnings, prediction.reference

    (warned,), reference = warnings()
    assert "has up to 1 of its peak there" in warned
    assert "Use walls: reflecting, or a wider box" in warned
    assert reference.endswith("its walls reflect, and keep its mass")
    assert warnings(noise=0.0)[0] == ()  # the exact drift does not reach them
    nothing, reference = warnings(walls="reflecting")
    assert nothing == ()
    assert "walls reflect" not in reference
    inside = parse_problem(
        "domain: {box: [[-9, 9]], walls: absorbing}\nreference: {kind: reversed-diffusion, forward: heat, "
        "horizon: 0.5, data: {kind: mixture, means: [0], stds: [0.3]}}\n"
    )
    assert predict(inside).warnings == ()


def test_people_are_told_what_is_compared_beside_the_numbers(capsys):
    for walls in ("absorbing", "reflecting"):
        result = cs.evaluate(flat(walls=walls))
        table = errors_table(result)
        assert ("mass that the walls took" in list(table.columns[0].cells)) is (walls == "absorbing")
    absorbed = cs.evaluate(flat())
    told = sentence(absorbed.fields, UNIT)
    assert f"took {mass_taken(absorbed.fields):.3g} of the mass" in told
    assert "distances at T compare unequal masses" in told
    assert "distances" not in sentence(cs.evaluate(flat(noise=0.0)).fields, UNIT)  # nothing left
    Console().result(absorbed, None)
    assert told in " ".join(capsys.readouterr().err.split())


def test_a_density_that_blew_up_took_nothing_that_can_be_told():
    result = cs.evaluate(flat())
    broken = np.full_like(result.fields.density, math.nan)
    fields = type(result.fields)(**{**vars(result.fields), "density": broken})
    assert "not finite" in sentence(fields, UNIT)
