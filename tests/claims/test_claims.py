"""Every claim: its small experiment reaches the verdict that it should, and the machinery around claims."""

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pytest

from controlsde.claims import (
    CLAIMS,
    ClaimError,
    bounded_and_unbounded,
    claim_named,
    disconnected_support,
    empirical_data,
    feedback_and_forgetting,
    four_error_terms,
    gaussian_ode_and_sde,
    gaussian_start,
    gramian_and_noise,
    least_energy,
    lengths_of_pieces,
    log_concave_contraction,
    moser_flow,
    narrow_network_tracks,
    narrow_switching,
    noise_helps_only_later,
    ou_semigroup_score,
    path_kl_is_loose,
    price_of_narrowness,
    reverse_wrong_start,
    run_claim,
    schedule_sensitivity,
    score_loss_bounds_l2,
    score_network_regularity,
    sgld_gaussian_mean,
)
from controlsde.claims import noise_upgrades_convergence as upgrades
from controlsde.claims.harness.claim import Findings, Setting, at_least, at_most, equal, report, verdict_of
from controlsde.claims.harness.evolution import piece_at
from controlsde.claims.harness.fitting import exponential, power_law
from controlsde.claims.harness.optimised import gathered
from controlsde.claims.harness.pages import introduction, page, write_index, write_page, write_text
from controlsde.claims.harness.settings import SettingError, with_settings
from controlsde.fokker_planck.mesh import Mesh
from controlsde.fokker_planck.operator import Operator

DOCS = Path(__file__).parents[2] / "docs" / "claims"


ALIKE = (  # whose experiments do what others do that stay in the quick tests, for longer
    "noise-frontier-free-lengths", "gaussian-ode-and-sde", "narrow-network-2d", "moser-flow", "log-concave-contraction",
    "path-kl-is-loose", "price-of-narrowness", "energy-bound", "bound-prefers-noise", "feedback-and-forgetting",
    "free-lengths", "forward-noise", "narrow-networks-on-digits", "noise-frontier", "gramian-and-noise",
    "bounded-and-unbounded", "disconnected-support", "empirical-data",
)  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in ALIKE else name for name in CLAIMS]
)
def test_the_small_experiment_reaches_the_verdict_that_it_should(name):
    claim = claim_named(name)
    tested = run_claim(claim, claim.fast)
    missed = [row for row in tested.findings.rows if row.passed is False]
    assert tested.as_expected, missed
    assert claim.id == name
    assert {field.name for field in fields(claim.parameters)} == {field.name for field in fields(claim.fast)}
    entry = json.loads(json.dumps(tested.to_json(), allow_nan=False))
    assert list(entry) == ["id", "source", "statement", "rows", "verdict"]
    assert {tuple(row) for row in entry["rows"]} == {("parameter", "expected", "measured", "tolerance", "passed")}
    text = page(tested)
    assert text.startswith(introduction(claim))
    assert all(row.parameter.replace("|", r"\|") in text for row in tested.findings.rows)


@pytest.mark.parametrize("name", CLAIMS)
def test_its_page_is_that_of_its_module(name):
    stored = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert stored.startswith(introduction(claim_named(name))), "run `make claims`"
    assert f"]({name}.md)" in (DOCS / "README.md").read_text(encoding="utf-8")
    assert (DOCS / f"{name}.png").exists()


# ---- physics broken on purpose


def upwind(mesh, diffusivity, build=Operator.build):
    """What a first-order upwind scheme does: the drift's own |v|h/2 beside the diffusivity."""
    return build(mesh, diffusivity + 0.5 * 0.01)


def test_numerical_diffusion_refutes_the_flow_without_noise(monkeypatch):
    monkeypatch.setattr(Operator, "build", staticmethod(upwind))
    tested = run_claim(claim_named("noise-upgrades-convergence"), upgrades.Parameters(oscillations=(1, 2, 4, 8)))
    assert tested.verdict == "refuted"
    assert any("no noise: ‖ρ − 1‖" in row.parameter for row in tested.findings.rows if row.passed is False)


def test_a_drift_of_the_wrong_size_refutes_it(monkeypatch):
    right = upgrades.oscillating
    monkeypatch.setattr(upgrades, "oscillating", lambda amplitude, n: right(1.001 * amplitude, n))
    assert (
        run_claim(claim_named("noise-upgrades-convergence"), upgrades.Parameters(oscillations=(1, 2, 4, 8))).verdict
        == "refuted"
    )


