"""Every module can be the first that a process imports: nothing depends on the order in which others came."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


def names():
    for path in [*(ROOT / "controlsde").rglob("*.py"), *(ROOT / "solvers").rglob("*.py")]:
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = ("controlsde", *parts) if parts[0] == "solvers" else parts
        if parts[-1] != "__main__" and parts[:2] != ("controlsde", "problems"):
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_every_module_can_be_imported_first():
    def failure(name):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", f"import {name}"]
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        return f"{name}: {ended.stderr.strip().splitlines()[-1]}" if ended.returncode else None

    with ThreadPoolExecutor(2) as threads:
        found = [one for one in threads.map(failure, sorted(set(names()))) if one]
    assert not found
