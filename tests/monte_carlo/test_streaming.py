"""Particles in a stream: sums that no grouping changes, early ends, interruptions, several processes, little memory."""

import dataclasses
import time
import tracemalloc
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from controlsde.execution.executors import ExecutorError
from controlsde.execution.here import Here
from controlsde.execution.processes import WorkerDiedError
from controlsde.fokker_planck.diffusivity import Steady
from controlsde.monte_carlo import streaming
from controlsde.monte_carlo.backends.choice import Backend
from controlsde.monte_carlo.experiment import Experiment
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import Positions
from controlsde.monte_carlo.statistics import mollified_l2, sample_of
from controlsde.monte_carlo.streaming import Effort, Elsewhere
from controlsde.monte_carlo.sums import CELL, Layout, Sums, count

from .running import UNIT, still


def uniform(n, rng):
    return rng.random((n, 1))


def jump(process, stream, first, start, stop):
    """A backend that moves particle n by a function of n alone, and at once."""
    del process, stream, stop
    shift = (np.arange(first, first + len(start)) % 97)[:, None] / 97
    return Positions((start + shift + 1) % 2 - 1, np.ones(len(start), dtype=bool))


EXPERIMENT = Experiment(still(1.0), Steady(0.1), UNIT, "reflecting", uniform, 4, "heun", Stream(5))
LAYOUT = Layout.of_box(UNIT, "reflecting")
JUMP = Backend("jump", "cpu", jump)


def run(effort, backend=JUMP, **more):
    return EXPERIMENT.run(effort, LAYOUT, backend, **more)


def assert_same(one: Sums, other: Sums):
    assert_array_equal(one.vector(), other.vector())


@pytest.fixture(scope="module")
def counted():
    return run(Effort(5 * CELL + 123)).sums


def test_every_particle_is_counted_once_in_every_sum(counted):
    n = 5 * CELL + 123
    assert counted.count == n == counted.alive[0] == counted.marginals.sum() == counted.waves[0] / 2**22


@pytest.mark.parametrize("particles", [500, CELL + 7])
def test_no_particle_is_moved_that_is_not_counted_and_no_more_for_the_bias_of_the_steps(particles):
    moved = []

    def counting(process, stream, first, start, stop):
        moved.append(len(start))
        return jump(process, stream, first, start, stop)

    backend = Backend("counting", "cpu", counting)
    sums = run(Effort(particles), backend).sums
    assert sum(moved) == particles == sums.count
    moved.clear()
    EXPERIMENT.step_bias(LAYOUT, backend, sample_of(LAYOUT, sums), np.zeros(len(LAYOUT.modes.weights)))
    assert sum(moved) == 2 * min(particles, EXPERIMENT._bias_cells * CELL)  # with coarse and with fine steps


def test_sums_do_not_depend_on_threads_or_on_how_many_cells_move_together(counted, monkeypatch):
    for threads, cells in ((1, 1), (5, 1), (1, 3), (2, 256)):
        monkeypatch.setattr(streaming.loky, "cpu_count", lambda threads=threads: threads)
        found = run(Effort(5 * CELL + 123), dataclasses.replace(JUMP, cells=cells)).sums
        assert_same(found, counted)


def test_every_cell_starts_at_points_of_its_own_which_come_back():
    starts = streaming.Starts(uniform, EXPERIMENT.process, EXPERIMENT.stream)
    first, second = starts.cell(0), starts.cell(1)
    assert abs(np.corrcoef(first[:, 0], second[:, 0])[0, 1]) < 5 / np.sqrt(CELL)
    assert_array_equal(starts.cell(1), second)


def test_more_particles_leave_the_first_ones_as_they_are(counted):
    fewer, more = run(Effort(2 * CELL)).sums, run(Effort(2 * CELL + 1)).sums
    assert more.count == fewer.count + 1
    assert (counted.vector()[:2] > more.vector()[:2]).all()
    assert np.abs(more.marginals - fewer.marginals).sum() == 1


def test_sums_survive_the_way_through_a_vector(counted):
    assert_same(counted.from_vector(counted.vector()), counted)


def counts(cells):
    """What a worker does with a chunk of cells."""
    return EXPERIMENT.sums(LAYOUT, JUMP, 5 * CELL + 123, cells)


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_of_an_executor_count_the_same_particles(counted, workers):
    with ThreadPoolExecutor(workers) as pool:
        found = run(Effort(5 * CELL + 123), elsewhere=Elsewhere(pool, counts))
    assert_same(found.sums, counted)


