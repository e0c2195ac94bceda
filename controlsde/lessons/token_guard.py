"""A door for pages on the loopback: nobody comes in without the token, not even other programs of the same machine.

Comes in: an ASGI application, a token. Goes out: an ASGI application that answers 403 to whoever brings neither the
token in the address (`?access_token=…`) nor the cookie that was given for it.
"""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PARAMETER = "access_token"
REFUSED = b"This page wants the whole address, as the command that opened it printed it.\n"


def guarded(app: ASGIApp, token: str, cookie: str) -> ASGIApp:
    """`app` behind the token; `cookie` is the name of the cookie, one for each port."""

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await app(scope, receive, send)
            return
        if _same(_in_cookie(scope, cookie), token):
            await app(scope, receive, send)
        elif _same(_in_address(scope), token):
            await app(scope, receive, _giving(send, f"{cookie}={token}; Path=/; HttpOnly; SameSite=Strict"))
        else:
            await _refuse(scope, send)

    return door


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8"), token.encode("utf-8"))


def _in_address(scope: Scope) -> str:
    query: bytes = scope.get("query_string", b"")
    return parse_qs(query.decode("latin-1")).get(PARAMETER, [""])[0]


def _in_cookie(scope: Scope, name: str) -> str:
    for header, value in scope.get("headers", []):
        if header == b"cookie":
            try:
                held = SimpleCookie(value.decode("latin-1")).get(name)
            except CookieError:
                continue
            if held is not None:
                return str(held.value)
    return ""


def _giving(send: Send, cookie: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), (b"set-cookie", cookie.encode("latin-1"))]
        await send(message)

    return sending


async def _refuse(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(REFUSED)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": REFUSED})
