"""Pictures of particles: they show the numbers of the result beside p, and nothing is guessed."""

import dataclasses

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.image import imread
from matplotlib.patches import StepPatch
from scipy.stats import norm

from controlsde.foundation.files import write_whole
from controlsde.report import contact_sheet, curves, free_densities, free_distances
from controlsde.report.canvas import noise_colour, own_style
from controlsde.report.contact_sheet import ACROSS, LINES, shape_of, sheet_of
from controlsde.report.figures import save_comparison, save_figures, save_simulation
from controlsde.report.free_scene import AXES, HELD, WORST, FreeScene, distances_of
from controlsde.result.result_file import ResultError


@pytest.fixture
def composed(monkeypatch):
    """Pictures are composed and not painted."""

    def blank(figure, target):
        assert figure.axes
        write_whole(target, b"")
        return target

    monkeypatch.setattr("controlsde.report.figures.save", blank)


PIXELS = tuple(f"pixel_{i}_{j}" for i in range(3) for j in range(4))


@pytest.fixture(scope="module")
def result(made_free):
    return made_free()


@pytest.fixture(scope="module")
def pictures(made_free):
    """Of 3 × 4 pixels, in units of their own, with rows held out."""
    return made_free(0.0, d=12, names=PIXELS, scale=4, shift=8, held_out=20)


@pytest.fixture(scope="module")
def comparison(made_free_comparison):
    return made_free_comparison((0.0, 0.25, 1.0), d=12, names=PIXELS)


def drawn(figure):
    """The axes that are shown."""
    return [axes for axes in figure.axes if axes.get_visible()]


def names(paths):
    return sorted(path.name for path in paths)


@pytest.mark.usefixtures("composed")
def test_a_result_has_its_pictures_and_images_only_where_names_say_so(result, pictures, tmp_path):
    usual = ["convergence.png", "course.png", "distances.png", "marginals.png", "plane.png", "weights.png"]
    assert names(save_figures(result, tmp_path / "one")) == usual
    assert names(save_figures(pictures, tmp_path / "two")) == sorted([*usual, "images.png"])


@pytest.mark.usefixtures("composed")
def test_a_comparison_has_its_pictures(comparison, tmp_path):
    wanted = ["cross.png", "distances.png", "images.png", "likelihoods.png", "plane.png"]
    assert names(save_comparison(comparison, tmp_path)) == wanted


@pytest.mark.usefixtures("composed")
def test_a_picture_that_fails_is_a_line_and_the_others_are_drawn(result, tmp_path, monkeypatch):
    def refuse(*_):
        raise RuntimeError("no\nway")

    monkeypatch.setattr(free_densities, "plane", refuse)
    (tmp_path / "plane.png").write_bytes(b"of an earlier result")
    told = []
    found = names(save_figures(result, tmp_path, told.append))
    assert told == [f"{tmp_path}/plane.png was not drawn: RuntimeError: no"]
    assert "plane.png" not in found
    assert "marginals.png" in found
    assert not (tmp_path / "plane.png").exists()


def test_a_marginal_is_p_s_own_and_the_histogram_that_of_the_particles(result):
    (one,) = FreeScene(result).marginals(result.particles.final)[0]
    exact = 0.5 * (norm.pdf(one.x, -1.5, 0.3) + norm.pdf(one.x, 1.5, 0.3))
    np.testing.assert_allclose(one.density, exact, atol=1e-12)
    np.testing.assert_allclose(one.gaussian, norm.pdf(one.x, 0.0, np.sqrt(1.5**2 + 0.3**2)), atol=1e-12)
    counts = np.histogram(result.particles.final[:, 0], one.edges)[0]
    np.testing.assert_allclose(one.histogram * np.diff(one.edges), counts / len(result.particles.final))


