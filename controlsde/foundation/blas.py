"""Every library of linear algebra in this process: on how many threads it is, and how to set that.

Comes in: nothing. Goes out: `Library`, one for each copy of BLAS: NumPy, SciPy and CasADi bring one each.

threadpoolctl knows where they are. To set OpenBLAS, though, it lets one thread of a program alone, and does nothing in
the others, without a word: a solve in a second thread would run on as many threads as before. So OpenBLAS is set by its
own functions here.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from threadpoolctl import ThreadpoolController

PREFIXES, SUFFIXES = ("", "scipy_"), ("", "64_", "_64")  # of OpenBLAS's functions in the builds of SciPy and others


@dataclass(frozen=True)
class Library:
    """One copy of BLAS; both functions speak for the whole process."""

    threads: Callable[[], int]
    set_threads: Callable[[int], object]


def loaded_libraries() -> list[Library]:
    """All but CasADi's. It takes a hundredth of a second to find them."""
    found = [one for one in ThreadpoolController().lib_controllers if one.user_api == "blas"]
    return [_openblas(one.filepath) or Library(one.get_num_threads, one.set_num_threads) for one in found]


def casadis_library() -> Library | None:
    """CasADi's, which threadpoolctl does not know by its name, where IPOPT has been loaded, and it with IPOPT."""
    casadi = sys.modules.get("casadi")
    if casadi is None:
        return None
    paths = sorted(Path(str(casadi.__file__)).parent.glob("libcasadi-tp-openblas*"))
    return next((library for library in (_openblas(str(path)) for path in paths) if library), None)


def _openblas(path: str) -> Library | None:
    """OpenBLAS in this file, where it is in this process already; None for another library, or where none can tell."""
    if not hasattr(os, "RTLD_NOLOAD"):
        return None
    with suppress(OSError):  # not in this process
        library = ctypes.CDLL(path, mode=os.RTLD_NOLOAD)
        for prefix, suffix in product(PREFIXES, SUFFIXES):
            get, put = (f"{prefix}openblas_{verb}_num_threads{suffix}" for verb in ("get", "set"))
            if hasattr(library, get) and hasattr(library, put):
                return Library(getattr(library, get), getattr(library, put))
    return None
