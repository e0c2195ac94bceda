"""Pictures: they show the numbers of the result, nothing is cut off or hidden, and they are written in one step."""

import dataclasses
import sys
import warnings
from itertools import pairwise

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgb
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.image import imread
from matplotlib.patches import StepPatch
from matplotlib.quiver import Quiver

from controlsde.control.controls import Controls
from controlsde.control.drift import network_drift
from controlsde.fokker_planck.mesh import Mesh
from controlsde.problem import parse_problem
from controlsde.problem.schema import Bounds, ExactDriftSpec, FormulaDriftSpec
from controlsde.report import compared, curves, densities, particles
from controlsde.report.canvas import TITLE_LINE, noise_colour, number, standing
from controlsde.report.figures import save_comparison, save_figures
from controlsde.report.moments import chosen_times, error_then
from controlsde.tracking.tracking_problem import build_network
from controlsde.verification.evidence import Fields
from controlsde.workflow.comparison import Comparison, at_noise
from controlsde.workflow.simulation import simulate
from controlsde.workflow.solving import solve
from tests.quick import only, slow

PROBLEM = """\
name: small
domain: {box: [[-4, 4]]}
reference:
  kind: reversed-diffusion
  horizon: 1
  data: {kind: mixture, weights: [0.5, 0.5], means: [-1, 1], stds: [0.4, 0.4]}
controls: {pieces: 4}
mesh: {elements: [6], degree: 6, steps_per_piece: 2}
solver: {kind: shooting, starts: 2, iterations: 4}
monte_carlo: {particles: 500, steps_per_piece: 8}
"""


@pytest.fixture(scope="module")
def result():
    return solve(parse_problem(PROBLEM))


@pytest.fixture(scope="module")
def plane(result):
    """A result in two dimensions: a Gaussian that moves, after one that moves a little slower."""
    times = np.linspace(0, 1, 9)
    mesh = Mesh.build(((-2, 2), (-1, 1)), "reflecting", (32, 16), 1)
    x, y = (axis.grid for axis in mesh.axes)

    def bump(speed):
        centre = speed * (times[:, None, None] - 0.5)
        return np.exp(-((x[:, None] - centre) ** 2 + y**2) / 0.3)

    density, reference = bump(0.8), bump(1.0)
    error = np.sqrt(np.mean((density - reference) ** 2, axis=(1, 2)))
    fields = Fields(mesh, times, density, reference, times, error, times, error)
    box = [[-2, 2], [-1, 1]]
    problem = parse_problem(
        PROBLEM, set={"domain.box": box, "reference.data": {"kind": "uniform"}, "mesh.elements": [4, 4]}
    )
    rng = np.random.default_rng(0)
    pieces = 4
    controls = Controls(
        rng.normal(size=(pieces, 2, 2)), rng.normal(size=(pieces, 2, 2)), rng.normal(size=(pieces, 2)), times[::2]
    )
    return dataclasses.replace(result, problem=problem, fields=fields, controls=controls)


def at(result, noise, factor=1.0):
    """The same result as if it were of another noise level, its errors times a factor."""
    tracking = dataclasses.replace(
        result.tracking, l2_final=factor * result.tracking.l2_final, w2_final=factor * result.tracking.w2_final
    )
    fields = dataclasses.replace(result.fields, l2=factor * result.fields.l2)
    return dataclasses.replace(result, problem=at_noise(result.problem, noise), tracking=tracking, fields=fields)


@pytest.fixture(scope="module")
def comparison(result):
    levels = (0.0, 0.25, 1.0)
    results = tuple(at(result, level, 1 + level) for level in levels)
    cross = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, np.nan], [0.7, 0.8, 9.0]])
    return Comparison(result.problem, results, cross, "a note")


