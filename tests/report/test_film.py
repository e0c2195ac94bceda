"""Films: frames show the numbers of the result, they are whole or not at all, and wrong wishes have their line."""

import dataclasses
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import controlsde as cs
from controlsde.control.controls import Controls
from controlsde.fokker_planck.mesh import Mesh
from controlsde.problem import parse_problem
from controlsde.problem.schema import ExactDriftSpec
from controlsde.report import film_encoding
from controlsde.report.film import HOLD, save_film
from controlsde.report.film_encoding import FilmError, ffmpeg, milliseconds, steady
from controlsde.report.film_particles import moving
from controlsde.report.film_scenes import LineScene, PlaneScene, images_of
from controlsde.verification.evidence import Fields
from controlsde.workflow.comparison import Comparison, at_noise
from tests.quick import every, slow

STORED = Path(__file__).parents[1] / "data" / "result-format-4.nc"
TIMES = 9


@pytest.fixture(scope="module")
def line():
    """A result in one dimension whose density moves as its particles do: by the drift 0, without noise."""
    result = cs.Result.load(STORED)
    problem = parse_problem(
        result.problem.to_yaml(),
        set={"domain": {"box": [[-2, 2]]}, "noise": 0.0, "controls.pieces": 2, "network.width": 1, "mesh.elements": [6],
             "reference": {"kind": "displacement", "from": {"kind": "mixture", "means": [-0.5], "stds": [0.25]},
                           "to": {"kind": "mixture", "means": [0.5], "stds": [0.25]}, "horizon": 1.0}},
    )  # fmt: skip
    times = np.linspace(0, 1, TIMES)
    mesh = Mesh.build(((-2, 2),), "reflecting", (6,), 8)
    (x,) = (axis.grid for axis in mesh.axes)
    bump = np.exp(-((x + 0.5) ** 2) / 0.125) / np.sqrt(0.125 * np.pi)
    fields = Fields(mesh, times, np.tile(bump, (TIMES, 1)), np.tile(bump[::-1], (TIMES, 1)), times, times, times, times)
    still = Controls(np.zeros((2, 1, 1)), np.zeros((2, 1, 1)), np.zeros((2, 1)), np.array([0, 0.5, 1.0]))
    return dataclasses.replace(result, problem=problem, fields=fields, controls=still)


@pytest.fixture(scope="module")
def plane(line):
    """A result in two dimensions, its density the product of two bumps."""
    problem = parse_problem(
        line.problem.to_yaml(),
        set={"domain": {"box": [[-2, 2], [-1, 1]]}, "mesh.elements": [3, 3],
             "reference": {"kind": "moser", "from": {"kind": "uniform"}, "to": {"kind": "uniform"}, "horizon": 1.0}},
    )  # fmt: skip
    mesh = Mesh.build(((-2, 2), (-1, 1)), "reflecting", (4, 3), 6)
    x, y = (axis.grid for axis in mesh.axes)
    bump = np.exp(-((x[:, None] - 0.5) ** 2 + y**2) / 0.2)
    densities = np.tile(bump, (TIMES, 1, 1))
    fields = dataclasses.replace(line.fields, mesh=mesh, density=densities, reference=densities)
    turning = Controls(
        np.tile([[[0.4], [0.1]]], (2, 1, 1)), np.tile([[[1.0, 0.5]]], (2, 1, 1)), np.zeros((2, 1)), line.controls.times
    )
    return dataclasses.replace(line, problem=problem, fields=fields, controls=turning)


@pytest.fixture(autouse=True)
def small_films(monkeypatch):
    """Half as large as users get: sooner."""
    monkeypatch.setattr("controlsde.report.film.DOTS_PER_INCH", 50)


def frames_of(path):
    with Image.open(path) as film:
        pictures = []
        for number in range(film.n_frames):
            film.seek(number)
            pictures.append(np.array(film.convert("RGB")))
        return pictures


def durations_of(path):
    with Image.open(path) as film:
        found = []
        for number in range(film.n_frames):
            film.seek(number)
            film.load()
            found.append(film.info["duration"])
        return found


