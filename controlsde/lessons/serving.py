"""Lessons as pages of this machine alone: marimo's own server, behind a token, on the loopback, asking for nothing.

Comes in: lessons, a port. Goes out: the address, by a call, once the pages are there; then it serves until it is
interrupted. `/` is a page of contents, `/N/` lesson N, run by marimo as `marimo run` does.

All of it is one process, so that nothing outlives it, however it ends. marimo's settings are ours: it looks for no
newer version, offers to share nothing, follows the theme of the system, and writes to a folder that is removed.
"""

from __future__ import annotations

import os
import secrets
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from controlsde.foundation.errors import ControlsdeError
from controlsde.foundation.loopback import ADDRESS
from controlsde.lessons.contents import LESSONS, Lesson
from controlsde.lessons.token_guard import PARAMETER, guarded

if TYPE_CHECKING:
    import socket

    import uvicorn
    from starlette.types import ASGIApp, Receive, Scope, Send

MISSING = "the lessons need marimo: pip install 'controlsde[learn]'"
SETTINGS = """\
[display]
theme = "system"
[experimental]
isolate_apps = false
[runtime]
dotenv = []
[package_management]
manager = "pip"
"""
LAST_SECONDS = 1  # for pages that are open when it ends
IDLE_SECONDS = 600  # a lesson is kept while its page is asleep


class ServingError(ControlsdeError, ValueError):
    """Why lessons cannot be served, in one line with the cure."""


def make_sure_of_marimo() -> None:
    """Raises ServingError where what the lessons need is not installed."""
    if any(find_spec(name) is None for name in ("marimo", "asteval")):
        raise ServingError(MISSING)


def available() -> tuple[Lesson, ...]:
    """The lessons that are there."""
    return tuple(one for one in LESSONS if one.notebook.is_file())


def serve(
    lessons: Sequence[Lesson], opened: socket.socket, ready: Callable[[str], None], first: Lesson | None = None
) -> None:
    """Serve lessons on a socket until a signal ends it, which is raised again afterwards.

    ready: called with the address once pages are there. first: the lesson whose address that is, else the contents.
    """
    token = secrets.token_urlsafe(24)
    port = opened.getsockname()[1]
    address = f"http://{ADDRESS}:{port}/{f'{first.number}/' if first else ''}?{PARAMETER}={token}"
    with _settings(), _heard_in_the_background():
        server = _server(guarded(_pages(lessons), token, f"controlsde-lessons-{port}"), lambda: ready(address))
        _warm()
        server.run(sockets=[opened])


def _server(app: ASGIApp, ready: Callable[[], None]) -> uvicorn.Server:
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    settings = uvicorn.Config(
        app, log_level="critical", access_log=False, lifespan="off", timeout_graceful_shutdown=LAST_SECONDS
    )
    return Server(settings)


def _pages(lessons: Sequence[Lesson]) -> ASGIApp:
    import marimo

    builder = marimo.create_asgi_app(quiet=True, session_ttl=IDLE_SECONDS, show_tracebacks=True)
    for one in lessons:
        builder = builder.with_app(path=f"/{one.number}", root=str(one.notebook))
    inner: ASGIApp = builder.build()
    contents = contents_page(lessons).encode("utf-8")

    async def pages(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/":
            headers = [
                (b"content-type", b"text/html; charset=utf-8"),
                (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; img-src data:"),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": contents})
        else:
            await inner(scope, receive, send)

    return pages


def contents_page(lessons: Sequence[Lesson]) -> str:
    """The page of contents: every lesson with what it is about and how long it takes."""
    style = files("controlsde.report.page").joinpath("report.css").read_text(encoding="utf-8")
    rows = "".join(
        f'<li><a href="/{one.number}/">{escape(one.title)}</a><br>{escape(one.about)}. {one.minutes} minutes.</li>'
        for one in lessons
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>controlsde: lessons</title><link rel="icon" href="data:,"><style>{style}'
        "ol.lessons li { margin: .8rem 0; }</style></head><body><main><h1>Steering a density: the lessons</h1>"
        "<p>For a reader who knows ordinary differential equations and linear algebra. Each builds on those before it."
        f'</p><ol class="lessons">{rows}</ol></main></body></html>'
    )


@contextmanager
def _settings() -> Iterator[None]:
    """marimo's settings for as long as it runs: in a folder of their own, where this process then is."""
    before, outside = Path.cwd(), dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="controlsde-lessons-") as place:
        Path(place, ".marimo.toml").write_text(SETTINGS, encoding="utf-8")
        os.environ |= {"MARIMO_SKIP_UPDATE_CHECK": "1", "MARIMO_RESTRICT_SHARING": "true"}
        os.environ |= {f"XDG_{kind}_HOME": place for kind in ("CONFIG", "STATE")}
        os.chdir(place)
        try:
            yield
        finally:
            os.chdir(before)
            os.environ.clear()
            os.environ.update(outside)


@contextmanager
def _heard_in_the_background() -> Iterator[None]:
    """A shell lets what it runs in the background ignore Ctrl-C; who serves pages is to hear it."""
    before = signal.getsignal(signal.SIGINT)
    ignored = before == signal.SIG_IGN and threading.current_thread() is threading.main_thread()
    if ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if ignored:
            signal.signal(signal.SIGINT, before)


def _warm() -> None:
    """Load what every lesson uses while the browser opens."""

    def load() -> None:
        for name in ("controlsde.lessons.page", "controlsde.workflow.solving"):
            import_module(name)

    threading.Thread(target=load, daemon=True).start()
