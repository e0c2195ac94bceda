"""A seeded search for a file that was changed and is read all the same: results and weights, sealed or of old.

The files are loaded in another process, a batch at a time, so that a crash, a hang, or a trace at its end is seen as
well. The small version runs with all other tests, the full one with `pytest -m slow tests/slow`.
"""

import dataclasses
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest

from controlsde.control.controls import Controls
from controlsde.foundation import netcdf
from controlsde.problem import load_problem
from controlsde.workflow.solving import evaluate

FEW = {"monte_carlo.particles": 500, "monte_carlo.steps_per_piece": 4, "mesh.elements": [4], "mesh.degree": 4}
LOADER = """
import dataclasses, hashlib, json, resource, sys
from pathlib import Path
from controlsde.control.controls import Controls, ControlsError
from controlsde.result.result import Result
from controlsde.result.result_file import ResultError

resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30,) * 2)  # a claim of more is refused before it is believed

def numbers(*arrays):
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(repr((array.shape, array.dtype.str)).encode() + array.tobytes())
    return digest.hexdigest()

def of_controls(controls):
    return numbers(controls.A, controls.W, controls.b, controls.times)

def of_result(result):
    fields = result.fields
    document = result.to_json()
    document["result"] = None
    arrays = [fields.times, *fields.axes, fields.density, fields.reference, fields.curve_times, fields.l2,
              fields.discrete_times, fields.discrete_l2, result.history]
    checks = result.certificate.checks
    return {
        "numbers": numbers(*arrays) + of_controls(result.controls),
        "summary": document, "problem": result.problem.to_yaml(), "versions": result.versions,
        "digest": result.digest, "verified": result.verified,
        "true": bool(checks) and all(check.value <= check.limit for check in checks),
    }

for name in json.loads(sys.stdin.read()):
    found = {"file": name}
    loads = [("controls", lambda path: of_controls(Controls.load(path)))]
    if name.endswith(".nc"):
        loads.append(("result", lambda path: of_result(Result.load(path))))
    for key, load in loads:
        try:
            found[key] = load(Path(name))
        except (ResultError, ControlsError) as error:
            found[key + " refused"] = str(error)
    print(json.dumps(found), flush=True)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with result.nc and weights.safetensors as they are written, and old.nc, the result without a seal."""
    folder = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(0)
    parts = {"A": (2, 1, 1), "W": (2, 1, 1), "b": (2, 1)}
    controls = Controls(**{name: rng.normal(size=shape) for name, shape in parts.items()}, times=[0, 0.7, 1.5])
    found = evaluate(load_problem("two-bumps", set={**FEW, "controls.pieces": 2}), controls)
    history = np.array([[0, 1.5, 0.2], [1, 1.25, np.nan]])
    result = dataclasses.replace(found, history=history, starts=(0.5, 0.25)).save(folder / "result.nc")
    result.save_weights(folder / "weights.safetensors")
    shutil.copy(folder / "result.nc", folder / "old.nc")
    with h5py.File(folder / "old.nc", "r+") as file:  # whoever opens it to write drops the seal
        del file.attrs[netcdf.SEALED]
    return folder


def loaded(paths):
    """What the loader says of each file; it must say nothing else, and end well."""
    command = [sys.executable, "-c", LOADER]
    names = json.dumps([str(path) for path in paths])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    ended = subprocess.run(
        command, input=names, capture_output=True, text=True, timeout=2400, check=False, env=environment
    )
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.returncode == 0, (ended.returncode, paths[min(len(found), len(paths) - 1)], ended.stderr[-2000:])
    assert ended.stderr == ""
    assert len(found) == len(paths)
    return found


