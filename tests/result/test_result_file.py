"""The file of a result: what was changed or makes no sense is refused by name, and what passed is computed again."""

import dataclasses
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from controlsde.control.controls import Controls, ControlsError
from controlsde.foundation import netcdf
from controlsde.problem import load_problem
from controlsde.result.result import Result
from controlsde.result.result_file import ResultError
from controlsde.verification.certificate import ESSENTIAL
from controlsde.workflow.solving import evaluate

FEW = {"monte_carlo.particles": 500, "monte_carlo.steps_per_piece": 4, "mesh.elements": [4], "mesh.degree": 4}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """The path of a result."""
    rng = np.random.default_rng(0)
    parts = {"A": (2, 1, 1), "W": (2, 1, 1), "b": (2, 1)}
    controls = Controls(**{name: rng.normal(size=shape) for name, shape in parts.items()}, times=[0, 0.7, 1.5])
    found = evaluate(load_problem("two-bumps", set={**FEW, "controls.pieces": 2}), controls)
    found = dataclasses.replace(found, history=np.ones((3, 3)), beginnings=("", "hop", "finer mesh"))
    path = tmp_path_factory.mktemp("original") / "result.nc"
    found.save(path)
    return path


@pytest.fixture
def edited(original, tmp_path):
    """A function that edits a copy of the result, makes its seal anew unless told not to, and returns its path."""

    def edit(action, *, seal=True):
        path = tmp_path / "edited.nc"
        shutil.copy(original, path)
        with h5py.File(path, "r+") as file:
            action(file)
        if seal:
            path.write_bytes(path.read_bytes() + netcdf.seal_of(path.read_bytes())[0])
        return path

    return edit


