"""What a command is given besides a problem: results and controls, and what is to be said of them.

Comes in: a path. Goes out: what is in the file, and warnings on stderr: that an earlier version wrote it, without a
checksum; that controls were made for another network. Nothing heavy is imported before it is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from controlsde.cli.exits import say

if TYPE_CHECKING:
    from controlsde.problem import Problem
    from controlsde.result.result import Result


def load_result(path: Path) -> Result:
    """A result; where nobody can tell whether it is as it was written, that is said."""
    from controlsde.result.result import Result

    loaded = Result.load(path)
    if loaded.digest is None:
        _warn_of_no_checksum(path)
    return loaded


def _warn_of_no_checksum(path: Path) -> None:
    say(f"warning: {path} is of an earlier version and has no checksum: a change of its numbers would not be seen")


def warn_about_controls(controls: Path, problem: Problem) -> None:
    """Say so where controls have no checksum, or are about to run in a network that they were not made for."""
    words, checked = _words_of(controls)
    if not checked:
        _warn_of_no_checksum(controls)
    for key, old in words.items():
        new = _as_yaml(getattr(problem.network, key))
        if old != new:
            say(f"warning: {controls} was made for network.{key}={old}, not {new}")


def _words_of(controls: Path) -> tuple[dict[str, str], bool]:
    """Activation and tangential, as YAML writes them, that a file was made for; nothing where it does not say.

    And whether its numbers could be checked; those that another program wrote are as that program says.
    """
    from controlsde.control.controls import FORMAT as CONTROLS
    from controlsde.control.weights_file import SUFFIX, is_without_digest, read_weights
    from controlsde.foundation import netcdf
    from controlsde.result.result import Result
    from controlsde.result.result_file import ResultError

    keys = ("activation", "tangential")
    if controls.suffix == SUFFIX:
        words = read_weights(controls)[1]
        return {key: words[key] for key in keys if key in words}, not is_without_digest(words)
    try:
        result = Result.load(controls)
    except ResultError:  # controls alone do not say what they were made for
        stored = netcdf.read(controls, ())
        return {}, stored.digest is not None or stored.attributes.get("format") != CONTROLS
    return {key: _as_yaml(getattr(result.problem.network, key)) for key in keys}, result.digest is not None


def _as_yaml(value: str | bool) -> str:
    return str(value).lower()