@pytest.mark.parametrize("ending", ["gif", "webp"])
@pytest.mark.parametrize("kind", ["line", slow("plane")])
def test_a_film_has_a_frame_for_every_density_and_the_last_stays(kind, ending, tmp_path, request):
    target = tmp_path / f"film.{ending}"
    result = request.getfixturevalue(kind)
    assert result.animate(target, fps=10) == target
    durations = durations_of(target)
    assert len(durations) == TIMES
    assert set(durations[:-1]) == {100}
    assert durations[-1] == 1000 * HOLD
    pictures = frames_of(target)
    assert all(picture.shape == pictures[0].shape for picture in pictures)
    assert pictures[0].shape[1] == 500
    assert np.abs(pictures[0].astype(int) - pictures[-1]).max() > 100  # the clock has moved, at least
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_what_stands_still_is_the_same_in_every_frame_of_a_gif_and_white_is_white(line, tmp_path):
    line.animate(tmp_path / "film.gif", particles=0)
    first, *others = frames_of(tmp_path / "film.gif")
    clock = len(first) - 40  # pixels above it
    for other in others:
        changed = np.abs(first[:clock].astype(int) - other[:clock]).max(axis=2) > 0
        assert changed.mean() < 0.02  # the error over the panel
    assert (first[0, 250] == 255).all()


def test_frames_last_as_their_times_do(line, tmp_path):
    """Pieces of free lengths: nothing is hurried."""
    times = np.concatenate([np.linspace(0, 0.2, 5), np.linspace(0.2, 1, 5)[1:]])
    uneven = dataclasses.replace(line, fields=dataclasses.replace(line.fields, times=times))
    uneven.animate(tmp_path / "film.gif", fps=10, particles=0)
    durations = durations_of(tmp_path / "film.gif")
    assert sum(durations[:-1]) == pytest.approx(800, abs=20)
    assert durations[4] / durations[0] == pytest.approx(4, rel=0.1)


def test_particles_move_by_the_results_own_controls_and_the_seed(line):
    still = moving(line, 400, 0, lambda _: None)
    assert still.positions.shape == (TIMES, 400, 1)
    np.testing.assert_array_equal(still.positions[0], still.positions[-1])  # drift 0, no noise
    assert still.positions[0].mean() == pytest.approx(-0.5, abs=4 * 0.25 / 20)
    assert still.positions[0].std() == pytest.approx(0.25, rel=0.2)
    speed = 0.3
    shift = Controls(np.full((2, 1, 1), speed), np.zeros((2, 1, 1)), np.full((2, 1), 50.0), line.controls.times)
    moved = moving(dataclasses.replace(line, controls=shift), 400, 0, lambda _: None)
    np.testing.assert_allclose(moved.positions[-1] - moved.positions[0], speed, atol=1e-9)  # tanh(50) = 1
    again, other = (moving(line, 400, seed, lambda _: None).positions for seed in (0, 1))
    np.testing.assert_array_equal(again, still.positions)
    assert not np.array_equal(other, still.positions)


def test_with_noise_particles_spread_as_brownian_motion_does(line):
    noisy = dataclasses.replace(line, problem=at_noise(line.problem, 0.02))
    found = moving(noisy, 1000, 3, lambda _: None).positions[:, :, 0]
    spread = np.var(found - found[0], axis=1)
    np.testing.assert_allclose(spread, 2 * 0.02 * line.fields.times, rtol=0.15, atol=1e-12)


def test_images_are_the_meshs_own_polynomials_between_the_nodes(plane):
    mesh = plane.fields.mesh
    x, y = (axis.grid for axis in mesh.axes)
    cubic = (x[:, None] ** 3 - y**2)[None]
    (shown,) = images_of(plane, cubic)
    across = -2 + 4 * (np.arange(shown.shape[0]) + 0.5) / shown.shape[0]
    upward = -1 + 2 * (np.arange(shown.shape[1]) + 0.5) / shown.shape[1]
    np.testing.assert_allclose(shown, across[:, None] ** 3 - upward**2, atol=1e-10)


