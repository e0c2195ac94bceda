"""The program around the library: nothing that it has set changes a number, and all of it is as it was afterwards."""

import contextlib
import decimal
import hashlib
import inspect
import itertools
import json
import locale
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from threadpoolctl import threadpool_info, threadpool_limits

import controlsde as cs
import controlsde.cli.commands
from controlsde.claims import claim_named, run_claim
from controlsde.claims.harness.claim import Setting
from controlsde.fokker_planck import Mesh, Operator
from controlsde.fokker_planck.propagation import Propagator
from controlsde.foundation import surroundings
from controlsde.foundation.blas import casadis_library, loaded_libraries
from controlsde.foundation.errors import EXIT_NOT_CONVERGED
from controlsde.monte_carlo import streaming
from controlsde.problem import parse_problem
from controlsde.reference.displacement import GaussianDisplacement, IntervalDisplacement
from controlsde.reference.moser import MoserReference
from controlsde.reference.moser_box import BoxMoserReference
from controlsde.reference.reversed_diffusion import ReversedDiffusionReference
from controlsde.report import curves
from controlsde.report.canvas import own_style
from controlsde.report.compared import cross_table
from controlsde.report.figures import save_all, save_figures, save_simulation
from controlsde.solvers import workers as processes

TINY = """\
name: tiny
domain: {box: [[0, 1]]}
reference:
  kind: reversed-diffusion
  forward: heat
  horizon: 0.2
  data: {kind: formula, expression: "1 + 0.5*cos(pi*x)"}
controls: {pieces: 2, bounds: 20}
mesh: {elements: [4], degree: 6, steps_per_piece: 2}
solver: {kind: shooting, starts: 2, hops: 0, iterations: 3}
monte_carlo: {particles: 2000, steps_per_piece: 4}
"""
FORMULA = {"kind": "formula", "expressions": ["0.1*sin(3*t) - 1e-300*exp(-900*x**2)*x"]}


@pytest.fixture(autouse=True)
def _unwatched(monkeypatch):
    """The library as it runs everywhere: the other tests have NumPy warn of numbers that are not finite."""
    quiet = dict.fromkeys(("divide", "over", "under", "invalid"), "ignore")
    monkeypatch.setattr(surroundings, "FLOATING_POINT", quiet)


def problem(**changes):
    return parse_problem(TINY, set={key.replace("__", "."): value for key, value in changes.items()})


def digest(*arrays):
    """A hash of bits; -0.0 and 0.0 differ."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array, dtype=float).tobytes())
    return found.hexdigest()


def numbers_of(result):
    """All numbers of a result but the seconds."""
    document = {key: value for key, value in result.to_json().items() if key != "seconds"}
    weights = (result.controls.A, result.controls.W, result.controls.b) if result.controls else ()
    fields = result.fields
    return json.dumps(document), digest(fields.density, fields.reference, fields.l2, result.history, *weights)


def work():
    """What a program does with the library: every number that comes of it, and the simulation and the comparison."""
    collocated = cs.solve(problem(), solver="collocation")
    given = cs.evaluate(problem(drift=FORMULA))
    compared = cs.compare(problem(), [0.0, 1.0])
    simulation = cs.simulate(given, 3000, paths=2)
    counted = {key: value for key, value in simulation.to_json().items() if "second" not in key}
    numbers = [numbers_of(one) for one in (collocated, given, *compared.results)]
    extra = digest(compared.cross, simulation.values, simulation.spreads, simulation.paths.positions)
    return [*numbers, json.dumps(counted), extra], simulation, compared


@pytest.fixture(scope="module")
def undisturbed():
    """The numbers in a program that has set nothing, and the results."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surroundings, "FLOATING_POINT", dict.fromkeys(np.geterr(), "ignore"))
        return work()


# --- what a program may have set ------------------------------------------------------------------------------------


