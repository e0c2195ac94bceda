"""Whether this machine may have a device for PyTorch, without importing it: that takes seconds.

Comes in: nothing. Goes out: a guess that is never wrong where it says no.
"""

from __future__ import annotations

import sys
from pathlib import Path

GPU_FILES = ("/dev/nvidiactl", "/dev/nvhost-ctrl-gpu", "/dev/dxg")  # of Linux: cards, boards, and under Windows


def device_may_be_here() -> bool:
    """Whether it is worth asking PyTorch for a CUDA device."""
    return "torch" in sys.modules or sys.platform != "linux" or any(Path(one).exists() for one in GPU_FILES)
