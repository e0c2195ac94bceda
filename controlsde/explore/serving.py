"""Start the explorer, say where it is, and leave nothing when it ends.

Comes in: a problem to begin with, a port. Goes out: nothing; it runs until it is interrupted.
"""

from __future__ import annotations

import gc
import tempfile
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from controlsde.explore.answers import START
from controlsde.explore.question import Opened, QuestionError
from controlsde.explore.server import Explorer
from controlsde.explore.session import Session


def serve(first: Opened | str, *, port: int = 0, browser: bool = True, say: Callable[[str], None]) -> None:
    """Serve the page until the program is interrupted.

    first: the problem that the page begins with, a shipped one by its name. say: is given the line with the address.
    Raises QuestionError where the port is taken.
    """
    session = Session(Path(tempfile.mkdtemp(prefix="controlsde-explore-")))
    try:
        server = Explorer(session, port)
    except (OSError, OverflowError) as error:
        session.folder.rmdir()
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise QuestionError(f"{port} cannot be used ({why}); give another, or none", argument="port") from None
    with session:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()
        try:
            begin = f"&problem={quote(first)}" if isinstance(first, str) else f"&key={quote(session.open(first))}"
            threading.Thread(target=_load, daemon=True).start()
            say(f"explorer: {server.url}{begin}")
            say("Ctrl-C ends it")
            if browser:
                threading.Thread(target=webbrowser.open, args=(server.url + begin,), daemon=True).start()
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
