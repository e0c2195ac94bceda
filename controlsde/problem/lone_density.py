"""A density that stands by itself, outside a problem file: the same keys, the same checks, the same words.

In: a YAML text such as `{kind: mixture, means: [[0]], stds: [1]}`, or a mapping, and the box it is to fit. Out: a
density as a problem holds it. Raises `LoneDensityError`, whose lines read `start:LINE:COL: key message`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from controlsde.foundation.errors import ControlsdeError
from controlsde.foundation.wording import at_most
from controlsde.problem import data_files, validation_messages, yaml_text
from controlsde.problem.density_checks import density_inconsistencies
from controlsde.problem.overrides import plain
from controlsde.problem.reference_specs import DensitySpec
from controlsde.problem.values import Box, Location, Section, dotted
from controlsde.problem.yaml_text import Document, Place, ProblemError

HERE = "density"  # the key under which it is read; messages leave it out


class _Alone(Section):
    density: DensitySpec


class LoneDensityError(ControlsdeError, ValueError):
    """A density that cannot be used: one line for everything wrong with it, each after the name of the argument."""

    def __init__(self, argument: str, *messages: str) -> None:
        self.messages = at_most(messages)
        super().__init__("\n".join(self.messages))
        self.argument = argument

    @property
    def lines(self) -> tuple[str, ...]:
        """One for each message."""
        return self.messages


def read_lone(given: str | Mapping[str, Any], argument: str) -> Document:
    """The document in a YAML text, or of a mapping; its label is the argument's name. Raises LoneDensityError."""
    if not isinstance(given, str):
        return Document(argument, plain(given), {(): Place(argument, argument)})
    try:
        document = yaml_text.read(given, argument)
    except ProblemError as error:
        raise LoneDensityError(argument, *error.messages) from None
    if document.faults:
        raise LoneDensityError(argument, *document.faults)
    return document


def parse_density(document: Document, box: Box, folder: Path | None = None) -> DensitySpec:
    """The density in a document that `read_lone` read, for a box of one (low, high) a dimension.

    folder: what files of data are relative to, the current one by default. Raises LoneDensityError.
    """
    inside = Document(document.label, {HERE: document.data}, _below(document.places))
    unread = data_files.fill_in(inside, folder or Path(), ((HERE,),))
    try:
        density = _Alone.model_validate(inside.data).density
        found = list(density_inconsistencies((HERE,), density, box))
    except ValidationError as error:
        faults, _ = validation_messages.faults(error, inside.data, _Alone)
        found = [(fault.location, fault.message) for fault in faults]
    messages = [_message(inside, where, text) for where, text in found if where not in unread]
    messages = [*(fault.replace(f" {HERE}.", " ", 1) for fault in inside.faults), *messages]
    if messages:
        raise LoneDensityError(document.label, *dict.fromkeys(messages))
    return density


def _message(document: Document, where: Location, text: str) -> str:
    return f"{document.place(where).value}: {dotted(where[1:])} {text}".replace(":  ", ": ")


def _below(places: Mapping[Location, Place]) -> dict[Location, Place]:
    return {(HERE, *where): place for where, place in places.items()}
