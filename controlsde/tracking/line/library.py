"""The compiled loops as Python sees them: the structure that they are given, and the functions that take it.

Comes in: nothing. Goes out: the library, or None where the package was installed without a C compiler. Calls release
the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import hashlib
import warnings
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

NAME = "_line"
MOST_VERTICES = 128  # the inverses of the vertices are full matrices
_SIZES = (
    "nodes", "elements", "lanes", "vertices", "room", "unknowns", "stages", "reals", "slots", "pieces", "blocks",
    "steps", "points", "faces", "width",
)  # fmt: skip
_ARRAYS = (
    "convection", "stiffness", "weights", "face", "mass", "start", "vertex", "left", "right", "lengths", "diffusivity",
    "eigenvalues", "a", "combination", "gathered", "spread", "lift", "multiply", "projected", "recovered", "position",
    "tangential", "outward", "initial", "targets", "time_weight", "scale", "factor", "squared",
)  # fmt: skip
_ARGUMENTS = {"line_forward": 6, "line_gradients": 7, "line_expand": 10}  # arrays after the structure


class Line(ctypes.Structure):
    """What `line.h` says, field by field."""

    _fields_ = (*((name, ctypes.c_int64) for name in _SIZES), *((name, ctypes.c_void_p) for name in _ARRAYS))


@lru_cache
def library() -> ctypes.CDLL | None:
    """The compiled loops, if they are installed; a warning says where they are older than their sources."""
    for suffix in EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(NAME + suffix)
        if path.exists():
            try:
                loaded = ctypes.CDLL(str(path))
            except OSError as error:  # made for another machine, or on a disk that may not run anything
                warnings.warn(f"the compiled loops cannot be loaded ({error}): install the package again", stacklevel=2)
                return None
            loaded.line_sources.restype = ctypes.c_char_p
            if loaded.line_sources().decode() == digest():
                return _declared(loaded)
            warnings.warn(f"{path} is older than its sources: install the package again", stacklevel=2)
    return None


def loops_for(dimension: int, elements: int) -> ctypes.CDLL | None:
    """The loops, where they are installed and serve a mesh of so many elements on its first axis."""
    return library() if dimension == 1 and elements < MOST_VERTICES else None


def digest() -> str:
    """What changes with any of the sources; `setup.py` compiles the same into the library."""
    sources = sorted(path for path in Path(__file__).parent.iterdir() if path.suffix in (".c", ".h"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def _declared(loaded: ctypes.CDLL) -> ctypes.CDLL:
    loaded.line_factor_numbers.argtypes = [ctypes.c_void_p]
    loaded.line_factor_numbers.restype = ctypes.c_int64
    for name, arrays in _ARGUMENTS.items():
        function = getattr(loaded, name)
        batch = [ctypes.c_int64] if name == "line_gradients" else []
        function.argtypes = [ctypes.c_void_p, *batch, *[ctypes.c_void_p] * arrays]
        function.restype = ctypes.c_int64
    return loaded


def address(array: NDArray[Any]) -> int:
    """Where the numbers of a C-contiguous array are."""
    return array.ctypes.data