def test_marginals_are_in_the_units_of_the_data_and_still_densities(made_free):
    plain, scaled = made_free(), made_free(scale=4, shift=8)
    (one,), (other,) = (FreeScene(each).marginals(each.particles.final)[1] for each in (plain, scaled))
    np.testing.assert_allclose(other.x, 4 * one.x + 8)
    np.testing.assert_allclose(other.density, one.density / 4)
    np.testing.assert_allclose(other.histogram * np.diff(other.edges), one.histogram * np.diff(one.edges))


def test_every_coordinate_has_a_panel_with_its_name_a_histogram_and_two_lines(result):
    with own_style():
        panels = drawn(free_densities.marginals(FreeScene(result)))
    assert [axes.get_xlabel() for axes in panels] == ["x1", "x2", "x3", "x4"]
    for axes in panels:
        assert sum(isinstance(patch, StepPatch) for patch in axes.patches) == 1
        assert len(axes.lines) == 2


def test_of_many_coordinates_there_are_principal_axes_and_those_that_differ_most(made_free):
    result = made_free(d=20)
    final = result.particles.final.copy()
    final[:, 17] += 3.0
    drawn = FreeScene(result).marginals(final)
    assert len(drawn) == AXES + WORST
    labels = [line[0].label for line in drawn]
    assert labels[0].startswith("principal axis 1 (")
    assert "x18" in labels[AXES:]


def test_the_first_principal_axis_of_two_bumps_goes_through_both(result):
    scene = FreeScene(result)
    along = np.array([1.5, -0.5, -0.5, -0.5]) / np.sqrt(3.0)
    np.testing.assert_allclose(np.abs(scene.axes[:, 0] @ along), 1.0)
    np.testing.assert_allclose(scene.shares[0], (3.0 + 0.09) / (3.0 + 4 * 0.09))


def test_the_plane_has_a_row_for_p_rho_and_the_gaussian_and_a_column_for_each_time(result):
    with own_style():
        figure = free_densities.plane(FreeScene(result))
    panels = drawn(figure)
    assert len(panels) == 3 * 5
    titles = [axes.get_title(loc="left") for axes in panels[:5]]
    assert titles[0] == "t = 0 (noise)"
    assert titles[-1] == "t = 1.5 (data)"
    clouds = [next(one for one in axes.collections if isinstance(one, PathCollection)) for axes in panels]
    shown = np.asarray(clouds[5 + 4].get_offsets())
    projected = result.particles.positions[-1] @ FreeScene(result).axes[:, :2]
    np.testing.assert_allclose(shown, projected[: len(shown)])


def test_the_contours_of_the_plane_hold_the_shares_of_p_that_they_claim(made_free):
    result = made_free(particles=4000)
    scene = FreeScene(result)
    plane = scene.planes()[0]  # about one Gaussian at the start, whose regions are ellipses
    marginal = scene.posed.reference.mixture(plane.time).marginal(scene.axes[:, :2])
    sample = marginal.sample(20_000, np.random.default_rng(1))
    for lines, share in zip(plane.contours, HELD, strict=True):
        level = float(np.mean([marginal.pdf(line).mean() for line in lines]))
        held = float((marginal.pdf(sample) > level).mean())
        assert abs(held - share) < 0.03


def test_what_is_too_far_out_for_the_plane_is_counted(made_free):
    result = made_free()
    positions = result.particles.positions.copy()
    positions[-1, :7] = 1e6
    far = dataclasses.replace(result, particles=dataclasses.replace(result.particles, positions=positions))
    dots = FreeScene(far).planes()[-1].dots
    assert [one.beyond for one in dots] == [0, 7, 0]
    with own_style():
        texts = [text.get_text() for axes in drawn(free_densities.plane(FreeScene(far))) for text in axes.texts]
    assert texts == ["7 beyond"]


def test_on_a_line_there_is_no_plane(made_free):
    assert free_densities.plane(FreeScene(made_free(d=1))) is None
    assert [line[0].label for line in FreeScene(made_free(d=1)).marginals(made_free(d=1).particles.final)] == ["x"]


