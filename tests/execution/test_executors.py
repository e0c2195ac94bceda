"""One sweep on Dask and under MPI: the bits of processes, and one line where a cluster is not to be had."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest

import controlsde as cs
from controlsde.execution import executors
from controlsde.execution.executors import check_name, executor_of
from tests.sweeps.cases import TINY, Inline, square
from tests.sweeps.test_sweep import run, same_bits

needs_dask = pytest.mark.skipif(find_spec("distributed") is None, reason="needs the extra dask")
needs_mpi = pytest.mark.skipif(
    find_spec("mpi4py") is None or shutil.which("mpiexec") is None, reason="needs the extra mpi, and mpiexec"
)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return run(tmp_path_factory.mktemp("ours"), Inline())


@needs_dask
def test_a_cluster_of_dask_finds_the_same_bits(ours, tmp_path):
    found = run(tmp_path, "dask", workers=2)
    assert found.verified
    same_bits(found, ours)


@needs_dask
@pytest.mark.slow
def test_a_running_scheduler_is_taken_by_its_address_and_left_running(ours, tmp_path):
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        found = run(tmp_path, f"dask:{cluster.scheduler_address}", vary={"noise": [0, 1], "solver.seed": [0]})
        assert len(cluster.scheduler_info["workers"]) == 2
    assert found.verified
    numbers = {row.key: row.numbers["objective"] for row in ours.rows}
    assert all(row.numbers["objective"] == numbers[row.key] for row in found.rows)


@needs_dask
def test_a_scheduler_that_does_not_answer_is_one_line_with_the_cure(monkeypatch):
    monkeypatch.setattr(executors, "ANSWERS_WITHIN", 1.0)
    address = "tcp://127.0.0.1:1"
    asked = executor_of(f"dask:{address}")
    with pytest.raises(cs.ExecutorError, match=f"at {address} does not answer.*dask scheduler"), asked:
        pass


@needs_dask
def test_workers_and_schedulers_of_other_versions_are_refused_also_those_that_come_later(monkeypatch):
    asked, ours = [], executors.versions_here()
    monkeypatch.setattr(executors, "_same_versions", asked.append)
    with executor_of("dask", 1) as pool:
        assert pool.submit(square, 3).result() == 9
        pool._ours = {**ours, "numpy": "1.9"}
        with pytest.raises(
            cs.ExecutorError, match=r"the worker at .* has numpy .* and the machine that leads 1\.9: inst"
        ):
            pool.submit(square, 3).result()
    [known] = asked
    assert len(known) == 2
    assert list(known.values()) == [ours, ours]
    monkeypatch.undo()
    other = {"tcp://10.0.0.5:1": {**ours, "numpy": "1.9"}}
    with pytest.raises(cs.ExecutorError, match=r"the worker at tcp://10\.0\.0\.5:1 has numpy 1\.9 and the machine"):
        executors._same_versions({**known, **other})
    with pytest.raises(cs.ExecutorError, match=r"the scheduler has numpy 1\.9"):
        executors._same_versions({"the scheduler": {**ours, "numpy": "1.9"}})


@needs_mpi
def test_under_mpiexec_the_first_process_leads_and_the_bits_are_the_same(ours, tmp_path):
    sets = [word for key, value in TINY.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    command = [
        "mpiexec", "-n", "3", sys.executable, "-m", "controlsde", "sweep", "two-bumps", "--vary", "noise=0,1",
        "--vary", "solver.seed=0:2", *sets, "-o", str(tmp_path), "--executor", "mpi", "--json", "-q",
    ]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode in (0, 3), ended.stderr  # few iterations: whether they converge is not the question
    assert ended.stderr.count("4 of 4 runs have ended") == 1
    document = json.loads(ended.stdout)  # of one process alone
    assert document["runs"] == 4
    same_bits(cs.Sweep.load(tmp_path), ours)


@pytest.mark.parametrize("name", ["ray", "processes:2", "mpi:4", ""])
def test_names_that_are_none_are_refused(name):
    if not name:
        check_name(name)  # nothing said is the default
        return
    with pytest.raises(cs.ExecutorError, match="executor must be processes, dask, dask:ADDRESS"):
        check_name(name)


def test_an_extra_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(executors, "find_spec", lambda _: None)
    for name in ("dask", "mpi"):
        with pytest.raises(cs.ExecutorError, match=rf"pip install 'controlsde\[{name}\]'"):
            check_name(name)
