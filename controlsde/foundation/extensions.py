"""What a word may name: a table of names, each with the place of what it stands for.

Comes in: the project's own names, and the entry points of installed packages. Goes out: what a name stands for,
imported when it is first asked for. So a part can be added without a change to those who use it, and nothing is loaded
that nobody names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from controlsde.foundation.errors import ControlsdeError


class ExtensionError(ControlsdeError, RuntimeError):
    """A part of an installed package that cannot be loaded; one line with the cure."""


@dataclass(frozen=True)
class Extensions(Mapping[str, Any]):
    """Names and what they stand for: the project's own first, then those of other packages, each in its order.

    group: of the entry points by which an installed package adds names of its own. own: `module:attribute` by name.
    """

    group: str
    own: Mapping[str, str]

    @cached_property
    def _others(self) -> dict[str, EntryPoint]:
        return {one.name: one for one in entry_points(group=self.group) if one.name not in self.own}

    def __getitem__(self, name: str) -> Any:
        """What a name stands for. Raises KeyError for an unknown one, ExtensionError for one that cannot be loaded."""
        place = self.own.get(name)
        if place is None:
            return self._loaded(self._others[name])
        return found(place)

    def _loaded(self, point: EntryPoint) -> Any:
        try:
            return point.load()
        except Exception as error:  # whatever a package does as it is imported
            package = point.dist.name if point.dist else point.value
            told = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise ExtensionError(
                f"{point.name}, of the package {package}, cannot be loaded ({told}); update or remove that package"
            ) from error

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from self._others

    def __len__(self) -> int:
        return len(self.own) + len(self._others)


def found(place: str) -> Any:
    """What stands at `module:attribute`."""
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)
