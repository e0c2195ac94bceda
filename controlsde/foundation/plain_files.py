"""The bytes of a file that a user names, read only where it is one: no device, pipe, socket or folder, and not large.

Comes in: a path and the most bytes to read. Goes out: the bytes, or an `UnreadableError` that says why not and holds
nothing of what is in the file. A pipe that nobody writes to does not keep anybody waiting.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class UnreadableError(ValueError):
    """A path at which there is no file that can be read; the message continues its name: `is not a file, but …`."""


class MissingError(UnreadableError):
    """A path at which there is nothing."""


def read_plain(path: Path, most: int) -> bytes:
    """Return the content of a regular file of at most `most` bytes. Raises `UnreadableError`.

    What is read is as long as the file system says: files that the system makes up as they are read, such as those in
    /proc, are as empty as they seem.
    """
    return _read(path, most, cut=False)


def read_head(path: Path, most: int) -> bytes:
    """Return the first `most` bytes of a regular file, or all of them. Raises `UnreadableError`."""
    return _read(path, most, cut=True)


def _read(path: Path, most: int, *, cut: bool) -> bytes:
    waiting = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # asked before, too: to open a device may already do something
            raise UnreadableError(f"is not a file, but {_kind(path.stat().st_mode)}")
        handle = os.open(path, os.O_RDONLY | waiting)
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise UnreadableError(f"is not a file, but {_kind(found.st_mode)}")
            if found.st_size > most and not cut:
                raise UnreadableError(f"is larger than {most // 1_000_000} MB")
            return file.read(min(found.st_size, most))
    except FileNotFoundError:
        raise MissingError("does not exist") from None
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or 'the system says no'}") from None
    except UnreadableError:
        raise
    except ValueError:  # a NUL, or what no file name can be encoded from
        raise UnreadableError("cannot be read: it is not the name of a file") from None


def is_plain_file(path: Path) -> bool:
    """Whether there is a regular file at a path; False also where nobody can tell."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _kind(mode: int) -> str:
    return next((name for is_one, name in KINDS if is_one(mode)), "something else")