def undoubled(parameters, pattern, periods, t, x, right=narrow_switching.in_turn):
    return 0.5 * right(parameters, pattern, periods, t, x)


def bias_once(parameters, noise, t, x, right=noise_helps_only_later.biased):
    return right(parameters, noise, t, x) - noise * parameters.bias


def without_quarter(times, states, gaps, diffusivity, right=path_kl_is_loose.path_kl):
    return 4 * right(times, states, gaps, diffusivity)


def without_sources(times, states, gap, largest, diffusivity, right=score_loss_bounds_l2.bound_of):
    return right(times, states, 0.01 * gap, largest, diffusivity)


def without_way_back(variance, horizon, right=gaussian_start.contraction):
    return right(variance, horizon) * np.exp(horizon)


def without_decay(parameters, y, time=0.0, right=ou_semigroup_score.slope):
    return np.exp(time) * right(parameters, y, time)


def without_score(reference, noise, t, x, right=moser_flow.exact):
    return right(reference, 0.0 * noise, t, x)


def without_forgetting(time, function, x, right=reverse_wrong_start.noised):
    return right(0.0 * time, function, x)


def too_sure_of_the_mean(horizon, step, right=sgld_gaussian_mean.scheme_law):
    a, v = right(horizon, step)
    return (1 + a) / 2, v


def forgets_more(variance, horizon, stop, right=log_concave_contraction.contraction):
    return right(variance, horizon, stop) * np.exp(-horizon)


def to_broader_data(mean, variance, horizon, bias, right=four_error_terms.reverse_process):
    return right(mean, 1.1 * variance, horizon, bias)


def half_as_steep(parameters, tracking, drifts, more, right=gaussian_ode_and_sde.final_of_linear):
    return right(parameters, tracking, 0.5 * drifts, more)


def too_strong(network, weights, ordering, rounds, horizon, right=narrow_network_tracks.played):
    narrow, turns = right(network, weights, ordering, rounds, horizon)
    a, w, b = narrow.split(turns)
    return narrow, narrow.join(1.01 * a, w, b)


def too_gentle(reference, noise, t, x, right=disconnected_support.exact):
    return 0.98 * right(reference, noise, t, x)


def too_few(data, count, blur, shrink=1.0, right=empirical_data.expected_squared_error):
    return right(data, 2 * count, blur, shrink)


def too_gentle_at_an_edge(reference, noise, t, x, right=bounded_and_unbounded.exact):
    return 0.98 * right(reference, noise, t, x)


def too_cheap(linearisation, right=gramian_and_noise.drifts_about):
    found = right(linearisation)
    return replace(found, inverse_roots=1.001 * found.inverse_roots)


def without_half_the_score(reference, noise, t, x, right=schedule_sensitivity.exact):
    return right(reference, 0.5 * noise, t, x)


def forgets_without_noise(reference, noise, t, x, right=feedback_and_forgetting.exact):
    return right(reference, noise + 0.05, t, x)


def remembers(variance, horizon, noise, right=feedback_and_forgetting.kept):
    return right(variance, horizon, 0.0 * noise)


def against_the_density(result, start, ways, right=feedback_and_forgetting.feedbacks):
    """Loops that are open after all."""
    return tuple(replace(one, closed_loop=one.open_loop) for one in right(result, start, ways))


def astray(t, x, best, right=least_energy.steered):
    return 1.001 * right(t, x, best)


def too_much_to_ask(problem, within, right=price_of_narrowness.least):
    """A bound that the exact drift falls below."""
    found = right(problem, within)
    return replace(found, value=1.2 * found.value, refined=1.2 * found.refined)


def from_other_weights(parameters, noise, pieces, start, right=lengths_of_pieces.freed):
    """Free lengths that do not begin with the answer, and do not get far."""
    wrong = replace(start, A=-start.A)
    return right(replace(parameters, iterations=1), noise, pieces, wrong)


def no_answers(_, seeds, *__):
    return gathered(seeds, [None] * len(seeds))