def settings():
    """Everything that the library must leave alone, in a form that compares."""
    return {
        "numpy errors": np.geterr(),
        "numpy print options": {k: v for k, v in np.get_printoptions().items() if k != "override_repr"},
        "numpy random": str(np.random.get_state()),  # noqa: NPY002 - of the program around
        "random": random.getstate(),
        "torch random": torch.get_rng_state().tolist(),
        "torch": (
            torch.get_default_dtype(),
            torch.get_default_device(),
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.is_autocast_enabled("cpu"),
            torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(),
            surroundings._flushes_denormals(),
        ),
        "blas": sorted((pool["filepath"], pool["num_threads"]) for pool in threadpool_info()),
        "warnings": list(warnings.filters),
        "locale": locale.setlocale(locale.LC_ALL),
        "recursion": sys.getrecursionlimit(),
        "signals": [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "logging": (logging.root.level, list(logging.root.handlers), logging.root.manager.disable),
        "decimal": str(decimal.getcontext()),
        "matplotlib": dict(dict.items(mpl.rcParams)),
        "excepthook": (sys.excepthook, threading.excepthook),
    }


@contextlib.contextmanager
def hostile_numpy():
    """Everything is an error, and arrays print as little as they can."""
    with np.errstate(all="raise"), np.printoptions(precision=1, threshold=2, legacy="1.13"):
        yield


@contextlib.contextmanager
def hostile_torch(dtype):
    """Other defaults of every kind, and no gradients."""
    torch.set_default_dtype(dtype)
    torch.set_default_device("meta")
    torch.use_deterministic_algorithms(True)
    torch.set_flush_denormal(True)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with torch.inference_mode(), torch.autocast("cpu"):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(False)
        torch.use_deterministic_algorithms(False)
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def hostile_python():
    """Every warning is an error, decimals are few, seeds are set."""
    with warnings.catch_warnings(), decimal.localcontext() as context:
        warnings.simplefilter("error")
        context.prec = 2
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002 - as the program around may do
        torch.manual_seed(1)
        yield


@pytest.fixture(scope="module")
def decimal_comma(tmp_path_factory):
    """The name of a locale with a decimal comma, made here; nothing where the system has no such tools."""
    folder = tmp_path_factory.mktemp("locale")
    made = shutil.which("localedef") and subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "UTF-8", folder / "de_DE.UTF-8"], capture_output=True, check=False
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCPATH", str(folder))
        yield "de_DE.UTF-8" if made and made.returncode == 0 else ""


@contextlib.contextmanager
def hostile_locale(name):
    before = locale.setlocale(locale.LC_ALL)
    locale.setlocale(locale.LC_ALL, name or before)
    try:
        assert not name or locale.localeconv()["decimal_point"] == ","
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


@contextlib.contextmanager
def hostile(comma, dtype=torch.float16):
    """All of it at once, and several threads for linear algebra."""
    with (
        threadpool_limits(2),
        hostile_torch(dtype),
        hostile_numpy(),
        hostile_python(),
        hostile_locale(comma),
    ):
        yield


def in_a_thread(do):
    """What `do` returns in a thread of its own; its error here."""
    box = []

    def run():
        try:
            box.append((do(), None))
        except BaseException as error:  # noqa: BLE001 - raised again below
            box.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    value, error = box[0]
    if error is not None:
        raise error
    return value


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_no_setting_of_the_program_changes_a_bit_and_all_are_as_before(undisturbed, decimal_comma):
    with hostile(decimal_comma):
        before = settings()
        numbers, _, _ = work()
        after = settings()
    assert numbers == undisturbed[0]
    assert after == before


def test_nor_in_another_thread_under_a_finer_default_dtype(decimal_comma):
    def fitted():
        return numbers_of(cs.solve(problem(), solver="score-matching"))

    def there():
        with hostile(decimal_comma, torch.float64):
            before = settings()
            return fitted(), before, settings()

    numbers, before, after = in_a_thread(there)
    assert numbers == fitted()
    assert after == before


