"""Files that are there whole or not at all: written beside their place once every byte is ready, then moved there.

Comes in: a path, and everything that the file is to hold. Goes out: the file; or an OSError in one line that names the
file and the cure, and then nothing is left of it. The system applies the umask, which is never asked for: to read it is
to set it, for every thread of the program.

A file on its way is called `.controlsde-HOST-PID-RANDOM`. What a killed run has left is removed by the next one that
writes to that folder: at once where the process is gone, after an hour where that cannot be told (another machine's, or
a number that a new process has). Earlier versions wrote `.NAME-XXXXXXXX.SUFFIX`; those of what is written go.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import secrets
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

PREFIX = ".controlsde-"
OLD = 3600.0  # seconds; no file is on its way for so long
EARLIER = "[a-z0-9_]+"  # what earlier versions put into the name of a file on its way
NEVER_SYNCED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)  # file systems that know no fsync
ELSEWHERE = "write to another folder"
CURES = {
    errno.ENOSPC: "make room there, or " + ELSEWHERE,
    errno.EDQUOT: "make room there, or " + ELSEWHERE,
    errno.EFBIG: "raise the limit for the size of a file (ulimit -f)",
    errno.EISDIR: "move it away",
}


def write_whole(target: Path, content: bytes) -> None:
    """Write a file and the folders above it; another of that name is replaced. Raises OSError, with nothing left."""
    made: list[Path] = []
    try:
        _refuse_what_is_no_file(target)
        for folder in reversed([parent for parent in target.parents if not parent.exists()]):
            folder.mkdir(exist_ok=True)
            made.append(folder)
        remove_leftovers(target.parent, [target.name])
        _write(target, content)
    except OSError as error:
        _remove_empty(made)
        _explain(error, target)
    except BaseException:
        _remove_empty(made)
        raise


@contextlib.contextmanager
def changing(target: Path, patience: float = 60.0, pause: float = 0.05) -> Iterator[None]:
    """Let nobody else who asks so change a file, here or on another machine, from its reading to its writing.

    Who changes it holds a file beside it, with the name of its own process. One that is left of a process that is gone
    is taken over at once; of another machine, where nobody can tell, after patience, in seconds. Raises OSError, in one
    line with the cure, where others hold it for longer than twice that, or none can be made.
    """
    lock = target.with_name(f"{target.name}.lock")
    own = f"{temporary_prefix()}{_start(os.getpid())}-{secrets.token_hex(4)}"
    made = [folder for folder in reversed(target.parents) if not folder.exists()]
    began = time.monotonic()
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # a file stands where the folder should
        _explain(error, target)
    while True:
        try:
            _lock(lock, own)
            break
        except FileExistsError:
            if _taken_away(lock, own, patience):
                continue
            if time.monotonic() - began > 2.0 * patience:
                words = f"is being changed by another program; remove {lock.name} if there is none"
                raise OSError(errno.EBUSY, words, str(target)) from None
            time.sleep(pause)
        except OSError as error:
            _explain(error, target)
    try:
        yield
    except BaseException:
        _unlock(lock, own)
        _remove_empty(made)
        raise
    _unlock(lock, own)


def _lock(lock: Path, own: str) -> None:
    """Make a lock, which also NFS makes for one alone. Raises FileExistsError; another OSError leaves none."""
    handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(own)
    except BaseException:
        remove(lock)
        raise


def _unlock(lock: Path, own: str) -> None:
    """Remove a lock, unless another program has taken it over for being so old."""
    with contextlib.suppress(OSError):
        if lock.read_text(encoding="utf-8") == own:
            lock.unlink()


def _taken_away(lock: Path, own: str, patience: float) -> bool:
    """Whether the lock was one that nobody holds any more, and is gone now."""
    aside = lock.with_name(own)
    try:
        before = lock.stat()
        if not _is_left(_holder(lock), before.st_mtime, patience):
            return False
        lock.rename(aside)
        taken = aside.stat()
        if (taken.st_ino, taken.st_mtime_ns) == (before.st_ino, before.st_mtime_ns):
            aside.unlink()
        else:  # another was quicker, and holds it now: it has it back
            aside.rename(lock)
    except OSError:  # it is gone, or cannot be moved
        return not lock.exists()
    return True


def _holder(lock: Path) -> str:
    """Whose lock it is; nobody's, where that cannot be read."""
    try:
        return lock.read_text(encoding="utf-8")
    except (PermissionError, UnicodeDecodeError):
        return ""


def temporary_prefix() -> str:
    """How the names of this process's files on their way begin."""
    return f"{PREFIX}{_host()}-{os.getpid()}-"


def remove_leftovers(folder: Path, names: Sequence[str] = ()) -> None:
    """Remove the files on their way of runs that are gone, and those that earlier versions left of the named files.

    What cannot be removed stays: it is no reason not to write.
    """
    targets = [Path(name) for name in names if Path(name).suffix]
    forms = (rf"\.{re.escape(target.stem)}-{EARLIER}{re.escape(target.suffix)}" for target in targets)
    earlier = re.compile("|".join(forms)) if targets else None
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            left = entry.name.startswith(PREFIX) and _is_left(entry.name, entry.stat(follow_symlinks=False).st_mtime)
            if left or (earlier and earlier.fullmatch(entry.name)):
                remove(Path(entry.path))


def remove(path: Path) -> None:
    """Remove a file or an empty folder, if that is possible."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()


def _write(target: Path, content: bytes) -> None:
    temporary = target.parent / f"{temporary_prefix()}{secrets.token_hex(4)}"
    try:
        os.close(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        )  # less the umask; never another's file
        temporary.write_bytes(content)
        _sync(temporary)
        os.replace(temporary, target)
    except BaseException:
        remove(temporary)
        raise


def _sync(path: Path) -> None:
    """Have the bytes on the disk before the name: a full disk or quota may show only now."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NEVER_SYNCED:
            raise
    finally:
        os.close(handle)


def _refuse_what_is_no_file(target: Path) -> None:
    """A folder cannot be replaced by a file, and a device must not be."""
    try:
        mode = target.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "is no ordinary file")


def _remove_empty(folders: list[Path]) -> None:
    for folder in reversed(folders):
        remove(folder)


def _explain(error: OSError, target: Path) -> NoReturn:
    reason = (error.strerror or type(error).__name__).lower()
    cure = CURES.get(error.errno or 0, ELSEWHERE)
    raise OSError(error.errno, f"cannot be written ({reason}); {cure}", str(target)) from None


def _host() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _is_left(name: str, made: float, patience: float = OLD) -> bool:
    """Whether nobody has a file any more that was made at this moment, by the process in its name.

    That is gone, or another one has its number: where the name says when it began, that tells, else an hour. Of another
    machine nobody can tell: then whether it is older than patience, in seconds.
    """
    host, _, rest = name.removeprefix(PREFIX).partition("-")
    process, _, rest = rest.partition("-")
    began, dash, _ = rest.partition("-")
    age = time.time() - made
    if name.startswith(PREFIX) and host == _host() and process.isdecimal():
        other = bool(dash) and began != _start(int(process))
        return other or _is_gone(int(process)) or age > OLD
    return age > patience


def _start(process: int) -> str:
    """When a process began, as Linux counts, so that it is told from another one of the same number; else nothing."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _is_gone(process: int) -> bool:
    if os.name != "posix":  # elsewhere to ask is to interrupt
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
