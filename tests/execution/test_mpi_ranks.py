"""A rank of MPI that does not lead works, and then ends its command in order: with mpi4py's context as it is."""

import sys
import types

import click
import pytest
import typer

from controlsde.cli.side_by_side import SideBySide, leads
from controlsde.execution import executors


class World:
    def Get_size(self):  # noqa: N802
        return 3

    def allgather(self, mine):
        return [mine] * 3


class Follower:
    """What mpi4py gives to a rank that does not lead: nothing, and a context that swallows all errors."""

    def __init__(self, *_, **__):
        pass

    def __enter__(self):
        return None

    def __exit__(self, *_):
        return True


@pytest.fixture
def follower(monkeypatch):
    library = types.SimpleNamespace(COMM_WORLD=World(), Get_processor_name=lambda: "here")
    futures = types.SimpleNamespace(MPICommExecutor=Follower, MPIPoolExecutor=None)
    monkeypatch.setitem(sys.modules, "mpi4py", types.SimpleNamespace(MPI=library, futures=futures))
    monkeypatch.setitem(sys.modules, "mpi4py.futures", futures)
    monkeypatch.setattr(executors, "check_name", lambda _: None)


@pytest.mark.usefixtures("follower")
def test_a_rank_that_does_not_lead_ends_its_command_without_an_error():
    with pytest.raises((typer.Exit, click.exceptions.Exit)) as caught, SideBySide("mpi").started():
        raise AssertionError("nothing is left to do")
    assert caught.value.exit_code == 0


@pytest.mark.usefixtures("follower")
def test_errors_of_such_a_rank_are_not_swallowed():
    def follow():
        with executors.executor_of("mpi") as pool:
            assert pool is None
            raise LookupError

    with pytest.raises(LookupError):
        follow()


def test_only_ranks_of_mpi_follow(monkeypatch):
    monkeypatch.setenv("PMI_RANK", "2")
    assert not leads("mpi")
    assert leads(None)
    assert leads("processes")
