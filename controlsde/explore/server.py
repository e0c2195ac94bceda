"""The web server of the explorer: on the loopback address alone, for whoever has the token.

Comes in: a `Session`. Goes out: a server whose answers are JSON, markup, files and a stream of events. A request is
answered only where

- it names this server in `Host` (a page elsewhere whose name was bent to this address names another),
- it comes from a page of this server, where it says from which (`Origin`),
- it brings the token, as `?token=` or in the header `X-Token`.

GET     /                     the page
        /problems             the shipped problems
        /events               server-sent events: what the worker does
        /runs                 the answers that were kept
        /runs/N/weights       settings and weights of one
        /runs/N/problem.yaml, /runs/N/result.nc, /runs/N/report.html, /compared.html?runs=1,2
POST    /open, /preview, /particles, /fit, /solve, /cancel, /problem.yaml
"""

from __future__ import annotations

import hashlib
import json
import logging
import queue
import secrets
import socket
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

from controlsde.explore import answers
from controlsde.explore.question import QuestionError
from controlsde.explore.session import HEARTBEAT, BusyError, Session
from controlsde.foundation.errors import ControlsdeError
from controlsde.foundation.loopback import ADDRESS

MOST_BYTES = 4_000_000  # of a request's body
MARK = "@@"  # of what is filled into the page
DOWNLOADS = {"result.nc": "application/x-netcdf", "report.html": "text/html; charset=utf-8"}
LOG = logging.getLogger(__name__)

Answer = Callable[[Session, Mapping[str, Any]], Any]
POSTS: dict[str, Answer] = {
    "/open": answers.opened,
    "/preview": answers.preview,
    "/particles": answers.particles,
    "/fit": answers.fit,
    "/solve": answers.solve,
}