@pytest.mark.slow
@pytest.mark.usefixtures("several_processors")
def test_workers_find_the_same_though_warnings_are_errors_there(monkeypatch):
    three = problem(solver__starts=3, monte_carlo__particles=50)
    here = numbers_of(cs.solve(three))
    monkeypatch.setattr(processes, "POOL_PAYS_ABOVE", 0.0)
    monkeypatch.setattr(processes, "THREADS_PAY_ABOVE", float("inf"))
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    elsewhere = []
    with np.errstate(all="raise"):
        found = cs.solve(three, progress=lambda step: elsewhere.append("of 3 done" in step.task))
    assert any(elsewhere)
    assert numbers_of(found) == here


@pytest.mark.usefixtures("several_processors")
def test_worker_processes_have_the_librarys_settings():
    def told(_start, _stopped):
        return SimpleNamespace(interrupted=False, seen=(set(np.geterr().values()), torch.get_num_threads()))

    with processes.Workers() as workers:
        (one, other) = workers.run([0, 1], None, lambda *given: told(*given), lambda *_: None, expected=1e6)
    assert one.seen == other.seen == ({"ignore"}, 1)


def test_inside_the_library_all_settings_are_its_own(undisturbed, decimal_comma):
    """As a function sees them that is told of the progress."""
    seen = []

    def look(_):
        torches = (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu"))
        blas = {library.threads() for library in libraries}
        seen.append((set(np.geterr().values()), torch.get_default_device(), torches, torch.get_num_threads(), blas))

    libraries = loaded_libraries()
    own = ({"ignore"}, torch.device("cpu"), (True, False, False), 1, {1})
    claim = claim_named("ou-semigroup-score")
    calls = [
        lambda: cs.solve(problem(monte_carlo__particles=50), progress=look),
        lambda: cs.compare(problem(monte_carlo__particles=50), [0.0], progress=look),
        lambda: cs.simulate(undisturbed[1].result, 100, progress=look),
        lambda: run_claim(claim, claim.fast, Setting(look)),
    ]
    for call in calls:
        seen.clear()
        with hostile(decimal_comma):
            call()
        assert seen
        assert all(one == own for one in seen)


def test_the_blas_that_casadi_brings_is_on_one_thread_too(undisturbed):
    assert undisturbed
    library, seen = casadis_library(), []
    if library is None:
        pytest.skip("this CasADi brings no OpenBLAS of its own")
    before = library.threads()
    library.set_threads(2)
    try:
        few = problem(solver={"kind": "collocation", "iterations": 2})
        cs.solve(few, progress=lambda _: seen.append(library.threads()))
        assert set(seen) == {1}
        assert library.threads() == 2
    finally:
        library.set_threads(before)


def test_the_threads_of_the_particles_have_the_librarys_settings_too(undisturbed, monkeypatch):
    seen, count = [], streaming.count

    def look(*arguments):
        seen.append((threading.current_thread(), set(np.geterr().values()), torch.get_num_threads()))
        return count(*arguments)

    monkeypatch.setattr(streaming, "count", look)
    with np.errstate(all="raise"):
        cs.simulate(undisturbed[1].result, 100)
    assert seen
    assert all(one != threading.main_thread() for one, *_ in seen)
    assert {(errors.pop(), threads) for _, errors, threads in seen} == {("ignore", 1)}


@pytest.mark.parametrize("ending", [KeyboardInterrupt, ZeroDivisionError])
def test_all_settings_are_as_before_after_an_interruption_or_an_error_too(ending, decimal_comma):
    def progress(step):
        if step.iteration == 1:
            raise ending

    with hostile(decimal_comma):
        before = settings()
        if ending is KeyboardInterrupt:
            assert cs.solve(problem(), progress=progress).status == "interrupted"
        else:
            with pytest.raises(ZeroDivisionError):
                cs.solve(problem(), progress=progress)
        assert settings() == before


def test_threads_that_leave_in_any_order_give_all_blas_threads_back():
    """Two threads are inside at once, and the one that came first leaves first."""
    second_in, first_out = threading.Event(), threading.Event()
    seen = {}

    def blas():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    def second():
        with surroundings.own_settings():
            second_in.set()
            first_out.wait(20)
            seen["alone"] = (blas(), torch.get_num_threads())
        seen["after"] = (blas(), torch.get_num_threads())

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threadpool_limits(2, user_api="blas"):
            other = threading.Thread(target=second)
            with surroundings.own_settings():
                other.start()
                assert second_in.wait(20)
                with surroundings.one_thread():
                    assert blas() == {1}
            first_out.set()
            other.join()
            assert seen == {"alone": ({1}, 1), "after": ({2}, 2)}
            assert (blas(), torch.get_num_threads()) == ({2}, 2)
    finally:
        torch.set_num_threads(threads)


def test_threads_take_turns_at_collocation():
    """CasADi crashes now and then where two threads build programs at once."""
    turns = []
    few = {"solver": {"kind": "collocation", "iterations": 2}, "monte_carlo.particles": 50}

    def one(number):
        def progress(step):
            if step.iteration is not None:
                turns.append(number)

        return cs.solve(parse_problem(TINY, set=few), progress=progress).objective

    found = []
    threads = [threading.Thread(target=lambda number=number: found.append(one(number))) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    changes = sum(a != b for a, b in itertools.pairwise(turns))
    assert len(found) == 2
    assert len(set(found)) == 1
    assert set(turns) == {0, 1}
    assert changes == 1


# --- objects that a caller is given ----------------------------------------------------------------------------------


def propagated():
    """Densities of the state equation, and the gradient of a loss where gradients are wanted."""
    mesh = Mesh.build(box=((-5.0, 5.0),), walls="reflecting", elements=(6,), degree=6)
    operator = Operator.build(mesh, diffusivity=1.0)
    propagate = Propagator(operator, durations=[0.1] * 3, steps_per_piece=2)
    points = torch.from_numpy(operator.drift_points)
    drift = (-points).expand(3, *points.shape).clone().requires_grad_()
    with np.errstate(all="ignore"):
        initial = torch.from_numpy(np.exp(-40 * mesh.points[:, 0] ** 2))
    stages = propagate(drift, initial)
    assert (stages.device.type, stages.dtype) == ("cpu", torch.float64)
    if not torch.is_grad_enabled():
        assert not stages.requires_grad
        return digest(stages.numpy()), None
    torch.logsumexp(stages[-1, -1, -1], dim=0).backward()
    return digest(stages.detach().numpy()), digest(drift.grad.numpy())


def test_the_differentiable_operation_keeps_to_the_callers_grad_mode(decimal_comma):
    with surroundings.one_thread():  # how many there are is the caller's choice here, and shows in the last bit
        stages, gradient = propagated()
        assert gradient is not None
        with hostile_torch(torch.float16), hostile_numpy(), hostile_python(), hostile_locale(decimal_comma):
            torch.set_num_threads(1)
            assert propagated() == (stages, None)
            with torch.inference_mode(mode=False), torch.no_grad():
                assert propagated() == (stages, None)
                with torch.enable_grad():
                    assert propagated() == (stages, gradient)


@pytest.mark.parametrize("name", ["two-bumps", "vp-cosine", "iris-petals", "moser-bumps", "moser-square", "foellmer"])
def test_a_reference_answers_where_numpy_raises(name):
    one = cs.load_problem(name)
    reference = cs.build_reference(one.reference, one.domain)
    points = np.stack([axis.ravel() for axis in np.meshgrid(*[np.linspace(*side, 9) for side in one.domain.box])], 1)

    def asked():
        times = np.linspace(0, reference.horizon, 3)
        fields = [reference.exact_drift(t, points, 1.0) for t in times[:-1]]
        drawn = reference.sample_initial(20, np.random.default_rng(0))
        return digest(*[reference.density(t, points) for t in times], *fields, reference.initial_density(points), drawn)

    expected = asked()
    with np.errstate(all="raise"):
        assert asked() == expected


@pytest.mark.parametrize(
    "kind",
    [MoserReference, BoxMoserReference, IntervalDisplacement, GaussianDisplacement, ReversedDiffusionReference],
)
def test_every_kind_of_reference_answers_in_the_librarys_arithmetic(kind):
    asked = [value for name, value in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")]
    assert len(asked) >= 5
    assert all(hasattr(value, "__wrapped__") for value in asked)


def test_the_pytorch_module_is_on_the_default_device_as_any_module(undisturbed):
    result = undisturbed[2].results[0]
    module, x = result.to_torch(torch.float64), torch.linspace(-3, 3, 5, dtype=torch.float64)[:, None]
    drift, grid = module(0.3, x), module.grid(2)
    with torch.device("meta"):
        assert result.to_torch().A.is_meta
        assert torch.equal(module(0.3, x), drift)
        assert torch.equal(module.f(0.3, x), drift)
        assert torch.equal(module.grid(2), grid)
        np.testing.assert_array_equal(module.controls().times, result.controls.times)


# --- pictures --------------------------------------------------------------------------------------------------------

LOUD = {
    "text.usetex": True, "image.cmap": "hot", "axes.prop_cycle": mpl.cycler(color=["red"]), "figure.dpi": 30,
    "savefig.dpi": 20, "savefig.transparent": True, "savefig.bbox": "tight", "font.size": 40, "axes.grid": True,
    "figure.facecolor": "black", "lines.linewidth": 9, "axes.formatter.use_locale": True, "font.family": "serif",
    "figure.constrained_layout.use": True, "xtick.labelsize": 30, "legend.frameon": True, "path.sketch": (9, 9, 9),
}  # fmt: skip


def pictures(undisturbed, folder):
    """The figures of a result and of a simulation, and one of a comparison, as they are on the disk."""
    _, simulation, compared = undisturbed
    table = {"cross": lambda: cross_table(compared)}
    written = [
        *save_all(table, folder), *save_figures(compared.results[1], folder), *save_simulation(simulation, folder),
    ]  # fmt: skip
    return {path.name: digest(np.frombuffer(path.read_bytes(), np.uint8)) for path in written}


@pytest.mark.slow
def test_no_setting_of_matplotlib_changes_a_picture_and_all_are_as_before(undisturbed, tmp_path, decimal_comma):
    expected = pictures(undisturbed, tmp_path)
    assert len(expected) == 6
    with mpl.rc_context(LOUD), hostile(decimal_comma):
        before = settings()
        assert pictures(undisturbed, tmp_path) == expected
        assert settings() == before


def test_pictures_in_two_threads_leave_the_settings_alone():
    """Whoever comes second waits, so that nobody takes the other's settings for the program's."""
    entered, order = threading.Event(), []

    def second():
        entered.set()
        with own_style():
            order.append("second")

    with mpl.rc_context(LOUD):
        other = threading.Thread(target=second)
        with own_style():
            assert not mpl.rcParams["text.usetex"]
            other.start()
            assert entered.wait(20)
            other.join(0.2)
            order.append("first")
        other.join()
        assert order == ["first", "second"]
        assert mpl.rcParams["text.usetex"]
        assert mpl.rcParams["figure.dpi"] == LOUD["figure.dpi"]


def test_a_figure_of_the_program_keeps_its_own_settings(undisturbed, tmp_path):
    def theirs():
        figure = Figure(figsize=(2, 1))
        canvas = FigureCanvasAgg(figure)
        figure.subplots().plot([0, 1], [1, 0])
        canvas.draw()
        return digest(np.asarray(canvas.buffer_rgba()))

    with mpl.rc_context({key: value for key, value in LOUD.items() if key != "text.usetex"}):
        before = theirs()
        save_simulation(undisturbed[1], tmp_path)
        assert theirs() == before


@pytest.mark.slow
def test_a_picture_that_fails_is_told_and_the_others_are_drawn(undisturbed, tmp_path, monkeypatch):
    (tmp_path / "weights.png").write_bytes(b"of an earlier result")

    def fails(_):
        raise ValueError("no such\x1b[31m colour\nand more")

    monkeypatch.setattr(curves, "weights", fails)
    said = []
    written = save_figures(undisturbed[2].results[0], tmp_path, said.append)
    assert {path.name for path in written} == {path.name for path in tmp_path.iterdir()}
    assert {path.name for path in written} == {"density.png", "error.png", "convergence.png"}
    assert said == [f"{tmp_path / 'weights.png'} was not drawn: ValueError: no such [31m colour"]
    with pytest.raises(ValueError, match="no such"):
        save_figures(undisturbed[2].results[0], tmp_path)


def test_a_full_disk_is_told_by_the_system_s_words(undisturbed, tmp_path, monkeypatch):
    def full(_, path, **__):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(FigureCanvasAgg, "print_png", full)
    said = []
    assert save_figures(undisturbed[2].results[0], tmp_path, said.append) == ()
    assert len(said) == 4
    assert all(line.endswith("was not drawn: OSError: No space left on device") for line in said)
    assert list(tmp_path.iterdir()) == []


# --- commands --------------------------------------------------------------------------------------------------------


def command(monkeypatch, *words):
    """Run a command in this process, and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["controlsde", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        controlsde.cli.commands.main()
    return left.value.code or 0


def test_a_picture_that_fails_leaves_the_result_and_the_exit_code(tmp_path, monkeypatch, capsys):
    (tmp_path / "tiny.yaml").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    before = []

    def fails(result):
        before.append((result.path, json.loads(capsys.readouterr().out)["result"]))
        raise RuntimeError("Failed to process string with tex because latex could not be found")

    monkeypatch.setattr(curves, "weights", fails)
    of_others = {"random", "excepthook"}  # rich names its styles by chance, and typer shows errors in its own way
    world = {key: value for key, value in settings().items() if key not in of_others}
    assert command(monkeypatch, "solve", "tiny.yaml", "-o", "out", "--json", "-q") == EXIT_NOT_CONVERGED
    assert {key: settings()[key] for key in world} == world
    assert before == [("out/result.nc", "out/result.nc")]
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "warning: out/weights.png was not drawn: RuntimeError: Failed to process string with tex because latex could "
        "not be found"
    ]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "result.nc", "density.png", "error.png", "convergence.png", "report.html",
    }  # fmt: skip


@pytest.mark.slow
def test_a_command_heeds_neither_a_matplotlibrc_nor_warnings_that_are_errors(tmp_path, decimal_comma):
    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfigure.dpi: 3\naxes.formatter.use_locale: True\n")
    environment = {**os.environ, "PYTHONWARNINGS": "error", **({"LC_ALL": decimal_comma} if decimal_comma else {})}
    words = ["evaluate", "tiny.yaml", "--set", "drift={kind: exact}", "-o", "out", "--json", "-q"]
    ended = subprocess.run(
        [sys.executable, "-m", "controlsde", *words],
        cwd=tmp_path, capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert ended.stderr == ""
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["verified"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "result.nc",
        "density.png",
        "error.png",
        "report.html",
    }


def test_a_command_runs_in_any_thread(monkeypatch, capsys):
    """Where signals cannot be handled."""
    assert in_a_thread(lambda: command(monkeypatch, "problems", "--json")) == 0
    assert "two-bumps" in capsys.readouterr().out


def test_settings_are_taken_while_another_thread_imports_pytorch():
    """Whoever asks PyTorch for its settings before all of it is there would break that import."""
    program = """
import threading
from controlsde.foundation.surroundings import own_settings
failures = []
def load():
    try:
        import torch
    except BaseException as error:
        failures.append(error)
loading = threading.Thread(target=load)
loading.start()
while loading.is_alive():
    with own_settings():
        pass
assert not failures, failures
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
