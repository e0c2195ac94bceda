"""The command `film`: a film of any result in one line, and one line for what cannot be one."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

STORED = Path(__file__).parents[1] / "data" / "result-format-4.nc"


@pytest.fixture
def film(run, folder, monkeypatch):
    """The command, in a folder with a result; films are half as large as users get."""
    monkeypatch.setattr("controlsde.report.film.DOTS_PER_INCH", 50)
    shutil.copy(STORED, folder / "result.nc")
    return lambda *words: run("film", *words)


def only_the_result(folder):
    return {path.name for path in folder.iterdir()} == {"result.nc", "small.yaml"}


def test_a_film_is_written_where_it_is_asked_for_and_said(film, folder):
    answer = film("result.nc", "-o", "new/film.webp", "--particles", "20", "--fps", "20")
    assert answer.code == 0
    assert answer.out == ""
    assert answer.err.splitlines()[-1] == "film: new/film.webp"
    with Image.open(folder / "new" / "film.webp") as picture:
        assert picture.n_frames == 9


def test_without_a_name_it_is_beside_the_first_result_and_quiet_says_nothing(film, folder):
    answer = film("result.nc", "-q", "--particles", "0")
    assert answer.code == 0
    assert answer.err == ""
    assert (folder / "film.gif").read_bytes()[:6] == b"GIF89a"


def test_a_folder_stands_for_the_result_in_it(film, folder):
    assert film(".", "-q", "--particles", "0").code == 0
    assert (folder / "film.gif").read_bytes()[:6] == b"GIF89a"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("result.nc", "-o", "film.mov"), "film.mov: a film is a .gif, .webp or .mp4"),
        (("result.nc", "-o", "."), "is a folder; give the name of a file in it with -o FILE"),
        (("result.nc", "-o", "small.yaml/film.gif"), "small.yaml: is not a folder"),
        (("result.nc", "--fps", "1000"), "--fps must be 0.5 to 50 frames a second (got 1000)"),
        (("result.nc", "--fps", "fast"), "'fast' is not a number"),
        (("result.nc", "--particles", "1000000"), "--particles must be 0 to 5000 (got 1000000)"),
        (("small.yaml",), "small.yaml: "),
        (("missing.nc",), "missing.nc: "),
    ],
)
def test_what_cannot_be_a_film_ends_in_one_line_and_leaves_nothing(film, folder, words, said):
    answer = film(*words)
    assert answer.code == 2
    assert said in answer.err.splitlines()[-1]
    assert only_the_result(folder)


def test_without_ffmpeg_the_cure_is_named(film, folder, monkeypatch):
    monkeypatch.setattr("controlsde.report.film_encoding.ffmpeg", lambda: None)
    answer = film("result.nc", "-o", "film.mp4")
    assert answer.code == 2
    assert (
        "install it (the package ffmpeg of your system, or pip install imageio-ffmpeg)" in answer.err.splitlines()[-1]
    )
    assert only_the_result(folder)


def test_a_folder_that_cannot_be_written_in_is_told_before_anything_is_drawn(film, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryDirectory", refuse)
    monkeypatch.setattr("controlsde.report.film.save_film", lambda *_, **__: pytest.fail("was drawn"))
    answer = film("result.nc", "-o", "film.gif")
    assert answer.code == 2
    assert "not writable (Permission denied)" in answer.err


def test_an_interruption_leaves_no_film(film, folder, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("controlsde.report.film.write_whole", interrupt)
    answer = film("result.nc", "--particles", "0")
    assert answer.code == 130
    assert only_the_result(folder)
