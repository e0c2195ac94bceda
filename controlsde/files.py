"""Files that are there whole or not at all: written beside their place, then moved there in one step."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


class atomic_file:  # noqa: N801 - used like the function `open`
    """A temporary path beside the target that replaces it when the block ends without an error."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __enter__(self) -> Path:
        handle, name = tempfile.mkstemp(
            dir=self._target.parent, prefix=f".{self._target.stem}-", suffix=self._target.suffix
        )
        os.close(handle)
        os.chmod(name, 0o666 & ~_umask())
        self._temporary = Path(name)
        return self._temporary

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None:
                os.replace(self._temporary, self._target)
        except OSError as reason:
            raise OSError(reason.errno, reason.strerror, str(self._target)) from None
        finally:
            self._temporary.unlink(missing_ok=True)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
