"""How long a user waits before anything happens: `controlsde --help`, and `import controlsde`."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from benchmarks.reporting import Goal, Report, Table, seconds
from benchmarks.timing import Timing

MOST_HELP_SECONDS = 0.3
HEAVY = ("torch", "casadi", "matplotlib", "xarray")
ALSO_LISTED = ("numpy", "scipy", "pydantic", "typer", "rich", "h5py")

IMPORT = """
import json, sys, time
before = set(sys.modules)
began = time.perf_counter()
import controlsde
took = time.perf_counter() - began
print(json.dumps([took, sorted({name.split(".")[0] for name in set(sys.modules) - before})]))
"""
HELP_MODULES = """
import json, sys
sys.argv = ["controlsde", "--help"]
from contextlib import redirect_stdout
from io import StringIO
from controlsde.cli.commands import main
with redirect_stdout(StringIO()):
    try:
        main()
    except SystemExit:
        pass
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def run(fast: bool) -> Report:
    """Measure in turn: bare Python, the help, and the import."""
    rounds = 3 if fast else 10
    script = Path(sysconfig.get_path("scripts")) / "controlsde"
    program = [str(script)] if script.exists() else [sys.executable, "-m", "controlsde"]
    commands = {"python -c pass": [sys.executable, "-c", "pass"], "controlsde --help": [*program, "--help"]}
    found: dict[str, list[float]] = {name: [] for name in (*commands, "import controlsde")}
    for number in range(rounds + 1):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            if number:  # the first round fills the caches
                found[name].append(time.perf_counter() - began)
        took, loaded = json.loads(_python(IMPORT))
        if number:
            found["import controlsde"].append(took)
    timing = {name: Timing(tuple(rows)) for name, rows in found.items()}
    of_help = json.loads(_python(HELP_MODULES))
    rows = [(name, *each.cells()) for name, each in timing.items()]
    waiting = timing["controlsde --help"].median
    return Report(
        "Start-up",
        [
            Table(f"{rounds} rounds after one that fills the caches", ("", "median", "least"), rows),
            Table(
                "Modules that it loads",
                ("", *HEAVY, *ALSO_LISTED),
                [_loaded("import controlsde", loaded), _loaded("controlsde --help", of_help)],
            ),
        ],
        [
            Goal(
                "controlsde --help, median",
                f"< {MOST_HELP_SECONDS:g} s",
                seconds(waiting),
                waiting < MOST_HELP_SECONDS,
            ),
            _light("import controlsde loads", loaded),
            _light("controlsde --help loads", of_help),
        ],
    )


def _python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def _loaded(name: str, modules: list[str]) -> tuple[str, ...]:
    return name, *("yes" if module in modules else "-" for module in (*HEAVY, *ALSO_LISTED))


def _light(what: str, modules: list[str]) -> Goal:
    heavy = [name for name in HEAVY if name in modules]
    return Goal(what, f"none of {', '.join(HEAVY)}", ", ".join(heavy) or "none", not heavy)
