"""Weights as safetensors: other programs read them, Controls.load reads them back, and a bad file is explained."""

import json

import numpy as np
import pytest
import safetensors.numpy
from numpy.testing import assert_array_equal
from safetensors import safe_open

from controlsde.control import weights_file
from controlsde.control.controls import Controls, ControlsError
from controlsde.control.network import Network
from controlsde.control.weights_file import is_without_digest, network_words, read_weights, write_weights


@pytest.fixture
def controls():
    rng = np.random.default_rng(0)
    return Controls(
        rng.normal(size=(3, 2, 4)), rng.normal(size=(3, 4, 2)), rng.normal(size=(3, 4)), [0.0, 0.1, 0.7, 2.0]
    )


def arrays(controls, **replaced):
    return {name: value for name, value in (vars(controls) | replaced).items() if value is not None}


def same(first, second):
    for name in ("A", "W", "b", "times"):
        assert_array_equal(getattr(first, name), getattr(second, name))


def test_saved_weights_are_read_back_bit_for_bit(controls, tmp_path):
    controls.save(tmp_path / "new" / "mine.safetensors")
    same(Controls.load(tmp_path / "new" / "mine.safetensors"), controls)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["mine.safetensors"]


def test_the_safetensors_package_alone_reads_arrays_and_words(controls, tmp_path):
    path = tmp_path / "mine.safetensors"
    write_weights(path, vars(controls), network_words(Network(2, 4, "sin", True, ((-1, 1), (0, 2))), "periodic", 0.5))
    loaded = safetensors.numpy.load_file(path)
    assert set(loaded) == {"A", "W", "b", "times"}
    for name, value in loaded.items():
        assert value.dtype == np.float64
        assert_array_equal(value, getattr(controls, name))
    with safe_open(path, framework="numpy") as file:
        words = file.metadata()
    assert (words["format"], words["format_version"]) == ("controlsde-weights", "1")
    assert (words["activation"], words["walls"]) == ("sin", "periodic")
    assert json.loads(words["tangential"]) is True
    assert json.loads(words["box"]) == [[-1, 1], [0, 2]]
    assert json.loads(words["noise"]) == 0.5


def test_arrays_in_any_memory_order_are_written_as_they_read(controls, tmp_path):
    turned = Controls(np.asfortranarray(controls.A), controls.W[::-1][::-1], controls.b, controls.times)
    turned.save(tmp_path / "turned.safetensors")
    same(Controls.load(tmp_path / "turned.safetensors"), controls)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_that_were_trained_elsewhere_need_only_the_names(controls, dtype, tmp_path):
    path = tmp_path / "other.safetensors"
    safetensors.numpy.save_file({name: value.astype(dtype) for name, value in vars(controls).items()}, path)
    loaded = Controls.load(path)
    assert loaded.A.dtype == np.float64
    assert_array_equal(loaded.A, controls.A.astype(dtype))


def test_an_interrupted_write_leaves_the_old_file(controls, tmp_path, monkeypatch):
    path = tmp_path / "mine.safetensors"
    controls.save(path)

    def half(path, content):
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.write_bytes", half)
    with pytest.raises(KeyboardInterrupt):
        Controls(2 * controls.A, controls.W, controls.b, controls.times).save(path)
    monkeypatch.undo()
    same(Controls.load(path), controls)
    assert [found.name for found in tmp_path.iterdir()] == ["mine.safetensors"]


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"b": None}, r"holds no controls \(b missing\)"),
        ({"A": None, "times": None}, r"\(A, times missing\)"),
        ({"b": np.zeros((3, 5))}, r"b must have shape \(3, 4\)"),
        ({"b": np.full((3, 4), np.nan)}, "controls.b holds a number that is not finite"),
        ({"times": np.array([0.0, 0.7, 0.1, 2.0])}, "times must increase"),
    ],
)
def test_a_file_whose_arrays_do_not_fit_names_itself_and_the_array(controls, replaced, message, tmp_path):
    path = tmp_path / "misfit.safetensors"
    safetensors.numpy.save_file(arrays(controls, **replaced), path)
    with pytest.raises(ControlsError, match=rf"misfit\.safetensors: .*{message}") as error:
        Controls.load(path)
    assert "\n" not in str(error.value)


def test_a_file_of_another_version_says_which_and_what_to_do(controls, tmp_path, monkeypatch):
    monkeypatch.setattr(weights_file, "FORMAT_VERSION", "2")
    controls.save(tmp_path / "later.safetensors")
    monkeypatch.undo()
    with pytest.raises(ControlsError, match=r"later\.safetensors: written in format 2, this version reads 1; save"):
        Controls.load(tmp_path / "later.safetensors")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.99])
def test_a_file_that_is_cut_short_is_explained(controls, share, tmp_path):
    path = tmp_path / "cut.safetensors"
    controls.save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ControlsError, match=r"cut\.safetensors: not a readable safetensors file"):
        Controls.load(path)


@pytest.mark.parametrize("content", [b"name: two-bumps\n" * 100, b"\x89HDF\r\n\x1a\n" * 50, b"\xff" * 500, b"\0" * 500])
def test_a_file_of_another_kind_is_explained(content, tmp_path):
    path = tmp_path / "other.safetensors"
    path.write_bytes(content)
    with pytest.raises(ControlsError, match=r"other\.safetensors: not a readable safetensors file"):
        Controls.load(path)


@pytest.mark.parametrize("seed", range(20))
def test_a_file_with_bytes_spoilt_is_read_or_explained(controls, seed, tmp_path):
    path = tmp_path / "spoilt.safetensors"
    controls.save(path)
    rng = np.random.default_rng(seed)
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    where = rng.integers(0, 400, 5)  # in the header, mostly
    content[where] = rng.integers(0, 256, len(where))
    path.write_bytes(content.tobytes())
    try:
        Controls.load(path)
    except ControlsError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017 - where the bytes do no harm, nothing is raised


def test_a_missing_file_says_what_to_give(tmp_path):
    with pytest.raises(ControlsError, match=r"nothing\.safetensors: no such file; give a result .*weights"):
        Controls.load(tmp_path / "nothing.safetensors")


def test_every_changed_byte_is_refused_by_name(controls, tmp_path):
    path = tmp_path / "changed.safetensors"
    controls.save(path)
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
        with pytest.raises(ControlsError, match=r"changed\.safetensors: "):
            Controls.load(path)
    path.write_bytes(content[:-8] + bytes(8))
    with pytest.raises(ControlsError, match="was changed since it was written, or is damaged; take a copy"):
        Controls.load(path)
    path.write_bytes(content)
    same(Controls.load(path), controls)


def test_words_that_look_like_a_digest_are_no_hindrance(controls, tmp_path):
    path = tmp_path / "mine.safetensors"
    write_weights(path, vars(controls), {"problem": '"digest":"' + "0" * 64 + '"', "a": "digest"})
    same(Controls.load(path), controls)


def test_weights_of_an_earlier_version_are_read_and_known_to_have_no_digest(controls, tmp_path):
    path = tmp_path / "old.safetensors"
    old = {"format": "controlsde-weights", "format_version": "1", "activation": "tanh"}
    safetensors.numpy.save_file(arrays(controls), path, metadata=old)
    same(Controls.load(path), controls)
    assert is_without_digest(read_weights(path)[1])
    controls.save(path)
    assert not is_without_digest(read_weights(path)[1])
    safetensors.numpy.save_file(arrays(controls), path)
    assert not is_without_digest(read_weights(path)[1])