class RefusedError(Exception):
    """A request that is not answered: its status, and why in one line."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        self.status = status
        super().__init__(message)


class Explorer(ThreadingHTTPServer):
    """The server of one session, on a socket that listens on the loopback address."""

    daemon_threads = True

    def __init__(self, session: Session, opened: socket.socket) -> None:
        self.session = session
        self.token = secrets.token_urlsafe(24)
        super().__init__(opened.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = opened

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """The page's address, token included."""
        return f"http://{ADDRESS}:{self.port}/?token={self.token}"

    @property
    def own_names(self) -> tuple[str, str]:
        """What `Host` may say."""
        return f"{ADDRESS}:{self.port}", f"localhost:{self.port}"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Explorer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 120

    def do_GET(self) -> None:
        """Pages, tables, files, events."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Questions in JSON."""
        self._answer(self._post)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Nothing on the terminal for each request."""
        LOG.debug(format, *arguments)

    def _answer(self, answer: Callable[[str, Mapping[str, str]], None]) -> None:
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        try:
            self._refuse_strangers(query)
            answer(parts.path, query)
        except RefusedError as error:
            self._send_error(error.status, str(error))
        except BusyError as error:
            self._send_error(HTTPStatus.CONFLICT, str(error))
        except (ControlsdeError, ValueError) as error:
            lines = error.lines if isinstance(error, ControlsdeError) else (str(error),)
            self._send_error(HTTPStatus.BAD_REQUEST, "\n".join(lines))
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True
        except Exception as error:
            LOG.exception("a request failed")
            self._send_error(
                HTTPStatus.INTERNAL_SERVER_ERROR, f"this should not have happened: {type(error).__name__}: {error}"
            )

    def _refuse_strangers(self, query: Mapping[str, str]) -> None:
        names = self.server.own_names
        if self.headers.get("Host") not in names:
            raise RefusedError(HTTPStatus.FORBIDDEN, "this server answers under its own address alone")
        origin = self.headers.get("Origin")
        if origin is not None and origin not in {f"http://{name}" for name in names}:
            raise RefusedError(HTTPStatus.FORBIDDEN, "a page from elsewhere may not ask this server")
        given = self.headers.get("X-Token") or query.get("token") or ""
        if not secrets.compare_digest(given.encode(), self.server.token.encode()):
            raise RefusedError(HTTPStatus.FORBIDDEN, "the token is missing or wrong: use the address that was printed")

    def _get(self, path: str, query: Mapping[str, str]) -> None:
        session = self.server.session
        if path == "/":
            text, policy = page(self.server.token)
            self._send(text.encode(), "text/html; charset=utf-8", {"Content-Security-Policy": policy})
        elif path == "/problems":
            self._send_json(answers.problems())
        elif path == "/runs":
            self._send_json(answers.runs(session))
        elif path == "/events":
            self._send_events()
        elif path == "/compared.html":
            numbers = tuple(_number(each) for each in query.get("runs", "").split(",") if each)
            target = session.folder / f"compared-{'-'.join(map(str, numbers))}.html"
            written = answers.comparison(session, numbers, target)
            self._send_file(written.read_bytes(), DOWNLOADS["report.html"], written.name, query)
        elif path.startswith("/runs/"):
            self._send_of_run(path, query)
        else:
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _send_of_run(self, path: str, query: Mapping[str, str]) -> None:
        session = self.server.session
        _, _, number, *rest = path.split("/")
        name, run = "/".join(rest), session.run(_number(number))
        if name == "weights":
            self._send_json(answers.weights(session, run.number))
        elif name == "problem.yaml":
            text = answers.problem_file(session, run.number)
            self._send_file(text.encode(), "application/yaml; charset=utf-8", f"run-{run.number}.yaml", query)
        elif name in DOWNLOADS:
            stem, _, ending = name.partition(".")
            file = f"run-{run.number}.{ending}" if stem == "result" else f"run-{run.number}-report.{ending}"
            self._send_file((run.folder / name).read_bytes(), DOWNLOADS[name], file, query)
        else:
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _post(self, path: str, _query: Mapping[str, str]) -> None:
        asked = self._asked()
        session = self.server.session
        if path == "/cancel":
            session.cancel()
            self._send_json({})
        elif path == "/problem.yaml":
            self._send(answers.resolved(session, asked).encode(), "application/yaml; charset=utf-8")
        elif path in POSTS:
            self._send_json(POSTS[path](session, asked))
        else:
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _asked(self) -> Mapping[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit():
            self.close_connection = True
            raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "the length of the question is missing")
        if int(length) > MOST_BYTES:
            self.close_connection = True
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a question is at most {MOST_BYTES:,} bytes")
        body = self.rfile.read(int(length))
        if self.headers.get_content_type() != "application/json":
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "questions are JSON")
        try:
            asked = json.loads(body)
        except ValueError:
            raise QuestionError("the question is not JSON") from None
        if not isinstance(asked, dict):
            raise QuestionError("the question must be a mapping")
        return asked

    def _send_events(self) -> None:
        """What the worker does, whenever that changes, until the page or the server is gone."""
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        self._send_heads({"Content-Type": "text/event-stream", "Connection": "close"})
        self.end_headers()
        session = self.server.session
        with session.listening() as news:
            while not session.ending:
                text = json.dumps({**session.status.to_json(), "runs": len(session.runs())})
                self.wfile.write(f"data: {text}\n\n".encode())
                self.wfile.flush()
                try:
                    news.get(timeout=1.0 if session.status.state in ("solving", "cancelling") else HEARTBEAT)
                    while True:  # what came together is told together
                        news.get_nowait()
                except queue.Empty:
                    continue

    def _send_json(self, value: Any) -> None:
        from controlsde.result.answer import plain_json

        text = json.dumps(plain_json(value), allow_nan=False, separators=(",", ":"))
        self._send(text.encode(), "application/json")

    def _send_file(self, content: bytes, kind: str, name: str, query: Mapping[str, str]) -> None:
        shown = "inline" if "show" in query else "attachment"
        heads = {"Content-Disposition": f'{shown}; filename="{name}"'}
        if kind.startswith("text/html"):  # a report brings its own policy, and needs no more than that
            heads["Content-Security-Policy"] = "sandbox allow-scripts allow-modals"
        self._send(content, kind, heads)

    def _send_error(self, status: HTTPStatus, message: str) -> None:
        content = json.dumps({"error": message}).encode()
        try:
            self._send(content, "application/json", status=status)
        except OSError:
            self.close_connection = True

    def _send(
        self, content: bytes, kind: str, heads: Mapping[str, str] | None = None, status: HTTPStatus = HTTPStatus.OK
    ) -> None:
        self.send_response(status)
        self._send_heads({"Content-Type": kind, "Content-Length": str(len(content)), **(heads or {})})
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def _send_heads(self, heads: Mapping[str, str]) -> None:
        always = {
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        for name, value in {**always, **heads}.items():
            self.send_header(name, value)


def page(token: str) -> tuple[str, str]:
    """The page for a token, and the policy that it is served with: its own script, and questions to this server."""
    html, script = _page_parts()
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html.replace(f"{MARK}token{MARK}", token), policy


@cache
def _page_parts() -> tuple[str, str]:
    """The page without its token, and its script."""
    report, own = files("controlsde.report.page"), files("controlsde.explore.page")
    script = "\n".join(
        [report.joinpath("drawing.js").read_text("utf-8"), own.joinpath("explorer.js").read_text("utf-8")]
    )
    sheets = (report.joinpath("chart.css"), report.joinpath("report.css"), own.joinpath("explorer.css"))
    style = "\n".join(sheet.read_text("utf-8") for sheet in sheets)
    html = own.joinpath("explorer.html").read_text("utf-8")
    for name, value in (("style", style), ("script", script)):
        html = html.replace(f"{MARK}{name}{MARK}", value)
    return html, script


def _number(text: str) -> int:
    if not text.isdigit():
        raise RefusedError(HTTPStatus.NOT_FOUND, "runs have numbers")
    return int(text)
