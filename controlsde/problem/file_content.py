"""The bytes of a data file that a problem names, and the error of one that cannot be used.

A file whose name ends in `.gz` is unpacked, up to the limit that holds for files that are not packed.
"""

from __future__ import annotations

import zlib
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
        found = read_plain(path, MAX_BYTES)
    except MissingError:
        raise UnusableError(("file",), f"{named!r} does not exist (looked for {path})") from None
    except UnreadableError as error:
        raise UnusableError(("file",), f"{named!r} {error}") from None
    return _unpacked(found, named) if path.suffix == ".gz" else found


def _unpacked(packed: bytes, named: str) -> bytes:
    """What is packed in gzip's format, of one member; no more is unpacked than may be had."""
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        found = unpacking.decompress(packed, MAX_BYTES + 1)
    except zlib.error:
        raise UnusableError(("file",), f"{named!r} is not packed by gzip, as its name says; pack it anew") from None
    if len(found) > MAX_BYTES:
        raise UnusableError(("file",), f"{named!r} unpacked is larger than {MAX_BYTES // 1_000_000} MB")
    if not unpacking.eof or unpacking.unused_data:
        told = "more follows what gzip packed" if unpacking.eof else "it ends too early"
        raise UnusableError(("file",), f"{named!r} is damaged ({told}); pack it anew")
    return found
