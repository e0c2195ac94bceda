"""Versions of what the numbers of a result depend on, and a digest of the program itself."""

from __future__ import annotations

import hashlib
import os
import platform
from contextlib import suppress
from importlib import metadata
from pathlib import Path

PACKAGES = ("controlsde", "numpy", "scipy", "torch", "casadi")
SOURCES = (".py", ".c", ".h")
LETTERS = 12


def digest_of_code(package: Path) -> str:
    """A digest of the sources in a package: while it is worked on, many programs have one version."""
    digest = hashlib.sha256()
    for folder, inside, files in os.walk(package, followlinks=True):
        inside.sort()
        for name in sorted(one for one in files if one.endswith(SOURCES) and not one.startswith(".")):
            path = Path(folder, name)
            with suppress(OSError):  # removed meanwhile
                content = path.read_bytes()
                digest.update(path.relative_to(package).as_posix().encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:LETTERS]


CODE = digest_of_code(Path(__file__).parents[1])  # as it is imported: it may be edited while it runs


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the numbers depend on, and `code`, see `digest_of_code`."""
    packages = {name: metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **packages, "code": CODE}
