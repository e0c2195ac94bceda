"""What can be reached, at what energy, and what no drift whatsoever can do.

The public function `controlsde.controllability(result)` has the name of this room, so the room can be called: that is
the function of `workflow.linearising`.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    """A module that is called as the public function of its name."""

    def __call__(self, *arguments: Any, **keys: Any) -> Any:
        """`controlsde.workflow.linearising.controllability`."""
        return import_module("controlsde.workflow.linearising").controllability(*arguments, **keys)


sys.modules[__name__].__class__ = _Room
