"""What tasks say while they run, and the word that they should end: files in a folder that all of them see.

Comes in: a folder of this machine. Goes out: for a task its progress, for whoever waits the latest step of each. A task
on a machine that does not see the folder says nothing; it runs all the same.

    FOLDER/NUMBER.json    the latest step of the task of this number
    FOLDER/end            is there when all should come to an end, as after Ctrl-C: with the best that they have
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from controlsde.foundation.progress import Progress, Step, silent

EVERY = 0.5  # seconds between two words of a task
END = "end"


@dataclass(frozen=True)
class Mailbox:
    """A folder for words of tasks."""

    folder: str

    def progress(self, number: int) -> Progress:
        """What the task of this number reports its steps to; raises KeyboardInterrupt in it once it should end."""
        place = Path(self.folder)
        if not place.is_dir():
            return silent
        return _Teller(place / f"{number}.json", place / END)

    def latest(self, number: int) -> Step | None:
        """The last step that this task has told, if any."""
        try:
            return Step(**json.loads((Path(self.folder) / f"{number}.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # nothing yet, or not yet whole
            return None

    def ask_to_end(self) -> None:
        """Let every task come to an end at its next step."""
        (Path(self.folder) / END).touch()


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A mailbox, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="controlsde-", ignore_cleanup_errors=True) as folder:
        yield Mailbox(folder)


class _Teller:
    """Progress that is written down, not oftener than anybody looks."""

    def __init__(self, file: Path, end: Path) -> None:
        self._file, self._end = file, end
        self._told = -math.inf
        self._heard = False  # that it should end: said once, so that it may come to its end in peace

    def __call__(self, step: Step) -> None:
        if not self._heard and self._end.exists():
            self._heard = True
            raise KeyboardInterrupt
        now = time.monotonic()
        if now - self._told < EVERY:
            return
        self._told = now
        finite = step.objective if step.objective is not None and math.isfinite(step.objective) else None
        try:
            self._file.write_text(json.dumps({**asdict(step), "objective": finite}), encoding="utf-8")
        except OSError:  # a full disk, or a folder that is gone: nobody reads it then
            return
