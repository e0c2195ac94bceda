"""The compiled loops as Python sees them: the structures that they are given, and the functions that take them.

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

NAME = "_loops"
ACCURATE = 1e-12  # a residual over the sizes of its terms, up to which what the loops found is used
LANES = 8  # numbers in the widest vector
MOST_VERTICES = 128  # of a line: the inverses of the vertices are full matrices


def _fields(sizes: str, arrays: str) -> tuple[tuple[str, Any], ...]:
    return (
        *((name, ctypes.c_int64) for name in sizes.split()),
        *((name, ctypes.c_void_p) for name in arrays.split()),
    )


class Line(ctypes.Structure):
    """What `line.h` says, field by field."""

    _fields_ = _fields(
        "nodes elements lanes vertices room unknowns stages reals slots pieces blocks steps points faces width",
        "convection stiffness weights face mass start vertex left right lengths diffusivity eigenvalues a combination "
        "gathered spread lift multiply projected recovered position tangential outward initial targets time_weight "
        "scale factor squared energy_weight point_weights unknown growing rates",
    )


class Fronts(ctypes.Structure):
    """What `fronts.h` says, field by field."""

    _fields_ = _fields(
        "unknowns entries groups inside widest stages reals slots blocks drift_values factor_numbers passed_numbers",
        "order first own edge edges_at boundary above children_at child factors_at passed_at entries_at entry row "
        "column rows_at columns inputs_at inputs shares lengths still eigenvalues a combination projected "
        "distributed gathered multiply",
    )


# Arguments after the structure: n a whole number, a the address of an array.
_ARGUMENTS = {
    "line_factor_numbers": "",
    "line_forward": "aaaaaa",
    "line_sweep": "aaaa",
    "line_gradients": "naaaaaaa",
    "line_gradient": "aaaaaaaa",
    "line_expand": "aaaaaaaaaaa",
    "fronts_factorise": "aa",
    "fronts_forward": "naaaa",
    "fronts_back": "naaaaa",
    "fronts_solve": "nnnaaaa",
    "fronts_transport": "nnaaaaa",
}


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
            loaded.loops_sources.restype = ctypes.c_char_p
            if loaded.loops_sources().decode() == digest():
                return _declared(loaded)
            warnings.warn(f"{path} is older than its sources: install the package again", stacklevel=2)
    return None


def line_loops(dimension: int, elements: int) -> ctypes.CDLL | None:
    """The loops of a line, where they are installed and serve a mesh of so many elements on its first axis."""
    return library() if dimension == 1 and elements < MOST_VERTICES else None


def digest() -> str:
    """What changes with any of the sources; `setup.py` compiles the same into the library."""
    sources = sorted(path for path in Path(__file__).parent.iterdir() if path.suffix in (".c", ".h"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def _declared(loaded: ctypes.CDLL) -> ctypes.CDLL:
    kinds: dict[str, Any] = {"n": ctypes.c_int64, "a": ctypes.c_void_p}
    for name, arguments in _ARGUMENTS.items():
        function = getattr(loaded, name)
        function.argtypes = [ctypes.c_void_p, *(kinds[each] for each in arguments)]
        function.restype = ctypes.c_int64
    return loaded


def whole(count: Any) -> Any:
    """As many numbers as fill whole vectors: for one count, or an array of them."""
    return -(-count // LANES) * LANES


def address(array: NDArray[Any]) -> int:
    """Where the numbers of a C-contiguous array are."""
    return array.ctypes.data
