"""The compiled loops of the objective in one dimension. Everything else about the package is in pyproject.toml."""

import hashlib
import importlib.util
import os
import sys
from pathlib import Path

from setuptools import Extension, setup

FOLDER = "controlsde/tracking/line"

if importlib.util.find_spec("ziglang"):  # asked for by build_backend.py where there is no compiler
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
