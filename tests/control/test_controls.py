"""Controls: what does not fit is refused with its cure, splitting keeps the drift, files are read or explained."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from controlsde.control.controls import Controls, ControlsError
from controlsde.control.drift import network_drift
from controlsde.control.network import Network

BOX = ((-1.0, 1.0), (0.0, 2.0))


@pytest.fixture
def parts():
    """A, W, b and times of three pieces of a width-4 network in two dimensions."""
    rng = np.random.default_rng(0)
    return {
        "A": rng.normal(size=(3, 2, 4)),
        "W": rng.normal(size=(3, 4, 2)),
        "b": rng.normal(size=(3, 4)),
        "times": np.array([0.0, 0.5, 0.7, 2.0]),
    }


def test_sizes_and_durations_are_read_off_the_arrays(parts):
    controls = Controls(**parts)
    assert (controls.pieces, controls.dimension, controls.width) == (3, 2, 4)
    assert_allclose(controls.durations, [0.5, 0.2, 1.3])
    for given, found in zip((parts["A"][1], parts["W"][1], parts["b"][1]), controls.piece(1), strict=True):
        assert_array_equal(found, given)


def test_nested_lists_are_taken_as_they_are():
    controls = Controls([[[1]]], [[[2]]], [[3]], [0, 1])
    assert controls.A.dtype == float
    assert controls.b[0, 0] == 3.0


@pytest.mark.parametrize(("t", "piece"), [(-1, 0), (0, 0), (0.49, 0), (0.5, 1), (0.69, 1), (0.7, 2), (2.0, 2), (9, 2)])
def test_a_time_belongs_to_the_piece_it_begins_and_the_horizon_to_the_last(parts, t, piece):
    assert Controls(**parts).piece_at(t) == piece


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("A", np.zeros((2, 4)), r"controls need A \(pieces, d, m\)"),
        ("times", np.zeros((2, 2)), "controls need"),
        ("W", np.zeros((3, 2, 4)), r"W must have shape \(3, 4, 2\) \(got \(3, 2, 4\)\)"),
        ("b", np.zeros((2, 4)), r"b must have shape \(3, 4\) \(got \(2, 4\)\)"),
        ("times", np.array([0.0, 1.0]), r"times must have shape \(4,\) \(got \(2,\)\)"),
        ("times", np.array([0.0, 0.5, 0.5, 2.0]), "times must increase"),
        ("times", np.array([2.0, 0.7, 0.5, 0.0]), "times must increase"),
        ("times", np.array([0.0, 0.5, 0.7, np.inf]), "controls.times holds a number that is not finite"),
        ("A", np.full((3, 2, 4), np.nan), "controls.A holds a number that is not finite"),
        ("b", np.full((3, 4), -np.inf), "controls.b holds a number that is not finite"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(parts, name, value, message):
    with pytest.raises(ControlsError, match=message):
        Controls(**{**parts, name: value})


@pytest.mark.parametrize("name", ["A", "W", "b", "times"])
@pytest.mark.parametrize("value", ["words", [[1.0], [1.0, 2.0]]])
def test_what_is_not_an_array_of_numbers_is_refused_as_controls(parts, name, value):
    with pytest.raises(ControlsError, match=name):
        Controls(**{**parts, name: value})


def test_controls_without_a_piece_are_refused():
    with pytest.raises(ControlsError):
        Controls(np.zeros((0, 1, 1)), np.zeros((0, 1, 1)), np.zeros((0, 1)), np.zeros(1))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_splitting_gives_the_same_drift_at_every_time(parts, count):
    network = Network(2, 4, "tanh", True, BOX)
    controls = Controls(**parts)
    split = controls.split(count)
    assert split.pieces == 3 * count
    assert_array_equal(split.times[::count], controls.times)
    assert_allclose(split.durations, np.repeat(controls.durations / count, count))
    points = np.random.default_rng(1).uniform((-1, 0), (1, 2), (20, 2))
    whole, cut = network_drift(network, controls, 2.0), network_drift(network, split, 2.0)
    for t in np.random.default_rng(2).uniform(0, 2, 50):
        before = whole.values(controls.piece_at(t), t, points)
        assert_array_equal(cut.values(split.piece_at(t), t, points), before)


def test_controls_for_another_network_or_horizon_are_refused_with_the_cure(parts):
    controls = Controls(**parts)
    with pytest.raises(ControlsError, match=r"set network\.width=4"):
        network_drift(Network(2, 3, "tanh", False, BOX), controls, 2.0)
    with pytest.raises(ControlsError, match="dimension 2"):
        network_drift(Network(1, 4, "tanh", False, BOX[:1]), controls, 2.0)
    with pytest.raises(ControlsError, match=r"cover \[0, 2\], the problem \[0, 1\.5\]"):
        network_drift(Network(2, 4, "tanh", False, BOX), controls, 1.5)


def dataset(parts, **replaced):
    import xarray as xr

    names = {"A": "A", "W": "W", "b": "b", "piece_times": "times"}
    arrays = {stored: parts[name] for stored, name in names.items()} | replaced
    return xr.Dataset(
        {
            stored: ([f"{stored}_{axis}" for axis in range(np.ndim(value))], value)
            for stored, value in arrays.items()
            if value is not None
        }
    )


def test_controls_are_read_back_as_they_were_stored(parts, tmp_path):
    path = tmp_path / "some.nc"
    dataset(parts).to_netcdf(path, engine="h5netcdf")
    for given in (path, str(path)):
        controls = Controls.load(given)
        for name, value in parts.items():
            assert_array_equal(getattr(controls, name), value)


def test_saved_controls_are_read_back(parts, tmp_path):
    Controls(**parts).save(tmp_path / "new" / "mine.nc")
    controls = Controls.load(tmp_path / "new" / "mine.nc")
    for name, value in parts.items():
        assert_array_equal(getattr(controls, name), value)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["mine.nc"]


def test_a_missing_file_says_which_and_what_to_give(tmp_path):
    with pytest.raises(ControlsError, match=r"nothing\.nc: no such file; give a result"):
        Controls.load(tmp_path / "nothing.nc")
    with pytest.raises(ControlsError, match="no such file"):
        Controls.load(tmp_path)


def test_a_file_that_lacks_a_part_names_it(parts, tmp_path):
    path = tmp_path / "less.nc"
    dataset(parts, b=None).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(ControlsError, match=r"less\.nc: holds no controls \(b missing\)"):
        Controls.load(path)


def test_a_file_whose_parts_do_not_fit_names_itself_and_the_part(parts, tmp_path):
    path = tmp_path / "misfit.nc"
    dataset(parts, b=np.zeros((3, 5))).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(ControlsError, match=r"misfit\.nc: .*b must have shape \(3, 4\)"):
        Controls.load(path)


@pytest.mark.parametrize("content", [b"", b"not a file of arrays", None], ids=["empty", "text", "cut-short"])
def test_a_file_of_another_kind_or_cut_short_is_explained(parts, tmp_path, content):
    path = tmp_path / "broken.nc"
    if content is None:
        dataset(parts).to_netcdf(path, engine="h5netcdf")
        content = path.read_bytes()[:-500]
    path.write_bytes(content)
    with pytest.raises(ControlsError, match=r"broken\.nc: not a readable NetCDF file"):
        Controls.load(path)
