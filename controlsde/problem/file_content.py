"""The bytes of a data file that a problem names, and the error of one that cannot be used."""

from __future__ import annotations

from pathlib import Path

from controlsde.foundation.plain_files import MissingError, UnreadableError, read_plain
from controlsde.problem.values import Location

MAX_BYTES = 20_000_000


class UnusableError(ValueError):
    """A data file that cannot be used: at which key, and why."""

    def __init__(self, key: Location, reason: str) -> None:
        self.key = key
        super().__init__(reason)


def content(path: Path, named: str) -> bytes:
    """Return the bytes of the file that is `named` in the problem. Raises `UnusableError`, saying why not."""
    try:
        return read_plain(path, MAX_BYTES)
    except MissingError:
        raise UnusableError(("file",), f"{named!r} does not exist (looked for {path})") from None
    except UnreadableError as error:
        raise UnusableError(("file",), f"{named!r} {error}") from None