@pytest.mark.parametrize(
    ("module", "name", "broken"),
    [
        pytest.param(least_energy, "steered", astray, marks=pytest.mark.slow),
        pytest.param(price_of_narrowness, "least", too_much_to_ask, marks=pytest.mark.slow),
        pytest.param(lengths_of_pieces, "freed", from_other_weights, marks=pytest.mark.slow),
        (gramian_and_noise, "drifts_about", too_cheap),
        (feedback_and_forgetting, "exact", forgets_without_noise),
        (feedback_and_forgetting, "kept", remembers),
        pytest.param(narrow_network_tracks, "played", too_strong, marks=pytest.mark.slow),
        (schedule_sensitivity, "exact", without_half_the_score),
        (bounded_and_unbounded, "exact", too_gentle_at_an_edge),
        (empirical_data, "expected_squared_error", too_few),
        (disconnected_support, "exact", too_gentle),
        pytest.param(four_error_terms, "reverse_process", to_broader_data, marks=pytest.mark.slow),
        pytest.param(gaussian_ode_and_sde, "final_of_linear", half_as_steep, marks=pytest.mark.slow),
        (sgld_gaussian_mean, "scheme_law", too_sure_of_the_mean),
        pytest.param(log_concave_contraction, "contraction", forgets_more, marks=pytest.mark.slow),
        pytest.param(moser_flow, "exact", without_score, marks=pytest.mark.slow),
        pytest.param(reverse_wrong_start, "noised", without_forgetting, marks=pytest.mark.slow),
        (ou_semigroup_score, "slope", without_decay),
        pytest.param(narrow_switching, "in_turn", undoubled, marks=pytest.mark.slow),
        (noise_helps_only_later, "biased", bias_once),
        pytest.param(path_kl_is_loose, "path_kl", without_quarter, marks=pytest.mark.slow),
        (score_loss_bounds_l2, "bound_of", without_sources),
        (gaussian_start, "contraction", without_way_back),
    ],
)
def test_wrong_physics_is_refuted(monkeypatch, module, name, broken):
    monkeypatch.setattr(module, name, broken)
    if hasattr(module, "optimise"):  # what is optimised expects nothing, and takes its time
        monkeypatch.setattr(module, "optimise", no_answers)
    assert run_claim(module.CLAIM, module.CLAIM.fast).verdict == "refuted"


@pytest.mark.slow
def test_feedback_that_does_nothing_is_refuted(monkeypatch):
    monkeypatch.setattr(feedback_and_forgetting, "feedbacks", against_the_density)
    tested = run_claim(feedback_and_forgetting.CLAIM, feedback_and_forgetting.CLAIM.fast)
    missed = [row.parameter for row in tested.findings.rows if row.passed is False]
    assert "linear law: what feedback gains without noise" in missed
    assert "re-planned: what feedback gains without noise" in missed


def test_a_network_score_is_found_and_any_other_leaves_an_error():
    mesh = Mesh.build(((-2.0, 2.0),), "reflecting", (8,), 8)
    x = mesh.points[:, 0]
    parameters = replace(score_network_regularity.Parameters(), starts=4)
    two = (np.tanh(2 * x + 1) - 0.5 * np.tanh(x - 0.3))[:, None]
    found = score_network_regularity.relative_errors(mesh, np.exp(-(x**2)), two, (1, 2, 3), parameters)
    assert found[0] > 0.05
    assert max(found[1:]) < 1e-5
    bent = score_network_regularity.relative_errors(mesh, np.exp(-(x**2)), np.sign(x)[:, None], (1, 2), parameters)
    assert bent[1] <= bent[0]


def test_every_slip_in_print_is_refuted_on_its_own():
    claim = claim_named("slips-in-print")
    rows = run_claim(claim, claim.fast).findings.rows
    assert [row.passed for row in rows if row.expected is not None] == [False] * 8


def test_the_end_of_a_piece_belongs_to_it():
    edges = np.linspace(0.0, 1.5, 2049)
    assert [piece_at(edges, t) for t in (0.0, edges[1], edges[1] + 1e-6, edges[-1])] == [0, 0, 1, 2047]
    assert all(piece_at(edges, edges[k + 1]) == k for k in range(2048))


# ---- rows and slopes