@pytest.mark.usefixtures("composed")
def test_particles_that_are_lost_are_left_out_and_everything_else_is_drawn(made_free, tmp_path):
    lost = made_free(lost=True)
    told = []
    assert names(save_figures(lost, tmp_path, told.append)) == [
        "convergence.png", "course.png", "marginals.png", "plane.png", "weights.png",
    ]  # fmt: skip
    assert not told


@pytest.mark.usefixtures("composed")
def test_a_result_without_a_network_has_no_weights(made_free, tmp_path):
    assert "weights.png" not in names(save_figures(made_free(network=False), tmp_path))


# Distances and likelihoods


def test_every_seed_is_a_dot_at_its_value_in_the_colour_of_its_noise(comparison):
    with own_style():
        panels = drawn(free_distances.compared_distances(comparison))
    assert len(panels) == 5
    first = panels[0]
    dots = [line for line in first.lines if line.get_marker() == "o"]
    for line, level, noise in zip(dots, comparison.at_levels, comparison.noise, strict=True):
        assert list(line.get_ydata()) == [one.tracking.distances["mollified"].value for one in level]
        assert line.get_color() == noise_colour(noise)
    assert [text.get_text() for text in first.get_xticklabels()] == ["0", "0.25", "1"]


def test_a_distance_stands_beside_the_band_of_its_null_and_the_gaussian(result):
    one = result.tracking.distances["sliced_w2"]
    with own_style():
        axes = drawn(free_distances.distances(result))[2]
    band = axes.patches[0]
    np.testing.assert_allclose(band.get_y(), one.null_mean - 2 * one.null_sd)
    np.testing.assert_allclose(band.get_height(), 4 * one.null_sd)
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert [line.get_ydata()[0] for line in dashed] == [one.baseline]


def test_a_level_that_lost_its_particles_is_a_gap_among_the_distances(made_free):
    found = distances_of([[made_free(lost=True)], [made_free()]])
    assert np.isnan(found[0].values[0][0])
    assert np.isfinite(found[0].values[1][0])


def test_bounds_and_exact_likelihoods_have_other_marks(comparison):
    with own_style():
        left, middle, _ = drawn(free_distances.likelihoods(comparison))
    marks = [line.get_marker() for line in left.lines if line.get_marker() not in ("None", "_", "")]
    assert marks == ["o"] * 3 + ["^"] * 6
    upper = [line.get_marker() for line in middle.lines if line.get_marker() not in ("None", "_", "")]
    assert upper == ["o"] * 3 + ["v", "D"] * 6


def test_no_mark_of_a_likelihood_is_cut_off_by_the_edge(comparison):
    with own_style():
        panels = drawn(free_distances.likelihoods(comparison))
    for axes in panels:
        low, high = axes.get_ylim()
        values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines])
        assert values.max() < high - 0.04 * (high - low)
        assert values.min() >= low


def test_the_level_of_chance_holds_the_course_of_exact_draws(made_free):
    from controlsde.tracking.cloud import Cloud
    from controlsde.tracking.mollified import Mollified, automatic_scales

    scene = FreeScene(made_free(d=2, particles=200))
    times, deviations = scene.chance()
    mixture = scene.posed.reference.mixture(float(times[-1]))
    statistic = Mollified.of(mixture, automatic_scales(mixture, 200)[:1])
    rng = np.random.default_rng(0)
    values = [statistic.values(Cloud(mixture.sample(200, rng)))[0] for _ in range(100)]
    assert np.std(values) < 1.15 * deviations[-1]
    assert np.std(values) > 0.3 * deviations[-1]


def test_weights_of_many_coordinates_are_images(made_free):
    with own_style():
        assert len(drawn(curves.weights(made_free(width=2)))) == 6
        assert len(drawn(curves.weights(made_free(d=9, width=2)))) == 6  # three images and their bars


# Contact sheets