def flip_a_bit(rng, content):
    place = int(rng.integers(8 * len(content)))
    content[place // 8] ^= 1 << place % 8
    return content


def flip_bits(rng, content):
    for _ in range(int(rng.integers(2, 60))):
        content = flip_a_bit(rng, content)
    return content


def flip_in_the_head(rng, content):
    place = int(rng.integers(8 * min(1200, len(content))))
    content[place // 8] ^= 1 << place % 8
    return content


def cut(rng, content):
    return content[: int(rng.integers(len(content)))]


def cut_the_end(rng, content):
    return content[: len(content) - int(rng.integers(1, 200))]


def zero_a_block(rng, content):
    start = int(rng.integers(len(content)))
    length = int(2 ** rng.uniform(0, 12))
    content[start : start + length] = bytes(len(content[start : start + length]))
    return content


def spoil_a_block(rng, content):
    start = int(rng.integers(len(content)))
    length = len(content[start : start + int(2 ** rng.uniform(0, 10))])
    content[start : start + length] = rng.bytes(length)
    return content


NUMBERS = (1, 2**31, 2**36, 2**63 - 1, 2**64 - 1)


def spoil_a_number(rng, content):
    """As a length, an address or a count in a header would be spoilt: all ones, or a huge or a small number."""
    start = int(rng.integers(len(content) - 8))
    content[start : start + 8] = NUMBERS[int(rng.integers(len(NUMBERS)))].to_bytes(8, "little")
    return content


def move_a_block(rng, content):
    start, place = (int(one) for one in rng.integers(len(content), size=2))
    block = content[start : start + int(rng.integers(1, 2000))]
    return content[:place] + block + content[place:]


def append(rng, content):
    return content + rng.bytes(int(rng.integers(1, 300)))


BY_BYTES = (
    flip_a_bit, flip_bits, flip_in_the_head, cut, cut_the_end, zero_a_block, spoil_a_block, spoil_a_number,
    move_a_block, append,
)  # fmt: skip


def edit_a_number(rng, file):
    data = file[rng.choice([name for name in file if file[name].size])]
    values = data[()].ravel()
    with np.errstate(over="ignore"):  # of single precision
        values[int(rng.integers(values.size))] = rng.choice([np.nan, np.inf, -1.0, 1e300, 0.0])
    data[()] = values.reshape(data.shape)


def drop_a_variable(rng, file):
    del file[rng.choice(list(file))]


def drop_an_attribute(rng, file):
    del file.attrs[rng.choice(list(file.attrs))]


def change_an_attribute(rng, file):
    values = ["", "abc", "[]", "{}", "{", "null", -5, 0, 2**40, 1.5, np.nan, np.zeros(3), "\x1b[2J"]
    file.attrs[rng.choice(list(file.attrs))] = values[int(rng.integers(len(values)))]


def change_the_summary(rng, file):
    summary = json.loads(file.attrs["summary"])
    inner = summary
    for _ in range(int(rng.integers(1, 4))):
        key = rng.choice(list(inner)) if isinstance(inner, dict) else int(rng.integers(len(inner)))
        if not isinstance(inner[key], dict | list) or not inner[key]:
            break
        parent, inner = inner, inner[key]
    else:
        inner = parent
    values = ["abc", None, [], {}, -1, 1e999, True, "1", 10**30, {"value": 1}, [[[]]]]
    inner[key] = values[int(rng.integers(len(values)))]
    file.attrs["summary"] = json.dumps(summary)


def change_a_shape(rng, file):
    name = rng.choice(list(file))
    values = file[name][()]
    shapes = [values.ravel()[:-1], values[None], values.ravel(), np.zeros(0), np.float64(1.0), np.repeat(values, 2)]
    del file[name]
    file[name] = shapes[int(rng.integers(len(shapes)))]


def change_a_kind(rng, file):
    name = rng.choice(list(file))
    values = file[name][()]
    kinds = [values.astype("S8"), values.astype(complex), values.astype(bool), values > 0, "text", values.astype("f4")]
    del file[name]
    file[name] = kinds[int(rng.integers(len(kinds)))]


def claim_much(rng, file):
    name = rng.choice(list(file))
    del file[name]
    file.create_dataset(name, shape=(2**33,), dtype="f8", chunks=(2**20,) if rng.random() < 0.5 else None)


def link_elsewhere(rng, file):
    name = rng.choice(list(file))
    del file[name]
    links = [h5py.SoftLink("/density"), h5py.ExternalLink("result.nc", "/density"), h5py.SoftLink("/nothing")]
    file[name] = links[int(rng.integers(len(links)))]


BY_HAND = (
    edit_a_number, drop_a_variable, drop_an_attribute, change_an_attribute, change_the_summary, change_the_summary,
    change_a_shape, change_a_kind, claim_much, link_elsewhere,
)  # fmt: skip


def spoilt_by_bytes(made, folder, source, count, seed):
    """Copies of a file of which bytes were changed, by each of the ways in turn."""
    paths = []
    original = (made / source).read_bytes()
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        way = BY_BYTES[number % len(BY_BYTES)]
        content = way(rng, bytearray(original))
        if bytes(content) == original:
            continue
        paths.append(folder / f"{number:04}-{way.__name__}-{source}")
        paths[-1].write_bytes(content)
    return paths


def edited_by_hand(made, folder, count, seed):
    """Copies of a result that somebody edited, and whose seal was made anew: what is in them must still make sense."""
    paths = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        way = BY_HAND[number % len(BY_HAND)]
        path = folder / f"{number:04}-{way.__name__}.nc"
        shutil.copy(made / "old.nc", path)
        with h5py.File(path, "r+") as file:
            way(rng, file)
        path.write_bytes(path.read_bytes() + netcdf.seal_of(path.read_bytes())[0])
        paths.append(path)
    return paths


def refusals(found):
    return [message for key, message in found.items() if key.endswith("refused")]


def in_one_line(found):
    for message in refusals(found):
        assert message.startswith(f"{found['file']}: "), message
        assert len(message.splitlines()) == 1, message
        assert "\x1b" not in message


def search(made, folder, count, seed):
    """All that must hold, of so many files of each kind."""
    sources = ("result.nc", "weights.safetensors")
    batches = [spoilt_by_bytes(made, folder, source, count, seed) for source in sources]
    batches.append(spoilt_by_bytes(made, folder, "old.nc", count, seed + 1))
    batches.append(edited_by_hand(made, folder, count, seed + 2))
    whole, *answers = loaded([made / "old.nc", *itertools.chain(*batches)])
    answers = iter(answers)
    *sealed, unsealed, edited = [list(itertools.islice(answers, len(batch))) for batch in batches]
    for source, batch in zip(sources, sealed, strict=True):
        for found in batch:
            in_one_line(found)
            assert len(refusals(found)) == (2 if source.endswith(".nc") else 1), found
    for found in unsealed:
        in_one_line(found)
        assert "result" not in found or found["result"]["digest"] is None
        assert "result" not in found or found["result"]["verified"] == found["result"]["true"]
    for found in edited:
        in_one_line(found)
        if "result" in found:
            assert found["result"]["verified"] == found["result"]["true"]
            assert np.isfinite(found["result"]["summary"]["certificate"]["nodes"])
    assert whole["result"]["verified"] == whole["result"]["true"]


def test_what_was_written_is_read(made):
    """…so that what is refused below is refused for what was done to it."""
    sealed, old, weights = loaded([made / "result.nc", made / "old.nc", made / "weights.safetensors"])
    assert not refusals(sealed)
    assert not refusals(old)
    assert (
        sealed["result"]["digest"]
        == hashlib.sha256((made / "result.nc").read_bytes()[: -netcdf.SEAL_BYTES]).hexdigest()
    )
    assert {**sealed["result"], "digest": None} == {**old["result"], "digest": None}
    assert not refusals(weights)


def test_of_some_corrupted_files_each_is_refused_in_one_line_or_makes_sense(made, tmp_path):
    search(made, tmp_path, 20, seed=15)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 103))
def test_of_many_corrupted_files_each_is_refused_in_one_line_or_makes_sense(made, tmp_path, seed):
    search(made, tmp_path, 400, seed=10 * seed)
