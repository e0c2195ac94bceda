"""Other people's programs on problems that they can pose too; those that are not installed are skipped with a line.

pip install -e '.[peers]'
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module, metadata

from benchmarks import collocation_peers, forward_peers
from benchmarks.reporting import Report

DISTRIBUTIONS = {"pde": "py-pde", "fipy": "FiPy", "fplanck": "fplanck", "rockit": "rockit-meco", "do_mpc": "do-mpc"}
HOW = "pip install -e '.[peers]'"


def run(fast: bool) -> Report:
    """The forward equation at equal error, and the collocation problem in modelling languages."""
    os.environ.setdefault("FIPY_SOLVERS", "scipy")  # direct solves by SuperLU, whatever else is installed
    found, notes = present(DISTRIBUTIONS)
    forward = forward_peers.run(fast, [name for name in found if name in forward_peers.PEERS])
    collocation = collocation_peers.run(fast, [name for name in found if name in collocation_peers.PEERS])
    return _joined([forward, collocation], notes)


def present(distributions: dict[str, str]) -> tuple[list[str], list[str]]:
    """The modules that can be imported, and a line on each: its version, or why it is skipped."""
    found, notes = [], []
    for module, name in distributions.items():
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            notes.append(f"{name} is skipped, for {error.name} is not installed: {HOW}")
        except (ImportError, AttributeError, OSError, RuntimeError, TypeError, ValueError) as error:
            notes.append(f"{name} is skipped, for it cannot be imported here: {error}")
        else:
            found.append(module)
            notes.append(f"{name} {metadata.version(name)}")
    return found, notes


def _joined(reports: Sequence[Report], notes: Sequence[str]) -> Report:
    return Report(
        "; ".join(report.title for report in reports),
        [table for report in reports for table in report.tables],
        [goal for report in reports for goal in report.goals],
        [*notes, *(note for report in reports for note in report.notes)],
    )
