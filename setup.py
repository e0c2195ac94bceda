"""The compiled loops of the objective in one dimension. Everything else about the package is in pyproject.toml."""

import hashlib
import importlib.util
import os
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup

FOLDER = "controlsde/tracking/line"

if os.name == "posix" and importlib.util.find_spec("ziglang"):  # see build_backend.py
    own = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if not shutil.which(os.environ.get("CC", own).split()[0]):
        zig = f"{sys.executable} -m ziglang cc"
        os.environ |= {"CC": zig, "LDSHARED": f"{zig} -shared"}

sources = sorted(path for path in Path(FOLDER).iterdir() if path.suffix in (".c", ".h"))
digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()  # as library.py computes it
line = Extension(
    "controlsde.tracking.line._line",
    [f"{FOLDER}/line.c"],
    depends=[str(path) for path in sources],
    define_macros=[("LINE_SOURCES", f'"{digest}"')],
    extra_compile_args=["-std=gnu11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fvisibility=hidden"],
    optional=True,  # without a compiler the interpreted objective does the work
)
setup(ext_modules=[line])
