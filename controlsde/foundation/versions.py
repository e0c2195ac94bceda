"""Versions of what the numbers of a result depend on."""

from __future__ import annotations

import platform
from importlib import metadata

PACKAGES = ("controlsde", "numpy", "scipy", "torch", "casadi")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the numbers depend on."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}}
