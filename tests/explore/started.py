"""An explorer in a process of its own, and how to ask it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.cli.commands import HEAT

SOON = 20.0  # seconds in which what should happen has happened, on a busy machine, too

SMALL = HEAT
LONG = SMALL.replace("starts: 1, iterations: 60, tolerance: 1e-5", "starts: 512, hops: 512, iterations: 400")
LONG = LONG.replace("pieces: 2", "pieces: 16")


@dataclass(frozen=True)
class Started:
    """A running explorer. folder: that it was started in."""

    process: subprocess.Popen[str]
    url: str
    folder: Path

    @property
    def port(self) -> int:
        return int(urlsplit(self.url).port or 0)

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.url).query).items()}

    @property
    def token(self) -> str:
        return self.query["token"]

    def reply(self, path: str, question: Any = None, **heads: str | None) -> HTTPResponse:
        """The answer to a request, unread. A head that is None is left out."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        given = {"X-Token": self.token, "Content-Type": "application/json", "Host": f"127.0.0.1:{self.port}"}
        given |= {name.replace("_", "-"): value for name, value in heads.items()}  # type: ignore[misc]
        body = None if question is None else question if isinstance(question, bytes) else json.dumps(question).encode()
        connection.putrequest("GET" if body is None else "POST", path, skip_host=True)
        for name, value in given.items():
            if value is not None:
                connection.putheader(name, value)
        if body is not None and "Content_Length" not in heads:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        return connection.getresponse()

    def ask(self, path: str, question: Any = None, **heads: str | None) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        reply = self.reply(path, question, **heads)
        return reply.status, json.loads(reply.read())

    def get(self, path: str) -> bytes:
        """The content of an answer that must be a good one."""
        reply = self.reply(path)
        content = reply.read()
        assert reply.status == 200, content
        return content

    def status(self) -> dict[str, Any]:
        """What the worker does now: the first event of the stream."""
        reply = self.reply("/events")
        line = reply.readline().decode()
        reply.close()
        status: dict[str, Any] = json.loads(line.removeprefix("data: "))
        return status

    def until(self, fulfilled: Any, seconds: float = 6 * SOON) -> dict[str, Any]:
        """The first status that fulfils something."""
        end = time.monotonic() + seconds
        while True:
            found = self.status()
            if fulfilled(found):
                return found
            assert time.monotonic() < end, found
            time.sleep(0.05)

    def open(self, text: str, name: str = "small.yaml") -> dict[str, Any]:
        """A problem file that was opened."""
        status, opened = self.ask("/open", {"name": name, "text": text})
        assert status == 200, opened
        return dict(opened)


def start(*words: str, folder: Path, in_background: bool = False) -> Started:
    """`controlsde explore`; in_background: as a shell's `&` does it, with interruptions ignored."""
    how = signal.SIG_IGN if in_background else signal.SIG_DFL
    process = subprocess.Popen(
        [sys.executable, "-m", "controlsde", "explore", *words, "--no-browser"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, how),  # type: ignore[arg-type, return-value]
    )
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"http://\S+", line):
            return Started(process, found.group(), folder)
    raise AssertionError(f"no address was printed; it ended with {process.wait()}")


def children(pid: int) -> set[int]:
    """All processes that a process started, and that these started."""
    parents = {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents[int(place.name)] = int(fields[1])
    found, more = set(), {pid}
    while more:
        more = {child for child, parent in parents.items() if parent in more} - found
        found |= more
    return found


def gone(pids: set[int], folder: Path, seconds: float = SOON) -> bool:
    """Whether these processes, and the files of the session, are gone soon."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        alive = {pid for pid in pids if _alive(pid)}
        if not alive and not list(folder.glob("controlsde-explore-*")):
            return True
        time.sleep(0.05)
    return False


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
