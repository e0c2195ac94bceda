"""Setuptools, which is given a C compiler from PyPI where the machine has none of its own."""

from __future__ import annotations

import os
import platform
import shutil
import sysconfig
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403

COMPILER = "ziglang"
HAS_IT = ("x86_64", "aarch64", "arm64")


def _compiler() -> list[str]:
    name = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    if os.name != "posix" or platform.machine() not in HAS_IT or shutil.which(name.split()[0]):
        return []
    return [COMPILER]


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """What building a wheel takes."""
    return [*build_meta.get_requires_for_build_wheel(config_settings), *_compiler()]


def get_requires_for_build_editable(config_settings: Any = None) -> list[str]:
    """What an installation that follows the sources takes."""
    return [*build_meta.get_requires_for_build_editable(config_settings), *_compiler()]