def test_of_three_dimensions_the_last_is_integrated():
    mesh = Mesh.build(((0, 1), (0, 1), (0, 2)), "reflecting", (2, 2, 2), 4)
    z = mesh.axes[2].grid
    values = np.broadcast_to(z, mesh.shape)[None]
    fake = type("Some", (), {"fields": type("Some", (), {"mesh": mesh})})
    np.testing.assert_allclose(images_of(fake, values), 2.0, atol=1e-12)


def test_levels_stand_side_by_side_under_the_title_of_a_comparison(line, tmp_path):
    results = tuple(dataclasses.replace(line, problem=at_noise(line.problem, level)) for level in (0.0, 0.5))
    comparison = Comparison(line.problem, results, np.zeros((2, 2)), "a note")
    target = comparison.animate(tmp_path / "both.gif", particles=20)
    (first, *_) = frames_of(target)
    blue = (0x00, 0x72, 0xB2)  # of noise 0
    halves = first[:, :250].reshape(-1, 3).astype(int), first[:, 250:].reshape(-1, 3).astype(int)
    near = [np.abs(half[:, None] - np.array([blue])).max(axis=2).min() for half in halves]
    assert near[0] < 30 < near[1]


@pytest.mark.parametrize("case", every(3, ["broken", "only nan", "exact", "no particles", "one time", "interrupted"]))
def test_a_film_of_an_unhappy_result_is_honest(case, line, tmp_path):
    fields = line.fields
    nothing = np.full_like(fields.density, np.nan)
    half = np.where(np.arange(TIMES)[:, None] < TIMES // 2, fields.density, np.nan)
    result = {
        "broken": lambda: dataclasses.replace(line, fields=dataclasses.replace(fields, density=half)),
        "only nan": lambda: dataclasses.replace(
            line, fields=dataclasses.replace(fields, density=nothing, l2=np.full(TIMES, np.nan))
        ),
        "exact": lambda: dataclasses.replace(
            line, controls=None, problem=line.problem.model_copy(update={"drift": ExactDriftSpec()})
        ),
        "no particles": lambda: line,
        "one time": lambda: dataclasses.replace(
            line,
            fields=dataclasses.replace(
                fields, times=fields.times[-1:], density=fields.density[-1:], reference=fields.reference[-1:]
            ),
        ),
        "interrupted": lambda: dataclasses.replace(line, status="interrupted"),
    }[case]()
    target = result.animate(tmp_path / "film.gif", particles=0 if case == "no particles" else 10)
    assert len(frames_of(target)) == (1 if case == "one time" else TIMES)


@pytest.mark.parametrize(
    ("path", "options", "said"),
    [
        ("film.avi", {}, "film.avi: a film is a .gif, .webp or .mp4; give a name that ends so, such as film.gif"),
        ("film", {}, "a film is a .gif, .webp or .mp4"),
        ("film.gif", {"fps": 0}, "fps must be 0.5 to 50 frames a second (got 0)"),
        ("film.gif", {"fps": float("nan")}, "fps must be 0.5 to 50"),
        ("film.gif", {"particles": -1}, "particles must be 0 to 5000 (got -1)"),
    ],
)
def test_what_cannot_be_a_film_is_refused_in_one_line(path, options, said, line, tmp_path):
    with pytest.raises(FilmError) as refused:
        line.animate(tmp_path / path, **options)
    assert said in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_results_of_two_dimensions_and_too_many_are_refused(line, plane, tmp_path):
    for results, said in (([line, plane], "different dimensions"), ([], "1 to 6 results"), ([line] * 7, "(got 7)")):
        with pytest.raises(FilmError) as refused:
            save_film(results, tmp_path / "film.gif")
        assert said in str(refused.value)


def test_without_ffmpeg_mp4_is_refused_with_the_cure_before_anything_is_drawn(line, tmp_path, monkeypatch):
    monkeypatch.setattr(film_encoding, "ffmpeg", lambda: None)
    monkeypatch.setattr("controlsde.report.film.moving", lambda *_: pytest.fail("was begun"))
    with pytest.raises(FilmError) as refused:
        line.animate(tmp_path / "film.mp4")
    assert "pip install imageio-ffmpeg), or write film.gif or .webp" in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_an_ffmpeg_that_fails_is_quoted_and_leaves_nothing(line, tmp_path, monkeypatch):
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho 'no such codec\x1b[31m' >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(film_encoding, "ffmpeg", lambda: str(program))
    with pytest.raises(FilmError) as refused:
        line.animate(tmp_path / "film.mp4", particles=0)
    assert str(refused.value) == "ffmpeg made no film (no such codec\\x1b[31m); write .gif or .webp"
    assert not (tmp_path / "film.mp4").exists()


@pytest.mark.skipif(ffmpeg() is None, reason="needs ffmpeg, or the package imageio-ffmpeg")
def test_a_film_by_ffmpeg_is_an_mp4(line, tmp_path):
    target = line.animate(tmp_path / "film.mp4", particles=10)
    content = target.read_bytes()
    assert content[4:8] == b"ftyp"
    assert content.index(b"moov") < content.index(b"mdat")  # it can be shown while it is loaded


def test_ffmpeg_of_the_system_is_taken_before_that_of_the_package(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert ffmpeg() == "/usr/bin/ffmpeg"


def test_a_film_that_cannot_be_written_leaves_the_earlier_one(line, tmp_path, monkeypatch):
    target = tmp_path / "film.gif"
    target.write_bytes(b"earlier")

    def full(*_):
        raise OSError(28, "cannot be written (no space left on device); make room there", str(target))

    monkeypatch.setattr("controlsde.report.film.write_whole", full)
    with pytest.raises(OSError, match="no space left"):
        line.animate(target, particles=0)
    assert target.read_bytes() == b"earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["film.gif"]


def test_an_interruption_while_it_is_drawn_leaves_nothing(line, tmp_path):
    def interrupt(step):
        if step.task == "drawing the film" and step.fraction > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_film([line], tmp_path / "film.gif", particles=0, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_artists_are_set_and_not_made_anew(line, tmp_path, monkeypatch):
    """A film of many frames draws what stands still once."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    drawn = []
    draw = FigureCanvasAgg.draw
    monkeypatch.setattr(FigureCanvasAgg, "draw", lambda self: (drawn.append(1), draw(self))[1])
    line.animate(tmp_path / "film.gif", particles=10)
    assert len(drawn) == 1


@pytest.mark.parametrize(
    ("durations", "unit", "expected"),
    [((1 / 12,) * 3, 10, [80, 90, 80]), ((0.001, 1.0), 10, [20, 1000]), ((0.0833, 1.5), 1, [83, 1500])],
)
def test_rounded_durations_do_not_add_up_to_another_length(durations, unit, expected):
    assert milliseconds(durations, unit) == expected


def test_a_steady_rate_repeats_frames_that_last_longer():
    rate, repeats = steady((0.1, 0.1, 1.5))
    assert rate == pytest.approx(10)
    assert repeats == [1, 1, 15]
    rate, repeats = steady((0.05, 0.05, 0.15, 0.15, 1.0))
    assert sum(repeats) / rate == pytest.approx(1.4, rel=0.05)
    assert repeats[2] / repeats[0] == pytest.approx(3, abs=1)


def test_the_colours_of_a_gif_are_those_of_the_picture():
    rng = np.random.default_rng(0)
    ramp = np.stack([np.arange(200), 255 - np.arange(200), np.full(200, 40)], axis=1).astype(np.uint8)
    picture = ramp[rng.integers(0, 200, (60, 80))]
    picture[:30] = 255
    content = film_encoding._gif((0.1, 0.1), lambda _: picture)
    with Image.open(io.BytesIO(content)) as film:
        shown = np.array(film.convert("RGB")).astype(int)
    assert (shown[:30] == 255).all()
    assert np.abs(shown - picture).max() <= 6


def canvas(rows):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure()
    FigureCanvasAgg(figure)
    return figure.subplots(rows, 1, squeeze=False)[:, 0]


def test_a_scene_of_a_line_shows_the_numbers_of_its_moment(line):
    """The curves by the mesh's polynomials, the dots where the particles are, the drift of the piece that begins."""
    rising = line.fields.density * (1.0 + line.fields.times[:, None])
    switch = Controls(
        np.full((2, 1, 1), 2.0), np.array([[[1.0]], [[-1.0]]]), np.array([[0.2], [0.1]]), line.controls.times
    )
    result = dataclasses.replace(
        line, controls=switch, fields=dataclasses.replace(line.fields, density=rising, l2=np.arange(TIMES) / 10)
    )
    moved = moving(result, 30, 0, lambda _: None)
    scene = LineScene(canvas(3), result, moved, "")
    half = TIMES // 2  # the moment of the switch
    scene.show(half)
    x, density = scene._line.get_data()
    exact = 1.5 * np.exp(-((x + 0.5) ** 2) / 0.125) / np.sqrt(0.125 * np.pi)
    np.testing.assert_allclose(density, exact, atol=2e-3)  # of the mesh; lines from node to node are off by 0.05
    np.testing.assert_allclose(scene._target.get_data()[1], density[::-1] / 1.5, atol=1e-9)
    np.testing.assert_array_equal(scene._dots.get_data()[0], moved.positions[half, :, 0])
    drift = scene._faint.get_data()[1]
    np.testing.assert_allclose(drift, 2.0 * np.tanh(-x + 0.1), rtol=1e-12)
    strong = scene._drift.get_data()[1]
    inhabited = density > 1e-2 * density.max()
    np.testing.assert_array_equal(strong[inhabited], drift[inhabited])
    assert np.isnan(strong[~inhabited]).all()
    assert scene._error.get_text() == "L² error 0.400"
    scene.show(half - 1)
    np.testing.assert_allclose(scene._faint.get_data()[1], 2.0 * np.tanh(x + 0.2), rtol=1e-12)


def test_an_image_has_its_density_where_it_is_and_arrows_along_the_drift_there(plane):
    x, y = (axis.grid for axis in plane.fields.mesh.axes)
    bump = np.tile(np.exp(-((x[:, None] - 0.5) ** 2 + (y + 0.4) ** 2) / 0.1), (TIMES, 1, 1))
    result = dataclasses.replace(plane, fields=dataclasses.replace(plane.fields, density=bump))
    moved = moving(result, 10, 0, lambda _: None)
    scene = PlaneScene(canvas(1)[0], result, images_of(result, bump), 1.0, "", moved)
    scene.show(3)
    shown = np.asarray(scene._image.get_array())
    left, right, low, high = scene._image.get_extent()
    row, column = np.unravel_index(shown.argmax(), shown.shape)
    assert left + (column + 0.5) * (right - left) / shown.shape[1] == pytest.approx(0.5, abs=0.03)
    assert low + (row + 0.5) * (high - low) / shown.shape[0] == pytest.approx(-0.4, abs=0.03)
    np.testing.assert_array_equal(np.stack(scene._dots.get_data(), axis=1), moved.positions[3])
    arrows = np.stack([scene._arrows.U, scene._arrows.V], axis=1)
    drift = np.tanh(scene._places @ [1.0, 0.5])[:, None] * [0.4, 0.1]
    there = np.linalg.norm(scene._places - [0.5, -0.4], axis=1)
    assert (np.linalg.norm(arrows[there < 0.5], axis=1) > 0).all()
    np.testing.assert_array_equal(arrows[there > 1.0], 0.0)
    np.testing.assert_allclose(arrows[there < 0.5], scene._scale * drift[there < 0.5], rtol=1e-12)


def test_what_panels_cannot_show_is_said(line):
    values = line.fields.density.copy()
    values[3] *= 50.0  # far beyond the reference's peak
    values[4] = np.nan
    result = dataclasses.replace(line, fields=dataclasses.replace(line.fields, density=values))
    scene = LineScene(canvas(3), result, moving(result, 0, 0, lambda _: None), "")
    said = []
    for moment in (2, 3, 4):
        scene.show(moment)
        said.append(scene._peak.get_text())
    assert said[0] == ""
    assert said[1].startswith("peak 79.")
    assert "at x = -0.5" in said[1]
    assert said[2] == "not finite"


def test_hostile_names_stay_text(line, tmp_path):
    named = [
        dataclasses.replace(line, problem=line.problem.model_copy(update={"name": name}))
        for name in ("$\\frac{$ <b>", "</script>$x$")
    ]
    target = save_film(named, tmp_path / "film.gif", particles=0)
    assert len(frames_of(target)) == TIMES
