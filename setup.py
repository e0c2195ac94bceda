"""The compiled loops. Everything else about the package is in pyproject.toml."""

import hashlib
import importlib.util
import os
import sys
from pathlib import Path

from setuptools import Extension, setup

FOLDER = "controlsde/compiled"

if importlib.util.find_spec("ziglang"):  # asked for by build_backend.py where there is no compiler
    zig = f"{sys.executable} -m ziglang cc"
    os.environ |= {"CC": zig, "LDSHARED": f"{zig} -shared"}

sources = sorted(path for path in Path(FOLDER).iterdir() if path.suffix in (".c", ".h"))
digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()  # as library.py computes it
loops = Extension(
    "controlsde.compiled._loops",
    [str(path) for path in sources if path.suffix == ".c"],
    depends=[str(path) for path in sources],
    define_macros=[("LOOPS_SOURCES", f'"{digest}"')],
    extra_compile_args=["-std=gnu11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fvisibility=hidden"],
    optional=True,  # without a compiler Python does the same work
)
setup(ext_modules=[loops])
