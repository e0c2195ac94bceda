"""A result as a file, and back: what the file must hold, and that what it says can be trusted.

Comes in: a path. Goes out: the parts of a `Result`; or a ResultError in one line that names the file, what is wrong
with it, and the cure. The seal (`netcdf`) tells whether the file is as it was written. Everything is looked at besides,
for files of earlier versions have no seal: parts that are missing or of another kind, arrays that do not fit together
or the problem. Whether a check of the certificate passed is computed again from its value and its limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from controlsde.control.controls import Controls, ControlsError
from controlsde.diagnosis import Diagnosis
from controlsde.distances import BoxTransport
from controlsde.fokker_planck.mesh import Mesh
from controlsde.foundation import kinds, netcdf
from controlsde.foundation.errors import ControlsdeError
from controlsde.foundation.stored_json import COUNT, NUMBER, TEXT, VALUE, FormError, Maybe, number, one_of, parsed
from controlsde.problem import Problem, ProblemError, list_problems, parse_problem
from controlsde.result.retry import Retry
from controlsde.solvers.outcome import Beginning
from controlsde.verification.certificate import Certificate
from controlsde.verification.energy import Energy
from controlsde.verification.evidence import Fields, TrackingErrors
from controlsde.verification.promises import Promises

Array = NDArray[np.float64]

FORMAT = "controlsde-result"
FORMAT_VERSION = 4
SPACE = ("x", "y", "z")
CONTROLS = ("A", "W", "b", "piece_times")
CURVES = {"l2": "curve_time", "discrete_l2": "discrete_time"}
NEEDED = ("density", "reference", "time", "history", "starts", *CURVES, *CURVES.values())
BEGINNINGS: tuple[Beginning, ...] = get_args(Beginning)  # by their numbers in a file
MOST_DEGREE = 1000
OF_PARTICLES = (
    "is a result of free space, of particles, and this needs densities on a mesh; solve, compare, evaluate, simulate "
    "and report serve it"
)
GIVE = "give the .nc file that `controlsde solve` wrote"

OF_EVERY_ANSWER = {  # in the summary, whatever space it is of
    "solver": TEXT,
    "status": one_of("converged", "not-converged", "interrupted", "given"),
    "message": TEXT,
    "objective": VALUE,
    "iterations": COUNT,
    "seconds": {"build": NUMBER, "solve": NUMBER, "verify": NUMBER},
    "diagnosis": Maybe([Diagnosis.FORM]),
    "retry": Maybe(Retry.FORM),
}
SUMMARY = {
    **OF_EVERY_ANSWER,
    "tracking": TrackingErrors.FORM,
    "discrete": TrackingErrors.FORM,
    "distances": {"w2_final": Maybe(BoxTransport.FORM)},
    "promises": Maybe(Promises.FORM),
    "energy_details": Maybe(Energy.FORM),
    "certificate": Certificate.FORM,
}


class ResultError(ControlsdeError, ValueError):
    """A result file that is missing, cut short, of another kind or of another version."""


def read(source: Path) -> dict[str, Any]:
    """The parts of the result in a file, by the names of `Result`. Raises ResultError, see the head of this module."""
    with reading(source):
        stored = netcdf.read(
            source, (*NEEDED, "beginning", *SPACE, *CONTROLS), {"format": FORMAT, "format_version": FORMAT_VERSION}
        )
        refuse_other_formats(source, stored.attributes)
        if stored.attributes.get("space") == "free":
            raise ResultError(f"{source}: {OF_PARTICLES}")
        return _parts(stored, source)


@contextmanager
def reading(source: Path) -> Iterator[None]:
    """Whatever is wrong with a file of a result becomes a ResultError in one line, with the cure."""
    try:
        _refuse_other_kinds(source)
        yield
    except ResultError:
        raise
    except netcdf.ChangedError as error:
        raise ResultError(f"{source}: {error}; solve again, or take a copy that is whole") from None
    except (netcdf.NetcdfError, FormError, ControlsError) as error:
        raise ResultError(f"{source}: not a complete result file: it {error}; solve again") from None
    except OSError as error:
        raise ResultError(f"{source}: cannot be read ({(error.strerror or type(error).__name__).lower()})") from None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise ResultError(f"{source}: not a complete result file ({type(error).__name__}); solve again") from None


def is_free(source: Path) -> bool:
    """Whether a file says of itself that it holds a result of free space; what is no result at all says nothing."""
    try:
        return netcdf.read(source, ()).attributes.get("space") == "free"
    except (netcdf.NetcdfError, OSError, ValueError, RuntimeError):
        return False


def _refuse_other_kinds(source: Path) -> None:
    """Say what a file is where it is no NetCDF file at all, and what to do with it."""
    if not source.exists():
        raise ResultError(f"{source}: no such file; {_how_to_get_one(source)}")
    kind = kinds.kind_of(source)
    if kind == kinds.FOLDER:
        raise ResultError(f"{source}: is a folder, and no such file is a result; name the one in it: result.nc")
    if kind == kinds.PROBLEM:
        raise ResultError(f"{source}: that is a problem file, not a result; {_solved(str(source))}")
    if kind == kinds.EMPTY:
        raise ResultError(f"{source}: not a complete result file: it is empty; solve again")
    if kind in (None, kinds.TEXT):
        raise ResultError(f"{source}: not a result{', but text' if kind else ''}; {GIVE}")
    if kind not in (kinds.RESULT, kinds.SIMULATION, kinds.CONTROLS, kinds.NETCDF):
        raise ResultError(f"{source}: that is {kind}, not a result; {GIVE}")


def _how_to_get_one(source: Path) -> str:
    shipped = [problem.name for problem in list_problems()]
    if str(source) in shipped:
        return f"that is the name of a shipped problem; {_solved(str(source))}"
    return "`controlsde solve` writes results"


def _solved(problem: str) -> str:
    return f"solve it first: `controlsde solve {problem}` writes its result"


def refuse_other_formats(source: Path, attributes: dict[str, Any]) -> None:
    written = attributes.get("format")
    other = kinds.FORMATS.get(written) if isinstance(written, str) else None
    if written != FORMAT and other:
        raise ResultError(f"{source}: that is {other}, not a result; give the result that it was made of")
    if written != FORMAT:
        raise ResultError(f"{source}: not a result of controlsde")
    version = attributes.get("format_version")
    if type(version) is not int:
        raise FormError("lacks the number of its format")
    if version != FORMAT_VERSION:
        raise ResultError(f"{source}: written in format {version}, this version reads {FORMAT_VERSION}; solve again")


def _parts(stored: netcdf.Stored, source: Path) -> dict[str, Any]:
    attributes, arrays = stored.attributes, stored.arrays
    problem = problem_of(attributes.get("problem"))
    summary = parsed(attributes.get("summary"), SUMMARY, "summary")
    versions = parsed(attributes.get("versions"), {}, "versions")
    transport = summary["distances"].get("w2_final")
    fields = _fields(arrays, attributes.get("degree"), problem)
    expect(arrays["history"], (len(arrays["history"]), 3), "history")
    expect(arrays["starts"], (arrays["starts"].size,), "starts")
    return {
        "problem": problem,
        "solver": summary["solver"],
        "status": summary["status"],
        "message": summary["message"],
        "objective": number(summary["objective"]),
        "iterations": summary["iterations"],
        "seconds": summary["seconds"],
        "tracking": TrackingErrors.from_json(summary["tracking"]),
        "discrete": TrackingErrors.from_json(summary["discrete"]),
        "certificate": Certificate.from_json(summary["certificate"]),
        "promises": Promises.from_json(summary["promises"]) if summary.get("promises") else None,
        "energy": Energy.from_json(summary["energy_details"]) if summary.get("energy_details") else None,
        "fields": fields,
        "controls": controls_of(arrays, problem),
        "history": arrays["history"],
        "beginnings": beginnings_of(arrays),
        "starts": tuple(float(value) for value in arrays["starts"]),
        "diagnosis": tuple(Diagnosis.from_json(entry) for entry in summary.get("diagnosis") or ()),
        "retry": Retry.from_json(summary["retry"]) if summary.get("retry") else None,
        "device": text_of(attributes, "device"),
        "versions": {name: str(version) for name, version in versions.items()},
        "path": str(source),
        "transport": BoxTransport.from_json(transport) if transport else None,
        "digest": stored.digest,
    }


def stored_beginnings(beginnings: tuple[Beginning, ...]) -> tuple[NDArray[np.int8], dict[str, Any]]:
    """What begins with the rows of a history, as numbers, and the attributes that say what they mean (CF flags)."""
    numbers = np.array([BEGINNINGS.index(one) for one in beginnings], dtype=np.int8)
    meanings = " ".join(one.replace(" ", "_") or "goes_on" for one in BEGINNINGS)
    return numbers, {"flag_values": np.arange(len(BEGINNINGS), dtype=np.int8), "flag_meanings": meanings}


def beginnings_of(arrays: dict[str, Array]) -> tuple[Beginning, ...]:
    """What begins with the rows of the history; nothing in a file of an earlier version."""
    if "beginning" not in arrays:
        return ()
    numbers = arrays["beginning"]
    expect(numbers, (len(arrays["history"]),), "beginning")
    if not np.isin(numbers, np.arange(len(BEGINNINGS))).all():
        raise FormError("holds a beginning of a kind that there is not")
    return tuple(BEGINNINGS[int(one)] for one in numbers)


def problem_of(text: Any) -> Problem:
    """The problem in a file. Raises FormError."""
    if not isinstance(text, str):
        raise FormError("lacks its problem")
    try:
        return parse_problem(text, label="its problem")
    except ProblemError as error:
        raise FormError(f"holds a problem that is not valid ({error.messages[0]})") from None


def _fields(arrays: dict[str, Array], degree: Any, problem: Problem) -> Fields:
    """Densities and curves. Raises FormError where arrays are missing, or do not fit together or the problem's box."""
    missing = [name for name in (*NEEDED, *SPACE[: problem.dimension]) if name not in arrays]
    if missing:
        raise FormError(f"lacks {', '.join(missing)}")
    if type(degree) is not int or not 1 <= degree <= MOST_DEGREE:
        raise FormError(f"holds a degree that is not between 1 and {MOST_DEGREE}")
    axes = tuple(arrays[name] for name in SPACE[: problem.dimension])
    for name, axis, side in zip(SPACE, axes, problem.domain.box, strict=False):
        increasing(axis, name)
        off = abs(axis[0] - side[0]) + abs(axis[-1] - side[1]) if len(axis) > 1 else np.inf
        if (len(axis) - 1) % degree or not off <= 1e-9 * (side[1] - side[0]):
            raise FormError(f"holds points in {name} that are not those of a mesh over the problem's box")
    elements = tuple((len(axis) - 1) // degree for axis in axes)
    mesh = Mesh.build(problem.domain.box, problem.domain.walls, elements, degree)
    for name, given, line in zip(SPACE, axes, mesh.axes, strict=False):
        if not np.abs(given - line.grid).max() <= 1e-9 * (line.high - line.low):
            raise FormError(f"holds points in {name} that are not those of a mesh over the problem's box")
    for name in ("time", *CURVES.values()):
        increasing(arrays[name], name)
    shape = (len(arrays["time"]), *(len(axis) for axis in axes))
    for name in ("density", "reference"):
        expect(arrays[name], shape, name)
    for curve, times in CURVES.items():
        expect(arrays[curve], arrays[times].shape, curve)
    return Fields(
        mesh=mesh,
        times=arrays["time"],
        density=arrays["density"],
        reference=arrays["reference"],
        curve_times=arrays["curve_time"],
        l2=arrays["l2"],
        discrete_times=arrays["discrete_time"],
        discrete_l2=arrays["discrete_l2"],
    )


def controls_of(arrays: dict[str, Array], problem: Problem) -> Controls | None:
    """The controls; None where there are none. Raises FormError for a part of them, ControlsError for a misfit."""
    there = [name for name in CONTROLS if name in arrays]
    if not there:
        return None
    if len(there) < len(CONTROLS):
        raise FormError(f"lacks {', '.join(name for name in CONTROLS if name not in there)}")
    try:
        controls = Controls(*(arrays[name] for name in CONTROLS))
    except ControlsError as error:
        raise FormError(f"holds controls that do not fit ({error})") from None
    if controls.dimension != problem.dimension:
        raise FormError(f"holds controls in dimension {controls.dimension} for a problem in {problem.dimension}")
    return controls


def text_of(attributes: dict[str, Any], name: str) -> str:
    """An attribute that is a text. Raises FormError."""
    if not isinstance(attributes.get(name), str):
        raise FormError(f"lacks the name of its {name}")
    return str(attributes[name])


def increasing(values: Array, name: str) -> None:
    """Raise FormError unless values are finite and increase."""
    expect(values, (values.size,), name)
    if not (np.all(np.isfinite(values)) and np.all(np.diff(values) > 0)):
        raise FormError(f"holds a {name} that does not increase")


def expect(values: Array, shape: tuple[int, ...], name: str) -> None:
    """Raise FormError unless values have a shape."""
    if values.shape != shape:
        raise FormError(f"holds a {name} of shape {values.shape}, where {shape} is needed")
