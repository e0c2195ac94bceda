"""A result of free space as a file, and back; what `result_file` is for results on a mesh.

Comes in: a path. Goes out: the parts of a `FreeResult`; or a ResultError in one line that names the file, what is wrong
with it, and the cure.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.diagnosis import Diagnosis
from controlsde.foundation import netcdf
from controlsde.foundation.stored_json import TEXT, VALUE, FormError, number, parsed
from controlsde.problem import Problem
from controlsde.result import result_file
from controlsde.result.result_file import CONTROLS, FORMAT, ResultError
from controlsde.result.retry import Retry
from controlsde.verification.free_certificate import FreeCertificate
from controlsde.verification.free_evidence import FreeErrors, Particles

Array = NDArray[np.float64]

FORMAT_VERSION = 4
NEEDED = ("time", "positions", "reference", "final", "held_out", "mollified", "shift", "scale", "history", "starts")

SUMMARY = {
    **result_file.OF_EVERY_ANSWER,
    "tracking": FreeErrors.FORM,
    "energy": VALUE,
    "energy_se": VALUE,
    "certificate": FreeCertificate.FORM,
}


def read(source: Path) -> dict[str, Any]:
    """The parts of the result in a file, by the names of `FreeResult`. Raises ResultError, see the head."""
    with result_file.reading(source):
        wanted = {"format": FORMAT, "format_version": FORMAT_VERSION}
        stored = netcdf.read(source, (*NEEDED, "beginning", *CONTROLS), wanted)
        result_file.refuse_other_formats(source, stored.attributes)
        if stored.attributes.get("space") != "free":
            raise ResultError(f"{source}: is a result of a box, not of free space; read it by Result.load")
        return _parts(stored, source)


def _parts(stored: netcdf.Stored, source: Path) -> dict[str, Any]:
    attributes, arrays = stored.attributes, stored.arrays
    missing = [name for name in NEEDED if name not in arrays]
    if missing:
        raise FormError(f"lacks {', '.join(missing)}")
    problem = result_file.problem_of(attributes.get("problem"))
    if not problem.domain.free:
        raise FormError("holds a problem that is not in free space")
    summary = parsed(attributes.get("summary"), SUMMARY, "summary")
    versions = parsed(attributes.get("versions"), {}, "versions")
    names = parsed(attributes.get("names"), [TEXT], "names")
    result_file.expect(arrays["history"], (len(arrays["history"]), 3), "history")
    result_file.expect(arrays["starts"], (arrays["starts"].size,), "starts")
    return {
        "problem": problem,
        **{key: summary[key] for key in ("solver", "status", "message", "iterations", "seconds")},
        "objective": number(summary["objective"]),
        "tracking": FreeErrors.from_json(summary["tracking"]),
        "certificate": FreeCertificate.from_json(summary["certificate"]),
        "particles": _particles(arrays, problem, tuple(names)),
        "energy": number(summary["energy"]),
        "energy_se": number(summary["energy_se"]),
        "controls": result_file.controls_of(arrays, problem),
        "history": arrays["history"],
        "beginnings": result_file.beginnings_of(arrays),
        "starts": tuple(float(value) for value in arrays["starts"]),
        "diagnosis": tuple(Diagnosis.from_json(entry) for entry in summary.get("diagnosis") or ()),
        "retry": Retry.from_json(summary["retry"]) if summary.get("retry") else None,
        "device": result_file.text_of(attributes, "device"),
        "versions": {name: str(version) for name, version in versions.items()},
        "path": str(source),
        "digest": stored.digest,
    }


def _particles(arrays: dict[str, Array], problem: Problem, names: tuple[str, ...]) -> Particles:
    """The particles. Raises FormError where arrays do not fit together, or the problem."""
    d, times = problem.dimension, arrays["time"]
    result_file.increasing(times, "time")
    for name in ("positions", "reference"):
        result_file.expect(arrays[name], (len(times), *arrays[name].shape[1:2], d), name)
    for name in ("final", "held_out"):
        result_file.expect(arrays[name], (*arrays[name].shape[:1], d), name)
    result_file.expect(arrays["mollified"], times.shape, "mollified")
    for name in ("shift", "scale"):
        result_file.expect(arrays[name], (d,), name)
    if len(names) != d:
        raise FormError(f"holds {len(names)} names for {d} coordinates")
    return Particles(
        times=times,
        positions=arrays["positions"],
        reference=arrays["reference"],
        final=arrays["final"],
        curve=arrays["mollified"],
        names=names,
        shift=arrays["shift"],
        scale=arrays["scale"],
        held_out=arrays["held_out"],
    )