def test_a_chunk_whose_worker_died_is_counted_all_the_same_and_once(counted):
    class Losing(Here):
        def __init__(self, times):
            self.left = times

        def submit(self, function, /, *arguments):
            if not self.left:
                return super().submit(function, *arguments)
            self.left -= 1
            lost = Future()
            lost.set_exception(WorkerDiedError("its worker process ended unexpectedly"))
            return lost

    with pytest.raises(ExecutorError, match="a worker died twice at particles 0 and on"):
        run(Effort(5 * CELL + 123), elsewhere=Elsewhere(Losing(2), counts))
    assert_same(run(Effort(5 * CELL + 123), elsewhere=Elsewhere(Losing(1), counts)).sums, counted)


def test_a_device_without_memory_gets_half_the_cells_and_the_same_result(counted):
    asked = []

    def small(process, stream, first, start, stop):
        asked.append(len(start) // CELL)
        if len(start) > CELL:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return jump(process, stream, first, start, stop)

    simulated = run(Effort(5 * CELL + 123), Backend("small", "cuda", small, cells=4))
    assert_same(simulated.sums, counted)
    assert max(asked) > 1
    assert all("out of memory, went on with" in note for note in simulated.notes)
    assert simulated.notes

    def none(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        run(Effort(10), Backend("none", "cuda", none, cells=4))


def test_an_error_in_a_backend_comes_through_and_the_threads_stay():
    def broken(*_):
        raise ZeroDivisionError

    threads = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        run(Effort(10 * CELL), Backend("broken", "cpu", broken))
    assert torch.get_num_threads() == threads


def slow(process, stream, first, start, stop):
    time.sleep(0.02)
    return jump(process, stream, first, start, stop)


def test_a_time_budget_ends_it_early_and_says_so():
    began = time.perf_counter()
    simulated = run(Effort(1000 * CELL, seconds=0.5), dataclasses.replace(JUMP, advance=slow))
    assert simulated.stopped == streaming.TIME_BUDGET
    assert CELL <= simulated.sums.count < 500 * CELL
    assert time.perf_counter() - began < 5
    assert run(Effort(3 * CELL, seconds=60.0)).stopped is None


def test_a_target_ends_it_when_the_standard_error_is_small_enough():
    coefficients = np.zeros(len(LAYOUT.modes.numbers))
    coefficients[:2] = 1.0, 0.3
    target = 2e-3
    simulated = run(Effort(10_000 * CELL, target_se=target), coefficients=coefficients)
    assert simulated.stopped == streaming.TARGET_SE
    reached = mollified_l2(LAYOUT.modes, sample_of(LAYOUT, simulated.sums), coefficients).standard_error
    assert target / 3 < reached <= target


def test_an_interruption_keeps_what_was_counted_and_nothing_twice():
    seen = []

    def interrupt(count_):
        seen.append(count_)
        if len(seen) == 3:
            raise KeyboardInterrupt

    simulated = run(Effort(5 * CELL + 123), report=interrupt)
    assert simulated.stopped == streaming.INTERRUPTED
    assert_same(simulated.sums, run(Effort(3 * CELL)).sums)
    with pytest.raises(KeyboardInterrupt):
        stop_at_once(EXPERIMENT)


def stop_at_once(experiment):
    def backend(*_):
        raise KeyboardInterrupt

    experiment.run(Effort(CELL), LAYOUT, Backend("stopped", "cpu", backend))


def test_progress_rises_to_the_number_of_particles():
    seen = []
    run(Effort(4 * CELL + 10), report=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 4 * CELL + 10


def test_memory_does_not_grow_with_the_particles():
    peaks = []
    for cells in (40, 400):
        tracemalloc.start()
        run(Effort(cells * CELL))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
    assert peaks[1] < 200e6  # bytes; a list of all positions would take 52e6 for every hundred cells


def test_dead_and_lost_particles_count_as_nothing():
    z = np.array([[0.5], [-0.5], [np.nan], [0.1]])
    found = count(LAYOUT, Positions(z, np.array([True, False, True, True])))
    assert (found.count, found.alive[0], found.lost[0]) == (4, 2, 1)
    assert found.marginals.sum() == 2
    assert_allclose(found.powers[0] / 2**22, 0.6, atol=1e-6)