@pytest.mark.parametrize(
    ("said", "shape"),
    [
        (PIXELS, (3, 4)),
        (tuple(f"{i}_{j}" for i in range(2) for j in range(2)), (2, 2)),
        (tuple(f"x{i}" for i in range(64)), None),  # the square of 8, but no picture
        (PIXELS[:-1], None),
        ((*PIXELS[:2], PIXELS[3], PIXELS[2], *PIXELS[4:]), None),
        (("pixel_0_0", "pixel_0_1", "other_1_0", "pixel_1_1"), None),
        ((), None),
    ],
)
def test_names_alone_say_whether_coordinates_are_pictures(said, shape):
    assert shape_of(said) == shape


def test_a_sheet_holds_the_data_p_rho_and_the_gaussian_in_the_units_of_the_data(pictures):
    sheet = sheet_of([pictures], FreeScene(pictures))
    assert [row.label for row in sheet.rows] == ["held-out data", "p(T)", "ρ(T), noise 0", "one Gaussian"]
    assert [row.pictures.shape for row in sheet.rows] == [(20, 3, 4), *[(ACROSS * LINES, 3, 4)] * 3]
    np.testing.assert_allclose(sheet.rows[0].pictures[2].ravel(), 4 * pictures.particles.held_out[2] + 8)
    np.testing.assert_allclose(sheet.rows[2].pictures, pictures.to_images((3, 4), ACROSS * LINES))
    gaussian = sheet.rows[3].pictures.reshape(-1, 12)
    assert abs(gaussian[:, 0].std() / 4 - np.sqrt(1.5**2 + 0.3**2)) < 0.5


def test_pictures_stand_in_reading_order_with_gaps_between(pictures):
    sheet = sheet_of([pictures], FreeScene(pictures))
    row = sheet.rows[1]
    shares = sheet.shares(row)
    assert shares.shape == (2 * 4 - 1, 16 * 5 - 1)
    span = sheet.high - sheet.low
    np.testing.assert_allclose(shares[4:7, 5:9], np.clip((row.pictures[17] - sheet.low) / span, 0, 1))
    assert np.isnan(shares[3]).all()
    assert np.isnan(shares[:, 4]).all()


def test_a_comparison_s_sheet_has_a_row_for_each_noise_level(comparison):
    with own_style():
        figure = contact_sheet.contact_sheet(comparison.results, FreeScene(comparison.results[0]), "", alarm=False)
    labels = [axes.get_ylabel() for axes in drawn(figure)]
    assert labels == ["p(T)", "ρ(T), noise 0", "ρ(T), noise 0.25", "ρ(T), noise 1", "one Gaussian"]


def test_a_sheet_from_python_takes_a_shape_and_refuses_one_that_does_not_fit(result, comparison, tmp_path):
    assert imread(result.contact_sheet(tmp_path / "a.png", (2, 2))).shape[1] == 1600
    assert comparison.contact_sheet(tmp_path / "b.png").exists()
    with pytest.raises(ResultError, match=r"do not say that they are pictures.*give shape=\(rows, columns\)"):
        result.contact_sheet(tmp_path / "c.png")
    with pytest.raises(ResultError, match="need 6 coordinates, and there are 4"):
        result.contact_sheet(tmp_path / "c.png", (2, 3))
    assert not (tmp_path / "c.png").exists()


@pytest.mark.usefixtures("composed")
def test_a_simulation_is_drawn_as_the_marginals_of_its_own_particles(made_free_simulation, tmp_path):
    simulation = made_free_simulation()
    assert names(save_simulation(simulation, tmp_path)) == ["simulation.png"]
    with own_style():
        figure = free_densities.simulated(FreeScene(simulation.result), simulation)
    panels = drawn(figure)
    patch = next(one for one in panels[0].patches if isinstance(one, StepPatch))
    values, edges, _ = patch.get_data()
    counts = np.histogram(simulation.cloud.final[:, 0], edges)[0]
    np.testing.assert_allclose(values * np.diff(edges), counts / simulation.particles)
