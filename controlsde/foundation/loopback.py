"""A place for a page of this machine alone: a socket on the loopback address.

Comes in: a port, or 0 for any that is free. Goes out: a socket that listens, for whichever server the page needs.
"""

from __future__ import annotations

import errno
import socket

from controlsde.foundation.errors import ControlsdeError

ADDRESS = "127.0.0.1"
LARGEST_PORT = 65535
CURE = "leave --port out for a free one"


class PortError(ControlsdeError, ValueError):
    """A port that cannot be had; one line with the cure."""


def bound(port: int = 0) -> socket.socket:
    """A socket that listens on the loopback address. Raises PortError where the port is taken."""
    if not 0 <= port <= LARGEST_PORT:
        raise PortError(f"port {port} is no port: it is 1 to {LARGEST_PORT}; {CURE}")
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((ADDRESS, port))
        opened.listen()
    except OSError as error:
        opened.close()
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise PortError(f"port {port} {reason}; {CURE}") from None
    return opened