def refused(path, words):
    with pytest.raises(ResultError) as error:
        Result.load(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert len(message.splitlines()) == 1


def in_summary(*keys, value):
    """An edit of one part of the summary."""

    def edit(file):
        summary = json.loads(file.attrs["summary"])
        part = summary
        for key in keys[:-1]:
            part = part[key]
        part[keys[-1]] = value
        file.attrs["summary"] = json.dumps(summary)

    return edit


def replaced(name, values):
    """An edit of one variable: its values, or what a function makes of them."""

    def edit(file):
        old = file[name][()]
        del file[name]
        file[name] = values(old) if callable(values) else values

    return edit


def test_every_changed_bit_of_a_short_stretch_anywhere_is_seen(original, tmp_path):
    content = original.read_bytes()
    path = tmp_path / "changed.nc"
    ends = [*range(60), *range(len(content) - netcdf.SEAL_BYTES - 20, len(content))]
    for place in (*ends, *range(0, len(content), 997)):
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
        for load, error in ((Result.load, ResultError), (Controls.load, ControlsError)):
            with pytest.raises(error, match=r"changed\.nc: "):
                load(path)


def test_a_changed_file_is_said_to_be_one(original, tmp_path):
    content = bytearray(original.read_bytes())
    content[len(content) // 2] ^= 1
    path = tmp_path / "changed.nc"
    path.write_bytes(content)
    refused(path, "was changed since it was written, or is damaged; solve again, or take a copy that is whole")
    with pytest.raises(ControlsError, match=r"changed\.nc: was changed since it was written"):
        Controls.load(path)


def test_a_seal_that_is_gone_is_missed(edited):
    path = edited(lambda file: file["l2"].__setitem__(0, 0.0), seal=False)
    assert netcdf.SEAL not in path.read_bytes()
    refused(path, "was changed since it was written")


def test_a_file_of_an_earlier_version_is_read_and_has_no_digest(edited, original):
    path = edited(lambda file: file.attrs.__delitem__(netcdf.SEALED), seal=False)
    old, new = Result.load(path), Result.load(original)
    assert old.digest is None
    assert len(new.digest) == 64
    assert {**old.to_json(), "result": ""} == {**new.to_json(), "result": ""}
    np.testing.assert_array_equal(old.fields.density, new.fields.density)


def test_saving_again_gives_the_digest_of_the_new_file(original, tmp_path):
    again = Result.load(original).save(tmp_path / "again.nc")
    assert again.digest == Result.load(tmp_path / "again.nc").digest


def test_other_programs_read_a_sealed_file(original):
    import xarray as xr

    with xr.open_dataset(original) as data, h5py.File(original) as file:
        np.testing.assert_array_equal(data["density"].values, file["density"][()])


@pytest.mark.parametrize(
    ("value", "limit", "flag", "passed"),
    [(0.5, 0.01, True, False), (0.001, 0.01, False, True), (None, 0.01, True, False), (0.01, 0.01, False, True)],
)
def test_whether_a_check_passed_is_computed_from_its_value_and_limit(edited, value, limit, flag, passed):
    others = [
        {"name": name, "value": 0.0, "limit": 0.01, "passed": True} for name in sorted(ESSENTIAL - {"refinement"})
    ]
    one = {"name": "refinement", "value": value, "limit": limit, "passed": flag}
    loaded = Result.load(edited(in_summary("certificate", "checks", value=[one, *others])))
    assert loaded.certificate.checks[0].passed is passed
    assert loaded.verified is passed
    assert loaded.to_json()["verified"] is passed


MEANINGLESS = {
    "no checks": (in_summary("certificate", "checks", value=[]), "a certificate without the checks"),
    "checks of another kind": (
        in_summary("certificate", "checks", 0, value={"name": "any", "value": -1e9, "limit": 1e9, "passed": True}),
        "does not know",
    ),
    "a check that is lenient": (in_summary("certificate", "checks", 1, "limit", value=1e9), "does not allow"),
    "checks that are none": (in_summary("certificate", "checks", value=None), "summary.certificate.checks"),
    "a check without a limit": (in_summary("certificate", "checks", 0, "limit", value=None), "limit"),
    "a check that is text": (in_summary("certificate", "checks", 0, "value", value="0"), "value that is not a number"),
    "an error that is text": (in_summary("tracking", "l2_final", value="abc"), "summary.tracking.l2_final"),
    "an error that is a list": (in_summary("tracking", "w2_final", value=[1]), "summary.tracking.w2_final"),
    "an error that is true": (in_summary("discrete", "l2_sup", value=True), "summary.discrete.l2_sup"),
    "an objective without end": (in_summary("objective", value=math.inf), "summary that is no JSON"),
    "a status of its own": (in_summary("status", value="proved"), "summary.status that is not one of converged"),
    "a count that is none": (in_summary("iterations", value=-3), "summary.iterations"),
    "seconds without names": (in_summary("seconds", value=3), "summary.seconds"),
    "a diagnosis that is text": (in_summary("diagnosis", value="all is well"), "summary.diagnosis"),
    "promises that are text": (in_summary("promises", "kl", "bound", value="none"), "summary.promises.kl.bound"),
    "no summary": (lambda file: file.attrs.__delitem__("summary"), "lacks summary"),
    "a summary of numbers": (lambda file: file.attrs.__setitem__("summary", 3), "lacks summary"),
    "a summary that is deep": (lambda file: file.attrs.__setitem__("summary", "[" * 30_000), "no JSON"),
    "no problem": (lambda file: file.attrs.__delitem__("problem"), "lacks its problem"),
    "a problem that is none": (
        lambda file: file.attrs.__setitem__("problem", "noise: 1"),
        "not valid (its problem:1",
    ),
    "a problem in other words": (lambda file: file.attrs.__setitem__("problem", b"\xff\xfe"), "edited.nc"),
    "degree -5": (lambda file: file.attrs.__setitem__("degree", -5), "degree"),
    "degree 0": (lambda file: file.attrs.__setitem__("degree", 0), "degree"),
    "degree 3": (lambda file: file.attrs.__setitem__("degree", 3), "points in x"),
    "half the degree": (lambda file: file.attrs.__setitem__("degree", file.attrs["degree"] // 2), "points in x"),
    "a point inside that was moved": (lambda file: file["x"].__setitem__(3, file["x"][3] + 1e-3), "points in x"),
    "an error of another name": (in_summary("tracking", "tv_fine", value=0.1), "tracking.tv_fine that is no distance"),
    "degree 4.0": (lambda file: file.attrs.__setitem__("degree", 4.0), "degree"),
    "degree four": (lambda file: file.attrs.__setitem__("degree", "four"), "degree"),
    "no degree": (lambda file: file.attrs.__delitem__("degree"), "degree"),
    "version 4.0": (lambda file: file.attrs.__setitem__("format_version", "4"), "lacks the number of its format"),
    "no density": (lambda file: file.__delitem__("density"), "lacks density"),
    "no times": (lambda file: file.__delitem__("time"), "lacks time"),
    "no points": (lambda file: file.__delitem__("x"), "lacks x"),
    "no W": (lambda file: file.__delitem__("W"), "lacks W"),
    "times that are not numbers": (
        replaced("time", lambda old: np.full_like(old, np.nan)),
        "time that does not increase",
    ),
    "times that run back": (replaced("time", lambda old: old[::-1].copy()), "time that does not increase"),
    "curve times that stand": (replaced("curve_time", lambda old: 0 * old), "curve_time that does not increase"),
    "points beyond the box": (replaced("x", lambda old: 2 * old), "points in x"),
    "one point": (replaced("x", np.zeros(1)), "points in x"),
    "a density of another shape": (replaced("density", lambda old: old.T.copy()), "density of shape"),
    "a density in a row": (replaced("density", lambda old: old.ravel()), "density of shape"),
    "a curve that is too short": (replaced("l2", lambda old: old[1:]), "l2 of shape"),
    "a density that is text": (
        replaced("density", lambda old: old.astype("S8")),
        "density, which is no array",
    ),
    "complex times": (replaced("time", lambda old: old.astype(complex)), "time, which is no array of numbers"),
    "a history of two columns": (replaced("history", np.zeros((5, 2))), "history of shape"),
    "a history that is a number": (replaced("history", 3.0), "edited.nc"),
    "beginnings of other rows": (replaced("beginning", np.zeros(5, dtype=np.int8)), "beginning of shape"),
    "a beginning that there is not": (replaced("beginning", lambda old: old + 7), "beginning of a kind"),
    "starts in a square": (replaced("starts", np.zeros((2, 2))), "starts of shape"),
    "controls for two dimensions": (
        lambda file: [replaced("A", np.zeros((2, 2, 1)))(file), replaced("W", np.zeros((2, 1, 2)))(file)],
        "controls in dimension 2 for a problem in 1",
    ),
    "controls that do not fit": (replaced("b", np.zeros((3, 1))), "controls that do not fit"),
    "controls that are not finite": (replaced("A", np.full((2, 1, 1), np.inf)), "controls that do not fit"),
}


@pytest.mark.parametrize("case", MEANINGLESS)
def test_what_makes_no_sense_is_refused_although_the_seal_fits(edited, case):
    action, words = MEANINGLESS[case]
    refused(edited(action), words)


def test_what_began_during_a_search_is_numbers_that_say_what_they_mean(original):
    with h5py.File(original) as file:
        assert list(file["beginning"][()]) == [0, 1, 2]
        assert list(file["beginning"].attrs["flag_values"]) == [0, 1, 2]
        assert file["beginning"].attrs["flag_meanings"] == "goes_on hop finer_mesh"
    assert Result.load(original).beginnings == ("", "hop", "finer mesh")


def test_a_file_that_does_not_say_what_began_is_read(edited):
    assert Result.load(edited(lambda file: file.__delitem__("beginning"))).beginnings == ()


def test_an_array_that_claims_more_than_the_file_holds_takes_no_memory(edited, monkeypatch):
    def claim(file):
        del file["density"]
        file.create_dataset("density", shape=(2**33,), dtype="f8")  # 64 GiB, of which none is written

    path = edited(claim)
    monkeypatch.setattr(np, "asarray", lambda *_, **__: pytest.fail("it was read"))
    refused(path, f"0 bytes of density, which claims {2**36}")


def test_a_heap_of_texts_that_never_ends_is_refused(edited):
    """HDF5 goes through free space of no length for ever."""
    path = edited(lambda file: file.attrs.__delitem__(netcdf.SEALED), seal=False)
    content = bytearray(path.read_bytes())
    start = content.index(b"GCOL") + 16
    content[start : start + 64] = bytes(64)
    path.write_bytes(content)
    code = (
        f"from controlsde.result.result import Result; Result.load({str(path)!r})"  # only a process can be ended there
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.stderr.rstrip().endswith("not a complete result file: it is damaged; solve again")


@pytest.mark.parametrize("link", [h5py.SoftLink("/reference"), h5py.ExternalLink("other.nc", "/density")])
def test_an_array_from_elsewhere_is_not_read(edited, original, link):
    def point(file):
        del file["density"]
        file["density"] = link

    path = edited(point)
    shutil.copy(original, path.parent / "other.nc")
    refused(path, "takes density from elsewhere")


def test_an_array_in_another_file_is_not_read(edited, original):
    def point(file):
        shape = file["density"].shape
        del file["density"]
        file.create_dataset("density", shape, "f8", external=[(str(original), 0, h5py.h5f.UNLIMITED)])

    refused(edited(point), "takes density from elsewhere")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "problem.yaml",
            b"domain: {box: [[0, 1]]}\nreference: {}\n",
            "that is a problem file, not a result; solve it",
        ),
        ("problem.nc", b"# mine\nreference:\n  kind: x\ndomain:\n  box: 1\n", "that is a problem file, not a result"),
        ("text.nc", b"some words", "not a result, but text"),
        ("empty.nc", b"", "it is empty"),
        ("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(100), "that is a picture (PNG), not a result"),
        ("arrays.npz", b"PK\x03\x04" + bytes(100), "that is an archive"),
        ("weights.nc", (2).to_bytes(8, "little") + b"{}", "that is weights (safetensors), not a result"),
        ("bytes.nc", bytes(range(256)), "not a result; give the .nc file"),
    ],
)
def test_a_file_of_another_kind_is_called_by_its_name(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    refused(path, words)


def test_folders_shipped_problems_and_our_other_files_are_named(original, tmp_path, monkeypatch):
    refused(tmp_path, "is a folder")
    monkeypatch.chdir(tmp_path)
    refused("two-bumps", "the name of a shipped problem; solve it first: `controlsde solve two-bumps`")
    refused("two-bump", "no such file; `controlsde solve` writes results")
    Controls.load(original).save("controls.nc")
    refused("controls.nc", "that is controls, not a result")
    Result.load(original).save_weights("weights.safetensors")
    refused("weights.safetensors", "that is weights")


def test_a_name_that_no_file_can_have_is_refused_in_words():
    with pytest.raises(ResultError, match="cannot be read"):
        Result.load("a" * 300)
    with pytest.raises(ControlsError, match="cannot be read"):
        Controls.load("a" * 300 + ".nc")


def test_controls_are_not_taken_from_what_is_none(original, tmp_path):
    for name, content, words in (
        ("problem.yaml", b"domain:\nreference:\n", "that is a problem file, not controls; give a result"),
        ("picture.nc", b"\x89PNG\r\n\x1a\n", "that is a picture (PNG), not controls"),
        ("weights.nc", (2).to_bytes(8, "little") + b"{}", "a name that ends in .safetensors"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ControlsError) as error:
            Controls.load(tmp_path / name)
        assert words in str(error.value)
    with pytest.raises(ControlsError, match="is a folder"):
        Controls.load(Path(original).parent)