def wide(result, width, bound=50.0, largest=None):
    """The result with controls of another width, drawn at random."""
    rng = np.random.default_rng(width)
    times = np.linspace(0, 1, 5)
    a, w, b = rng.normal(size=(4, 1, width)), rng.normal(size=(4, width, 1)), rng.normal(size=(4, width))
    if largest is not None:
        a[1, 0, 0] = largest
    problem = result.problem.model_copy(
        update={"controls": result.problem.controls.model_copy(update={"bounds": Bounds(A=bound, W=bound, b=bound)})}
    )
    return dataclasses.replace(result, problem=problem, controls=Controls(a, w, b, times))


def broken(result):
    """The result as it would be if the density had stopped being finite half-way."""
    fields, half = result.fields, len(result.fields.times) // 2
    density, l2, discrete = fields.density.copy(), fields.l2.copy(), fields.discrete_l2.copy()
    density[half:], l2[half:], discrete[half:] = np.nan, np.nan, np.nan
    history = result.history.copy()
    history[-1, 1:] = np.nan
    nothing = float("nan")
    evidence = dataclasses.replace(result.certificate.monte_carlo, l2_final=nothing, l2_final_se=nothing)
    return dataclasses.replace(
        result,
        status="interrupted",
        objective=nothing,
        starts=(nothing, 0.2),
        history=history,
        fields=dataclasses.replace(fields, density=density, l2=l2, discrete_l2=discrete),
        tracking=dataclasses.replace(result.tracking, l2_sup=nothing, l2_final=nothing),
        certificate=dataclasses.replace(result.certificate, monte_carlo=evidence),
    )


def only_nan(result):
    """The result with no finite number in its density, errors and history."""
    fields = result.fields
    nothing = {name: np.full_like(getattr(fields, name), np.nan) for name in ("density", "l2", "discrete_l2")}
    history = np.full_like(result.history, np.nan)
    return dataclasses.replace(
        result, fields=dataclasses.replace(fields, **nothing), history=history, starts=(float("nan"),) * 2
    )


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def few_dots(monkeypatch):
    """Pictures of few pixels, for tests of which files there are."""
    monkeypatch.setattr("controlsde.report.canvas.DOTS_PER_INCH", 20)


def panels(figure):
    """The axes that hold a picture: no colour bars, nothing hidden."""
    return [axes for axes in figure.axes if axes.get_visible() and axes.get_label() != "<colorbar>"]


def words(figure):
    """All text on the figure, panel titles included."""
    titles = [axes.get_title(loc) for axes in figure.axes for loc in ("left", "center", "right")]
    return " | ".join([text.get_text() for text in figure.texts] + titles)


# --- files ---------------------------------------------------------------------------------------------------


def test_a_result_gives_four_readable_png_files(result, tmp_path):
    written = save_figures(result, tmp_path / "new" / "folder")
    assert [path.name for path in written] == ["density.png", "weights.png", "error.png", "convergence.png"]
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == sorted(p.name for p in written)
    for path in written:
        pixels = imread(path)
        assert pixels.shape[1] >= 1500
        assert pixels[..., :3].std() > 0.02


def test_a_comparison_gives_four_png_files(comparison, tmp_path):
    written = save_comparison(comparison, tmp_path)
    assert [path.name for path in written] == ["densities.png", "errors.png", "cross.png", "distances.png"]
    assert all(imread(path).shape[1] >= 1500 for path in written)


@pytest.mark.usefixtures("few_dots")
def test_a_given_drift_has_no_pictures_of_a_solve_and_old_ones_go(result, tmp_path):
    for old in ("weights.png", "convergence.png"):
        (tmp_path / old).write_bytes(b"of an earlier result")
    given = dataclasses.replace(result, controls=None, history=np.zeros((0, 3)), starts=(), status="given")
    written = save_figures(given, tmp_path)
    assert {path.name for path in written} == {path.name for path in tmp_path.iterdir()} == {"density.png", "error.png"}


