"""Versions of what the numbers of a result depend on, and a digest of the program itself."""

from __future__ import annotations

import hashlib
import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

PACKAGES = ("controlsde", "numpy", "scipy", "torch", "casadi")
SOURCES = (".py", ".c", ".h")
LETTERS = 12


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the numbers depend on, and `code`, see `digest_of_code`."""
    packages = {name: metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **packages, "code": digest_of_code()}


@cache
def digest_of_code() -> str:
    """A digest of this package's sources: while it is worked on, many programs have one version."""
    package, digest = Path(__file__).parents[1], hashlib.sha256()
    for folder, inside, files in os.walk(package, followlinks=True):
        inside.sort()
        for name in sorted(one for one in files if one.endswith(SOURCES)):
            path = Path(folder, name)
            digest.update(path.relative_to(package).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:LETTERS]
