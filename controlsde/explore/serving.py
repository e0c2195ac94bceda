"""Start the explorer, say where it is, and leave nothing when it ends.

Comes in: a problem to begin with, a socket. Goes out: the address, by a call; then it runs until it is interrupted.
"""

from __future__ import annotations

import gc
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from controlsde.explore.answers import START
from controlsde.explore.question import Opened
from controlsde.explore.server import Explorer
from controlsde.explore.session import Session


def serve(first: Opened | str, opened: socket.socket, ready: Callable[[str], None]) -> None:
    """Serve the page on a socket until the program is interrupted.

    first: the problem that the page begins with, a shipped one by its name. ready: called with the address.
    """
    with Session(Path(tempfile.mkdtemp(prefix="controlsde-explore-"))) as session:
        server = Explorer(session, opened)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()
        try:
            begin = f"&problem={quote(first)}" if isinstance(first, str) else f"&key={quote(session.open(first))}"
            threading.Thread(target=_load, daemon=True).start()
            ready(server.url + begin)
            threading.Event().wait()
        finally:
            server.shutdown()
            server.server_close()


def _load() -> None:
    """Import what previews need while the page is on its way, and have it left alone by the collection of garbage.

    That goes through all objects every now and then, which took a quarter of a second with the libraries among them.
    """
    import controlsde as cs
    from controlsde.explore import particles, scenes  # noqa: F401

    cs.preview(cs.load_problem(START))
    gc.collect()
    gc.freeze()