def test_a_row_passes_within_its_tolerance_and_never_without_a_number():
    assert equal("a", 1.0, 1.1, 0.2, "").passed is True
    assert equal("a", 1.0, 0.7, 0.2, "").passed is False
    assert at_most("a", 1.0, 0.1, 0.0, "").passed is True
    assert at_most("a", 1.0, 1.1, 0.0, "").passed is False
    assert at_least("a", 1.0, 1.1, 0.0, "").passed is True
    assert at_least("a", 1.0, 0.9, 0.0, "").passed is False
    assert report("a", 1.0).passed is None
    assert equal("a", 1.0, float("nan"), 1.0, "").passed is False
    assert at_most("a", 1.0, float("nan"), 1.0, "").passed is False
    assert equal("a", 1.0, float("nan"), 1.0, "").to_json()["measured"] is None
    assert at_most("a", 1.0, 0.1, 0.0, "").to_json()["parameter"] == "a (at most)"


def test_the_verdict_follows_from_the_rows():
    good, bad = equal("a", 1.0, 1.0, 0.1, ""), equal("a", 1.0, 2.0, 0.1, "")
    assert verdict_of((good, report("b", 2.0))) == "confirmed"
    assert verdict_of((good, bad)) == "refuted"
    assert verdict_of((report("b", 2.0),)) == "open"


def test_slopes_and_their_intervals():
    x = np.array([1.0, 2.0, 4.0, 8.0])
    exact = power_law(x, 3 * x**-2.0)
    assert exact.value == pytest.approx(-2.0)
    assert exact.half_width < 1e-10
    assert exponential(x, np.exp(0.5 * x)).value == pytest.approx(0.5)
    rng = np.random.default_rng(0)
    many = np.geomspace(1, 100, 12)
    inside = 0
    for _ in range(400):
        slope = power_law(many, many**-1.0 * np.exp(0.1 * rng.standard_normal(12)))
        inside += abs(slope.value + 1.0) <= slope.half_width
    assert 0.92 < inside / 400 < 0.98
    with pytest.raises(ValueError, match="three points"):
        power_law([1, 2], [1, 2])


# ---- parameters


@dataclass(frozen=True)
class Sample:
    size: float = 1.0
    count: int = 2
    many: tuple[int, ...] = (1, 2)
    word: str = "a"


def test_parameters_are_read_by_the_kind_of_their_defaults():
    found = with_settings(Sample(), ["size=2", "count=3", "many=[4, 5]", "word=b"])
    assert found == Sample(2.0, 3, (4, 5), "b")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("siez=2", "did you mean size"),
        ("size", "KEY=VALUE"),
        ("count=1.5", "whole number"),
        ("size=a", "must be a number"),
        ("size=inf", "finite"),
        ("many=[]", "give a list"),
    ],
)
def test_a_wrong_parameter_is_one_line_with_the_cure(setting, words):
    with pytest.raises(SettingError, match=words):
        with_settings(Sample(), [setting])


def test_an_unknown_claim_is_named_with_the_nearest():
    with pytest.raises(ClaimError, match="did you mean noise-upgrades-convergence"):
        claim_named("noise-upgrade-convergence")


def test_a_page_and_its_figure_are_written(tmp_path):
    claim = claim_named("noise-upgrades-convergence")
    small = replace(claim.fast, oscillations=(1, 2, 4, 8))
    write_page(run_claim(claim, small), tmp_path)
    assert (tmp_path / f"{claim.id}.png").read_bytes().startswith(b"\x89PNG")
    assert "Measured with `oscillations` = [1, 2, 4, 8]" in (tmp_path / f"{claim.id}.md").read_text(encoding="utf-8")
    assert "confirmed" in (tmp_path / f"{claim.id}.md").read_text(encoding="utf-8").lower()


def test_an_index_lists_every_page_in_its_folder_whenever_it_was_written(tmp_path):
    for name in ("ou-semigroup-score", "noise-upgrades-convergence"):
        claim = claim_named(name)
        small = replace(claim, experiment=lambda *_: Findings((report("a", 1.0),), (), "said"))
        write_text(tmp_path / f"{name}.md", page(run_claim(small, claim.fast)))
    write_index(map(claim_named, CLAIMS), tmp_path)
    listed = [line for line in (tmp_path / "README.md").read_text(encoding="utf-8").splitlines() if "| open |" in line]
    assert [line.split("]")[0] for line in listed] == ["| [noise-upgrades-convergence", "| [ou-semigroup-score"]


def test_an_experiment_reports_what_it_does():
    seen = []
    claim = replace(claim_named(next(iter(CLAIMS))), experiment=lambda p, _: Findings((report("a", p),), (), "said"))
    tested = run_claim(claim, 3.0, Setting(seen.append))
    assert seen[0].task == "measuring"
    assert tested.findings.rows[0].measured == 3.0