@pytest.mark.usefixtures("few_dots")
def test_a_picture_that_fails_leaves_the_earlier_one_and_no_pieces(result, tmp_path, monkeypatch):
    save_figures(result, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def fails(_, stream, **__):
        stream.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(FigureCanvasAgg, "print_png", fails)
    with pytest.raises(OSError, match="disk full"):
        save_figures(result, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.usefixtures("few_dots")
def test_pictures_need_no_pyplot_and_leave_matplotlibs_settings_alone(result, comparison, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # an import would fail
    settings = {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}
    save_figures(result, tmp_path)
    save_comparison(comparison, tmp_path)
    assert {name: matplotlib.rcParams[name] for name in settings} == settings


# --- layout ----------------------------------------------------------------------------------------------------

PICTURES = {
    "density": densities.density_strip,
    "weights": curves.weights,
    "error": curves.error_against_time,
    "convergence": curves.convergence,
}


def failed_in_everything(one):
    """The result with every check failed, which makes the longest words under a title."""
    checks = tuple(dataclasses.replace(check, passed=False) for check in one.certificate.checks)
    return dataclasses.replace(
        one, status="not-converged", certificate=dataclasses.replace(one.certificate, checks=checks)
    )


def named(one, name):
    return dataclasses.replace(one, problem=one.problem.model_copy(update={"name": name}))


VARIANTS = {
    "solved": lambda one: one,
    "all failed": failed_in_everything,
    "given and failed": lambda one: failed_in_everything(dataclasses.replace(one, status="given", solver="given")),
    "a long name": lambda one: named(one, "a name that is much longer than one line " * 3),
    "an endless name": lambda one: named(one, "x" * 500),
    "a name with dollars": lambda one: named(one, r"costs $5 or \frac $"),
    "four neurons": lambda one: wide(one, 4),
    "twelve neurons": lambda one: wide(one, 12),
    "broken": broken,
    "long words": lambda one: dataclasses.replace(one, message="word " * 100, status="not-converged"),
}


def assert_nothing_is_cut_off_or_covered(figure):
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    frame = figure.bbox
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes if axes.get_visible()]
    boxes += [text.get_window_extent(renderer) for text in figure.texts if text.get_text()]
    boxes += [one.get_window_extent(renderer) for one in figure.legends]
    for box in boxes:
        assert box.x0 >= frame.x0 - 1
        assert box.y0 >= frame.y0 - 1
        assert box.x1 <= frame.x1 + 1
        assert box.y1 <= frame.y1 + 1
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            width = min(one.x1, other.x1) - max(one.x0, other.x0)
            height = min(one.y1, other.y1) - max(one.y0, other.y0)
            assert width <= 2 or height <= 2, (one, other)
    for axes in panels(figure):
        assert_no_legend_covers_a_curve(axes, renderer)
        titles = [axes.title, axes._left_title, axes._right_title]
        extents = [title.get_window_extent(renderer) for title in titles if title.get_text()]
        assert all(one.x1 < other.x0 for one, other in pairwise(extents))


def assert_no_legend_covers_a_curve(axes, renderer):
    if axes.get_legend() is None:
        return
    box = axes.get_legend().get_window_extent(renderer)
    for line in axes.get_lines():
        points = axes.transData.transform(np.ma.masked_invalid(line.get_xydata()).filled(-1.0))
        assert not any(box.contains(*point) for point in points)


@pytest.mark.parametrize("variant", only(["all failed", "an endless name", "twelve neurons"], VARIANTS))
@pytest.mark.parametrize("picture", PICTURES)
def test_nothing_of_a_result_is_cut_off_or_covered(result, picture, variant):
    assert_nothing_is_cut_off_or_covered(PICTURES[picture](VARIANTS[variant](result)))


@pytest.mark.parametrize("picture", PICTURES)
def test_nothing_in_two_dimensions_is_cut_off_or_covered(plane, picture):
    assert_nothing_is_cut_off_or_covered(PICTURES[picture](plane))


def test_nothing_of_a_simulation_is_cut_off_or_covered(result):
    for one in (simulate(result, 2000), simulate(named(result, "a long name " * 8), 2000)):
        assert_nothing_is_cut_off_or_covered(particles.histograms(one))


@pytest.mark.slow
def test_a_long_title_heightens_the_figure_and_ends_in_an_ellipsis(result):
    short, long, endless = (
        densities.density_strip(named(result, name)) for name in ("name", "long name " * 12, "long name " * 100)
    )
    assert [figure.texts[0].get_text().count("\n") for figure in (short, long, endless)] == [0, 1, 2]
    assert endless.texts[0].get_text().endswith("…")
    heights = [figure.get_size_inches()[1] for figure in (short, long, endless)]
    np.testing.assert_allclose(np.diff(heights), TITLE_LINE)
    for figure in (short, long):
        figure.draw_without_rendering()
    shown = [panels(figure)[0].get_position().height * figure.get_size_inches()[1] for figure in (short, long)]
    assert shown[0] == pytest.approx(shown[1], rel=0.01)


def test_the_name_of_a_problem_is_shown_as_it_is(result):
    title = densities.density_strip(named(result, "a $x^2$ b")).texts[0]
    assert title.get_text().startswith("a $x^2$ b, noise 1")
    assert not title.get_parse_math()


@pytest.mark.parametrize("count", [*map(slow, (1, 2)), 7])
def test_nothing_of_a_comparison_is_cut_off_or_covered(result, count):
    levels = [0.0, 1.0, 0.1, 0.25, 0.5, 2.0, 4.0][:count]
    results = tuple(at(result, level) for level in levels)
    several = Comparison(result.problem, results, np.full((count, count), 0.123), "")
    assert_nothing_is_cut_off_or_covered(densities.final_densities(results, "title", "subtitle", alarm=False))
    for draw in (compared.error_curves, compared.cross_table, compared.distance_bars):
        assert_nothing_is_cut_off_or_covered(draw(several))


# --- densities -------------------------------------------------------------------------------------------------


def test_the_strip_shows_both_densities_at_eight_times_with_errors(result):
    fields = result.fields
    shown = panels(densities.density_strip(result))
    assert len(shown) == 8
    chosen = chosen_times(fields.times, 8)
    assert (chosen[0], chosen[-1]) == (0, len(fields.times) - 1)
    for axes, index in zip(shown, chosen, strict=True):
        density, reference = axes.get_lines()
        np.testing.assert_array_equal(density.get_ydata(), fields.density[index])
        np.testing.assert_array_equal(reference.get_ydata(), fields.reference[index])
        assert reference.get_linestyle() == "--"
        assert f"t = {fields.times[index]:.3g}" in axes.get_title("left")
        then = np.flatnonzero(fields.curve_times == fields.times[index])
        assert axes.get_title("right") == f"L² error {number(fields.l2[then[0]])}"
        assert axes.get_ylim() == shown[0].get_ylim()
    assert "(noise)" in shown[0].get_title("left")
    assert "(data)" in shown[-1].get_title("left")


def test_a_peak_far_above_the_reference_is_cut_and_its_height_written(result):
    density = result.fields.density.copy()
    density[-1] *= 50
    towering = dataclasses.replace(result, fields=dataclasses.replace(result.fields, density=density))
    last = panels(densities.density_strip(towering))[-1]
    assert last.get_ylim()[1] < 5 * result.fields.reference.max()
    assert number(density[-1].max()) in last.texts[0].get_text()


def test_errors_over_densities_are_those_of_their_own_time(result, plane):
    fields = result.fields
    assert len(fields.curve_times) > len(fields.times)  # the curve is finer than the densities
    weights = np.gradient(fields.axes[0])
    for index in chosen_times(fields.times, 8):
        own = np.sqrt(weights @ (fields.density[index] - fields.reference[index]) ** 2)
        assert error_then(result, index) == pytest.approx(own, rel=0.1, abs=1e-6)
    titles = [axes.get_title("left") for axes in panels(densities.density_strip(plane))[:6]]
    assert titles[-1].endswith(f"L² error {number(plane.fields.l2[-1])}")


def shown_values(axes):
    """What an image shows, as (n_x, n_y)."""
    image = axes.collections[0]
    rows, columns = np.unique(image.get_coordinates()[..., 1]).size, np.unique(image.get_coordinates()[..., 0]).size
    return np.asarray(image.get_array()).reshape(rows, columns).T


def test_reference_density_and_error_are_shown_each_on_one_scale_of_colours(plane):
    fields = plane.fields
    shown = panels(densities.density_strip(plane))
    chosen = chosen_times(fields.times, 6)
    rows = [shown[:6], shown[6:12], shown[12:]]
    assert [row[0].get_ylabel().split("\n")[0] for row in rows] == ["reference p", "controlled ρ", "error ρ − p"]
    error = fields.density[chosen] - fields.reference[chosen]
    for row, values in zip(rows, (fields.reference[chosen], fields.density[chosen], error), strict=True):
        for axes, one in zip(row, values, strict=True):
            np.testing.assert_allclose(shown_values(axes), one)
            assert axes.get_aspect() == 1
    top = max(fields.density.max(), fields.reference.max())
    assert {axes.collections[0].norm.vmax for axes in shown[:12]} == {top}
    assert {axes.collections[0].norm.vmin for axes in shown[12:]} == {-np.abs(error).max()}
    assert {axes.collections[0].norm.vmax for axes in shown[12:]} == {np.abs(error).max()}


def arrows_of(axes):
    (arrows,) = [item for item in axes.collections if isinstance(item, Quiver)]
    return arrows.get_offsets(), np.stack([arrows.U, arrows.V], axis=1)


def test_arrows_are_the_drift_of_the_piece_on_one_scale_where_there_is_mass(plane):
    fields, controls = plane.fields, plane.controls
    drift = network_drift(build_network(plane.problem), controls, 1.0)
    figure = densities.density_strip(plane)
    scales = []
    for axes, index in zip(panels(figure)[6:12], chosen_times(fields.times, 6), strict=True):
        places, arrows = arrows_of(axes)
        piece = min(int(fields.times[index] * 4), 3)
        wanted = drift.values(piece, fields.times[index], np.asarray(places))
        scales.append(arrows / wanted)
        (x, y), density = fields.axes, fields.density[index]
        mass = density[np.abs(x[:, None] - places[:, 0]).argmin(0), np.abs(y[:, None] - places[:, 1]).argmin(0)]
        assert 5 < len(places) < 60
        assert mass.min() > 0.01 * density.max()
    np.testing.assert_allclose(np.concatenate(scales), scales[0][0, 0])
    assert "arrows: the drift, |v| up to" in words(figure)


@pytest.mark.slow
def test_a_formula_has_arrows_and_an_exact_drift_has_none(plane):
    def given(drift):
        problem = plane.problem.model_copy(update={"drift": drift})
        return dataclasses.replace(plane, controls=None, problem=problem)

    formula = given(FormulaDriftSpec(kind="formula", expressions=["-y", "x"]))
    places, arrows = arrows_of(panels(densities.density_strip(formula))[6])
    np.testing.assert_allclose(arrows[:, 0] * places[:, 0] + arrows[:, 1] * places[:, 1], 0.0, atol=1e-12)
    exact = densities.density_strip(given(ExactDriftSpec(kind="exact")))
    assert "arrows" not in words(exact)
    assert not any(isinstance(item, Quiver) for axes in panels(exact) for item in axes.collections)


def test_a_density_of_three_dimensions_is_shown_integrated_over_z(plane):
    fields = plane.fields
    z = Mesh.build(((0, 2),), "reflecting", (4,), 1).axes
    deep = dataclasses.replace(
        fields,
        mesh=Mesh((*fields.mesh.axes, *z)),
        density=np.repeat(fields.density[..., None], 5, axis=-1),
        reference=np.repeat(fields.reference[..., None], 5, axis=-1),
    )
    figure = densities.density_strip(dataclasses.replace(plane, fields=deep))
    shown = panels(figure)
    np.testing.assert_allclose(shown_values(shown[0]), 2 * fields.reference[0])
    np.testing.assert_allclose(shown_values(shown[6]), 2 * fields.density[0])
    assert len(shown[6].collections) == 1  # no arrows
    assert "∫ρ dz" in " ".join(axes.get_ylabel() for axes in figure.axes)


# --- weights, errors, convergence ------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 3])
def test_weights_are_steps_on_the_pieces_a_row_of_panels_a_neuron(result, width):
    one = wide(result, width)
    shown = panels(curves.weights(one))
    assert len(shown) == 3 * width
    parts = [one.controls.A[:, 0], one.controls.W[..., 0], one.controls.b]
    for place, axes in enumerate(shown):
        (steps,) = [patch for patch in axes.patches if isinstance(patch, StepPatch)]
        np.testing.assert_array_equal(steps.get_data().values, parts[place % 3][:, place // 3])
        np.testing.assert_array_equal(steps.get_data().edges, one.controls.times)


def test_both_components_of_a_weight_in_two_dimensions_are_shown(plane):
    first = panels(curves.weights(plane))[0]
    drawn = [patch.get_data().values for patch in first.patches]
    np.testing.assert_array_equal(drawn, plane.controls.A[:, :, 0].T)


def test_many_neurons_are_images_of_all_weights(result):
    one = wide(result, 12)
    shown = panels(curves.weights(one))
    parts = [one.controls.A[:, 0], one.controls.W[..., 0], one.controls.b]
    for axes, values in zip(shown, parts, strict=True):
        image = next(item for item in axes.collections if isinstance(item, QuadMesh))
        np.testing.assert_array_equal(np.asarray(image.get_array()).reshape(12, 4), values.T)
        assert image.norm.vmin == -image.norm.vmax


def test_the_bounds_are_drawn_only_where_weights_come_near(result):
    def at_bound(axes):
        return {50.0, -50.0} <= {line.get_ydata()[0] for line in axes.get_lines()}

    assert [at_bound(axes) for axes in panels(curves.weights(wide(result, 1, largest=45.0)))] == [True, False, False]
    assert not any(at_bound(axes) for axes in panels(curves.weights(wide(result, 1, largest=5.0))))


def test_the_error_picture_shows_curves_and_particles_with_two_errors(result):
    fields, evidence = result.fields, result.certificate.monte_carlo
    (axes,) = panels(curves.error_against_time(result))
    verified, own = axes.get_lines()[:2]
    np.testing.assert_array_equal(verified.get_ydata(), fields.l2)
    np.testing.assert_array_equal(own.get_xdata(), fields.discrete_times)
    np.testing.assert_array_equal(own.get_ydata(), fields.discrete_l2)
    (bar,) = [item for item in axes.containers if isinstance(item, ErrorbarContainer)]
    (segment,) = bar.lines[2][0].get_segments()
    spread = 2 * evidence.l2_final_se
    np.testing.assert_allclose(segment[:, 0], 1.0)
    np.testing.assert_allclose(segment[:, 1], [evidence.l2_final - spread, evidence.l2_final + spread])


def test_errors_are_on_a_linear_scale_unless_they_span_magnitudes(result):
    (axes,) = panels(curves.error_against_time(result))
    assert axes.get_yscale() == "linear"
    assert axes.get_ylim()[0] == 0
    fields = result.fields
    spread = np.geomspace(1e-8, 1e-2, len(fields.l2))
    small = dataclasses.replace(result, fields=dataclasses.replace(fields, l2=spread))
    (axes,) = panels(curves.error_against_time(small))
    assert axes.get_yscale() == "log"


def test_convergence_shows_objective_gradient_and_every_start(result):
    objective, gradient, starts = panels(curves.convergence(result))
    np.testing.assert_array_equal(objective.get_lines()[0].get_ydata(), result.history[:, 1])
    np.testing.assert_array_equal(gradient.get_lines()[0].get_ydata(), result.history[:, 2])
    assert objective.get_yscale() == gradient.get_yscale() == "log"
    np.testing.assert_array_equal(starts.get_lines()[0].get_ydata(), np.sort(result.starts))


@pytest.mark.parametrize(
    ("count", "ticks"),
    [(1, [1]), (2, [1, 2]), (8, [1, 2, 3, 4, 5, 6, 7, 8]), (12, [2, 4, 6, 8, 10, 12]), (64, [10, 20, 30, 40, 50, 60])],
)
def test_ranks_are_marked_at_equal_distances(result, count, ticks):
    one = dataclasses.replace(result, starts=tuple(np.linspace(0.2, 0.3, count)), history=result.history)
    if count > 1:
        figure = curves.convergence(one)
        figure.draw_without_rendering()
        axes = panels(figure)[-1]
        assert [int(text.get_text()) for text in axes.get_xticklabels()] == ticks
    assert curves._ranks(count) == ticks


def test_there_are_a_few_ranks_and_all_are_equally_far_apart():
    for count in range(1, 400):
        ranks = curves._ranks(count)
        assert 1 <= len(ranks) <= 8
        assert len(set(np.diff(ranks))) <= 1
        assert 1 <= ranks[0] <= ranks[-1] <= count


def test_starts_that_broke_down_are_counted(result):
    one = dataclasses.replace(result, starts=(0.3, float("nan"), 0.1))
    starts = panels(curves.convergence(one))[-1]
    assert starts.get_title("left") == "J of 3 starts, 1 broke down"
    np.testing.assert_array_equal(starts.get_lines()[0].get_ydata(), [0.1, 0.3])


def test_without_gradients_or_several_starts_only_the_objective_is_shown(result):
    history = result.history.copy()
    history[:, 2] = np.nan
    one = dataclasses.replace(result, history=history, starts=(0.1,))
    assert len(panels(curves.convergence(one))) == 1


@pytest.mark.slow
def test_numbers_that_are_not_finite_are_drawn_as_far_as_they_go(result, tmp_path):
    assert len(save_figures(broken(result), tmp_path)) == 4
    assert "not finite" in words(curves.error_against_time(broken(result)))


@pytest.mark.slow
@pytest.mark.usefixtures("few_dots")
def test_without_any_finite_number_there_is_no_empty_picture_of_convergence(result, tmp_path):
    names = [path.name for path in save_figures(only_nan(result), tmp_path)]
    assert names == ["density.png", "weights.png", "error.png"]


def test_an_unverified_or_unfinished_result_says_so_on_its_pictures(result):
    failed = dataclasses.replace(result.certificate.checks[0], passed=False)
    checks = (failed, *result.certificate.checks[1:])
    one = dataclasses.replace(result, certificate=dataclasses.replace(result.certificate, checks=checks))
    assert f"NOT VERIFIED ({failed.name})" in words(densities.density_strip(one))
    stopped = dataclasses.replace(result, status="interrupted")
    assert "interrupted" in words(curves.error_against_time(stopped))


def test_what_was_given_is_called_so_once(result):
    controls = dataclasses.replace(result, status="given", solver="given")
    formula = dataclasses.replace(result, status="given", solver="drift: formula", controls=None)
    assert standing(controls) == "given controls, verified"
    assert standing(formula) == "given drift: formula, verified"
    assert standing(result) == "shooting, not converged, verified"


@pytest.mark.slow
@pytest.mark.usefixtures("few_dots")
@pytest.mark.parametrize("walls", [slow("periodic"), "absorbing"])
def test_other_walls_are_drawn_too(walls, tmp_path):
    overrides = {"domain.walls": walls, "reference.forward": "heat", "reference.horizon": 0.1}
    if walls == "periodic":
        overrides["reference.data"] = {"kind": "formula", "expression": "1 + 0.5*cos(pi*x/4)"}
    result = solve(parse_problem(PROBLEM, set=overrides))
    assert len(save_figures(result, tmp_path)) == 4
    results = (result, at_noise_level(result, 0.5))
    comparison = Comparison(result.problem, results, np.ones((2, 2)), "")
    assert result.tracking.w2_final is None
    second = panels(compared.distance_bars(comparison))[1]
    assert second.get_title("left") == ("total variation" if walls == "absorbing" else "Ḣ⁻¹ distance")


def at_noise_level(result, noise):
    return dataclasses.replace(result, problem=at_noise(result.problem, noise))


# --- comparisons -------------------------------------------------------------------------------------------------


def test_a_noise_level_has_the_same_colour_in_every_picture(comparison):
    wanted = [to_rgb(noise_colour(result.noise)) for result in comparison.results]
    strip = densities.final_densities(comparison.results, "", "", alarm=False)
    assert [to_rgb(axes.get_lines()[0].get_color()) for axes in panels(strip)] == wanted
    (axes,) = panels(compared.error_curves(comparison))
    assert [to_rgb(line.get_color()) for line in axes.get_lines()] == wanted
    bars = next(c for c in panels(compared.distance_bars(comparison))[0].containers if isinstance(c, BarContainer))
    assert [to_rgb(bar.get_facecolor()) for bar in bars] == wanted
    for result, colour in zip(comparison.results, wanted, strict=True):
        density = panels(densities.density_strip(result))[0].get_lines()[0]
        assert to_rgb(density.get_color()) == colour


def test_colours_of_noise_levels_differ_for_every_kind_of_colour_vision():
    # Machado, Oliveira and Fernandes (2009), severity 1: protanopia, deuteranopia, tritanopia.
    seen = {
        "normal": np.eye(3),
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    }
    colours = np.array([to_rgb(noise_colour(level)) for level in (0.0, 0.25, 1.0)])
    for kind, matrix in seen.items():
        linear = colours**2.2 @ np.array(matrix).T
        for i in range(3):
            for j in range(i):
                assert np.abs(linear[i] - linear[j]).max() > 0.04, (kind, i, j)


def test_the_cross_table_is_written_in_its_cells(comparison):
    (axes,) = panels(compared.cross_table(comparison))
    cells = {text.get_position(): text for text in axes.texts}
    for (i, j), value in np.ndenumerate(comparison.cross):
        text = cells[j + 0.5, i + 0.5]
        assert text.get_text() == number(value)
        assert text.get_weight() == ("bold" if i == j else "normal")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "0.25", "1"]
    top, bottom = sorted(axes.get_ylim())
    assert axes.get_ylim() == (bottom, top)  # the first row is at the top


def test_bars_are_the_verified_distances_with_the_particles_beside_them(comparison):
    for axes, name in zip(panels(compared.distance_bars(comparison)), ("l2_final", "w2_final"), strict=True):
        (bars,) = [item for item in axes.containers if isinstance(item, BarContainer)]
        values = [getattr(result.tracking, name) for result in comparison.results]
        np.testing.assert_allclose([bar.get_height() for bar in bars], values)
        assert [text.get_text() for text in axes.texts] == [number(value) for value in values]
    left = panels(compared.distance_bars(comparison))[0]
    assert len([item for item in left.containers if isinstance(item, ErrorbarContainer)]) == 3


def test_a_comparison_that_should_not_be_trusted_says_so(comparison):
    results = [dataclasses.replace(result, status="converged") for result in comparison.results]
    sound = dataclasses.replace(comparison, results=tuple(results))
    assert all(result.verified for result in results)
    assert compared.findings(sound)[1] is False
    results[1] = dataclasses.replace(results[1], status="not-converged")
    text, alarm = compared.findings(dataclasses.replace(comparison, results=tuple(results)))
    assert alarm
    assert text == "not converged at noise 0.25"


def test_final_densities_in_two_dimensions_are_a_row_for_each_level(plane):
    results = (plane, at_noise_level(plane, 0.5))
    figure = densities.final_densities(results, "", "", alarm=False)
    shown = panels(figure)
    assert [axes.get_ylabel().split("\n")[0] for axes in shown[::3]] == ["noise 1", "noise 0.5"]
    density, reference = plane.fields.density[-1], plane.fields.reference[-1]
    for row in (shown[:3], shown[3:]):
        assert [axes.get_title("left").split(",")[0] for axes in row] == ["reference p", "controlled ρ", "error ρ − p"]
        for axes, values in zip(row, (reference, density, density - reference), strict=True):
            np.testing.assert_allclose(shown_values(axes), values)
    assert_nothing_is_cut_off_or_covered(figure)
