"""The explorer's server: who is answered, what it refuses, what it keeps, and that it leaves nothing."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import controlsde as cs
from controlsde.explore import scenes
from controlsde.problem.loading import parse_problem
from controlsde.report.page.film import decoded
from tests.explore.started import LONG, SMALL, SOON, children, gone, start

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes in /proc")


@pytest.fixture(scope="module")
def explorer(tmp_path_factory):
    running = start(folder=tmp_path_factory.mktemp("explorer"))
    yield running
    running.process.terminate()
    running.process.wait(SOON)


@pytest.fixture
def small(explorer):
    return explorer.open(SMALL)["key"]


@pytest.mark.parametrize("path", ["/", "/problems", "/events", "/runs", "/runs/1/result.nc", "/nowhere"])
@pytest.mark.parametrize(
    "heads",
    [
        {"X_Token": None},
        {"X_Token": "wrong"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": None},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
    ids=str,
)
def test_strangers_are_refused(explorer, path, heads):
    status, told = explorer.ask(path, **heads)
    assert status == 403
    assert "\n" not in told["error"]


@pytest.mark.parametrize(
    "heads", [{"Origin": "http://evil.example"}, {"X_Token": None}, {"Host": "evil.example"}], ids=str
)
def test_strangers_cannot_start_or_stop_anything(explorer, small, heads):
    for path in ("/solve", "/cancel", "/open"):
        status, _ = explorer.ask(path, {"problem": small}, **heads)
        assert status == 403
    assert explorer.status()["state"] in ("loading", "idle")


def test_its_own_page_is_answered(explorer):
    for host in ("127.0.0.1", "localhost"):
        own = f"{host}:{explorer.port}"
        assert explorer.ask("/problems", Host=own, Origin=f"http://{own}")[0] == 200
    reply = explorer.reply(f"/?token={explorer.token}", X_Token=None)
    text = reply.read().decode()
    assert reply.status == 200
    assert "script-src 'sha256-" in reply.headers["Content-Security-Policy"]
    assert reply.headers["Cache-Control"] == "no-store"
    assert "@@" not in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text


def test_it_listens_on_the_loopback_address_alone(explorer):
    """As the kernel lists it: addresses of listening sockets (state 0A), in hexadecimal, little-endian."""
    lines = [
        line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    places = [line[1] for line in lines if line[3] == "0A" and int(line[1].split(":")[1], 16) == explorer.port]
    assert places == [f"0100007F:{explorer.port:04X}"]


@pytest.mark.parametrize(
    ("question", "status", "words"),
    [
        (b"{", 400, "not JSON"),
        (b"[]", 400, "mapping"),
        ({"problem": "none"}, 400, "choose it again"),
        ({"settings": {"noise": "loud"}}, 400, "settings.noise must be a number"),
        ({"settings": {"noise": -1}}, 400, "noise must be >= 0"),
        ({"settings": {"pieces": 2.5}}, 400, "settings.pieces must be a whole number"),
        ({"settings": {"pieces": 10**9}}, 400, "settings.pieces"),
        ({"settings": {"width": True}}, 400, "settings.width must be a number"),
        ({"settings": {"colour": 1}}, 400, "settings.colour is not known"),
        ({"settings": {"lengths": "odd"}}, 400, "settings.lengths must be one of"),
        ({"settings": []}, 400, "settings must be a mapping"),
        ({"controls": {"A": [[[1]]], "W": "x", "b": [[0]], "times": [0, 1]}}, 400, "controls.W must be an array"),
        ({"controls": {"A": [[[1]]]}}, 400, "controls"),
        ({"controls": {"A": [[[1], [1]]], "W": [[[1, 1]]], "b": [[0]], "times": [0, 1]}}, 400, "dimension 2"),
        ({"runs": "all"}, 400, "runs must be a list"),
    ],
    ids=str,
)
def test_bad_questions_get_one_line(explorer, small, question, status, words):
    asked = question if isinstance(question, bytes) else {"problem": small, **question}
    got, told = explorer.ask("/preview", asked)
    assert got == status
    assert words in told["error"]
    assert "Traceback" not in told["error"]


def test_bad_requests_are_refused(explorer, small):
    assert explorer.ask("/preview", {"problem": small}, Content_Type="text/plain")[0] == 415
    assert explorer.ask("/preview", b"", Content_Length="5000000")[0] == 413
    assert explorer.ask("/preview", b"", Content_Length=None)[0] in (400, 411)
    for path in ("/nowhere", "/runs/1/../../etc/passwd", "/runs/x/result.nc", "/runs/1/%2e%2e/run-1"):
        assert explorer.ask(path)[0] in (400, 404)
    status, told = explorer.ask("/open", {"name": "bad.yaml", "text": "domain: {box: [[0, 1]]}\nnoise: -2\n"})
    assert status == 400
    assert any(line.startswith("bad.yaml:2:") for line in told["error"].splitlines()), told
    status, told = explorer.ask("/open", {"name": "no-such-problem"})
    assert status == 400
    assert "no shipped problem" in told["error"]


@pytest.mark.parametrize(
    "settings", [{}, {"noise": 0.25}, {"pieces": 5, "lengths": "halving"}, {"width": 3, "horizon": 0.1}]
)
def test_a_preview_shows_what_the_library_previews(explorer, small, settings):
    status, scene = explorer.ask("/preview", {"problem": small, "settings": settings, "reference": True})
    assert status == 200, scene
    assert scene["verified"] is False
    keys = {"pieces": "controls.pieces", "width": "network.width", "horizon": "reference.horizon", "noise": "noise"}
    changes = {keys[name]: value for name, value in settings.items() if name in keys}
    changes |= {"controls.lengths": 0.5} if "lengths" in settings else {}
    problem = parse_problem(SMALL, set=changes)
    shown = cs.preview(problem, cs.Controls(**scene["controls"]))
    track = scene["tracks"]["now"]
    points = np.linspace(0.0, 1.0, scenes.POINTS)
    expected = (shown.mesh.axes[0].interpolation(points) @ shown.density_values[-1]).ravel()
    assert np.abs(decoded(track, scenes.POINTS)[-1] - expected).max() < 1e-4
    assert track["errors"]["words"][-1] == scene["numbers"]["l2_final"] == f"{shown.discrete.l2_final:.4g}"
    assert "preview, not verified" in scene["error"]["chart"]


def test_tracks_that_the_page_has_are_not_sent_again(explorer, small):
    _, scene = explorer.ask("/preview", {"problem": small, "reference": False})
    assert set(scene["tracks"]) == {"now"}


def test_particles_move_by_the_same_noise_whatever_the_weights(explorer, small):
    _, scene = explorer.ask("/preview", {"problem": small})
    controls = scene["controls"]
    first, again = (explorer.ask("/particles", {"problem": small, "controls": controls})[1] for _ in range(2))
    assert first == again
    controls["A"][0][0][0] = 1.5
    _, moved = explorer.ask("/particles", {"problem": small, "controls": controls})
    assert moved != first


def test_a_fit_beats_no_drift(explorer, small):
    asked = {"problem": small, "settings": {"noise": 0.5}}
    _, fitted = explorer.ask("/fit", asked)
    errors = []
    for controls in (None, fitted["controls"]):
        _, scene = explorer.ask("/preview", {**asked, "controls": controls})
        errors.append(float(scene["numbers"]["l2_final"]))
    assert errors[1] < 0.5 * errors[0]


def test_an_answer_is_kept_with_its_files_and_drawn_beside_the_preview(explorer, small, tmp_path):
    status, told = explorer.ask("/solve", {"problem": small, "settings": {"noise": 0.5}})
    assert status == 200, told
    number = told["number"]
    explorer.until(lambda one: one["state"] == "idle" and one["number"] == number)
    _, runs = explorer.ask("/runs")
    run = next(one for one in runs if one["number"] == number)
    assert run["verified"]
    (tmp_path / "kept.nc").write_bytes(explorer.get(f"/runs/{number}/result.nc"))
    result = cs.Result.load(tmp_path / "kept.nc")
    assert run["l2_final"] == f"{result.tracking.l2_final:.4g}"
    problem = parse_problem(explorer.get(f"/runs/{number}/problem.yaml").decode())
    assert problem == result.problem
    assert problem.noise == 0.5
    assert b"<title>small" in explorer.get(f"/runs/{number}/report.html")
    asked = {"problem": small, "settings": {"noise": 0.5}, "runs": [number], "wanted": [number]}
    _, scene = explorer.ask("/preview", asked)
    track = scene["tracks"][f"r{number}"]
    points = np.linspace(0.0, 1.0, scenes.POINTS)
    expected = (result.fields.mesh.axes[0].interpolation(points) @ result.fields.density[-1]).ravel()
    assert np.abs(decoded(track, scenes.POINTS)[-1] - expected).max() < 1e-4
    _, weights = explorer.ask(f"/runs/{number}/weights")
    _, scene = explorer.ask("/preview", {"problem": small, **weights})
    assert float(scene["numbers"]["l2_final"]) == pytest.approx(result.tracking.l2_final, rel=0.1, abs=1e-3)
    explorer.ask("/solve", {"problem": small, "settings": {"noise": 0.0}, "solver": "collocation"})
    explorer.until(lambda one: one["state"] == "idle" and one["number"] == number + 1)
    page = explorer.get(f"/compared.html?runs={number},{number + 1}")
    assert b"with and without noise" in page


def test_what_cannot_be_solved_is_said(explorer):
    key = explorer.open(SMALL + "drift: {kind: exact}\n", "given.yaml")["key"]
    status, told = explorer.ask("/solve", {"problem": key})
    assert status == 400
    assert "gives its own drift" in told["error"]
    status, scene = explorer.ask("/preview", {"problem": key})
    assert status == 200
    assert float(scene["numbers"]["l2_sup"]) < 1e-3


@pytest.mark.slow
def test_a_solve_that_has_not_begun_is_cancelled_at_once(tmp_path):
    running = start(folder=tmp_path)
    try:
        key = running.open(SMALL)["key"]
        running.ask("/solve", {"problem": key})  # while the libraries load
        running.ask("/cancel", {})
        told = running.until(lambda one: one["state"] == "idle")
        assert told["runs"] == 0
        assert "cancelled" in told["message"]
    finally:
        running.process.terminate()
        running.process.wait(SOON)


@pytest.mark.parametrize(
    "in_background",
    [pytest.param(False, marks=pytest.mark.slow, id="in-front"), pytest.param(True, id="started-with-&")],
)
def test_a_solve_is_cancelled_and_its_best_point_kept(in_background, tmp_path):
    running = start(folder=tmp_path, in_background=in_background)
    try:
        key = running.open(LONG)["key"]
        assert running.ask("/cancel", {})[0] == 400
        assert running.ask("/solve", {"problem": key, "quick": False})[0] == 200
        running.until(lambda one: one["iteration"] is not None and one["objective"] is not None)
        status, told = running.ask("/solve", {"problem": key})
        assert status == 409
        assert "a solve is running" in told["error"]
        began = time.monotonic()
        assert running.ask("/preview", {"problem": key})[0] == 200  # sliders stay live
        assert time.monotonic() - began < SOON
        assert running.ask("/cancel", {})[0] == 200
        running.until(lambda one: one["state"] == "idle")
        _, runs = running.ask("/runs")
        assert [run["status"] for run in runs] == ["interrupted"]
        assert running.ask("/solve", {"problem": running.open(SMALL)["key"]})[0] == 200  # the worker lives on
        running.until(lambda one: one["state"] == "idle" and one["runs"] == 2)
    finally:
        family = children(running.process.pid)
        running.process.terminate()
        assert running.process.wait(SOON) == 130
    assert gone(family, tmp_path)


@pytest.mark.parametrize(
    "ending",
    [
        signal.SIGKILL,
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_nothing_outlives_the_server(ending, tmp_path):
    running = start(folder=tmp_path)
    key = running.open(LONG)["key"]
    running.ask("/solve", {"problem": key, "quick": False})
    running.until(lambda one: one["iteration"] is not None)
    family = children(running.process.pid)
    assert family
    assert list(tmp_path.glob("controlsde-explore-*"))
    running.process.send_signal(ending)
    code = running.process.wait(SOON)
    assert code == (-ending if ending == signal.SIGKILL else 130)
    assert gone(family, tmp_path)


@pytest.mark.slow
def test_a_solving_process_that_dies_is_said_and_replaced(explorer, small):
    runs = explorer.status()["runs"]
    key = explorer.open(LONG)["key"]
    assert explorer.ask("/solve", {"problem": key, "quick": False})[0] == 200
    explorer.until(lambda one: one["iteration"] is not None)
    for pid in children(explorer.process.pid):
        if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    told = explorer.until(lambda one: one["alarm"])
    assert "ended unexpectedly" in told["message"]
    assert explorer.ask("/solve", {"problem": small})[0] == 200
    explorer.until(lambda one: one["state"] == "idle" and one["runs"] == runs + 1)


def ended(*words):
    return subprocess.run(
        [sys.executable, "-m", "controlsde", "explore", *words, "--no-browser"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_cannot_be_opened_or_served_is_one_line(explorer):
    for words, told in [
        (["two-bump"], "did you mean 'two-bumps'"),
        (["two-bumps", "--set", "noise=-1"], "noise must be >= 0"),
        (["--port", str(explorer.port)], f"port {explorer.port} is in use; leave --port out"),
        (["--port", "70000"], "port 70000 is no port"),
    ]:
        done = ended(*words)
        assert done.returncode == 2, done.stderr
        assert told in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert not done.stdout


@pytest.mark.slow
def test_a_file_and_what_is_set_on_top_of_it_are_opened(tmp_path):
    (tmp_path / "mine.yaml").write_text(SMALL.replace("name: small\n", ""))
    running = start("mine.yaml", "--set", "noise=0.125", folder=tmp_path)
    try:
        status, opened = running.ask("/open", {"key": running.query["key"]})
        assert status == 200
        assert opened["name"] == "mine"
        assert opened["settings"]["noise"] == 0.125
    finally:
        running.process.terminate()
        running.process.wait(SOON)


@pytest.mark.slow
def test_the_image_of_a_plane_is_a_picture(explorer):
    _, opened = explorer.ask("/open", {"name": "moser-square"})
    settings = {"pieces": 2, "noise": 0.5}
    status, scene = explorer.ask("/preview", {"problem": opened["key"], "settings": settings, "reference": True})
    assert status == 200, scene
    from base64 import b64decode

    from PIL import Image

    for key in ("p", "now"):
        images = scene["tracks"][key]["images"]
        assert len(images) == len(scene["times"])
        picture = Image.open(io.BytesIO(b64decode(images[-1].removeprefix("data:image/png;base64,"))))
        assert picture.size == (scenes.PIXELS, scenes.PIXELS)
    _, dots = explorer.ask("/particles", {"problem": opened["key"], "settings": settings})
    places = np.array(dots["dots"][-1])
    assert places.shape[1] == 2
    assert ((places >= 0) & (places <= 1)).all()
