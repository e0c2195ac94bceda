"""The compiled loops of the objective in one dimension. Everything else about the package is in pyproject.toml."""

import importlib.util
import os
import shutil
import sys
import sysconfig

from setuptools import Extension, setup

if os.name == "posix" and importlib.util.find_spec("ziglang"):  # see build_backend.py
    own = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if not shutil.which(os.environ.get("CC", own).split()[0]):
        zig = f"{sys.executable} -m ziglang cc"
        os.environ |= {"CC": zig, "LDSHARED": f"{zig} -shared"}

line = Extension(
    "controlsde.tracking.line._line",
    ["controlsde/tracking/line/line.c"],
    depends=["controlsde/tracking/line/line.h", "controlsde/tracking/line/kernels.h"],
    extra_compile_args=["-std=gnu11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fvisibility=hidden"],
    optional=True,  # without a compiler the interpreted objective does the work
)
setup(ext_modules=[line])
