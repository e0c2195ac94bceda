"""The problem: parts that are valid, and that fit each other.

In: a mapping, as YAML or Python gives it. Out: a `Problem` in which every default is filled in, or pydantic's
`ValidationError`; `loading` turns that into words with line numbers.
"""

from __future__ import annotations

import re
from typing import Any, Self

from pydantic import SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from controlsde.foundation.wording import unreadable
from controlsde.problem.checks import inconsistencies
from controlsde.problem.schema import Parts
from controlsde.problem.solver_specs import Rest, SolverOptions
from controlsde.problem.values import InconsistencyError
from controlsde.problem.yaml_text import write
from controlsde.registry import SOLVERS

USUAL_IN_FREE_SPACE = "score-matching"
FREE_PARTICLES = {"particles": 5_000, "steps_per_piece": 16}  # of an evaluation there, where a problem does not say
DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9]) *(\..*)?", re.IGNORECASE)
MAX_NAME_BYTES = 200  # a file system takes 255, and files are named after problems with a little added


class Problem(Parts):
    """A tracking problem: everything that the solvers, the verification and the reports need to know."""

    @field_validator("name")
    @classmethod
    def _usable_as_file_name(cls, name: str) -> str:
        if name.startswith(".") or "/" in name or "\\" in name or not name.isprintable() or not name.strip():
            raise ValueError("must be usable as a file name, without slashes or a leading dot")
        if DEVICE.fullmatch(name):
            raise ValueError("must be usable as a file name, and is that of a device on some systems; add a word to it")
        if len(name.encode()) > MAX_NAME_BYTES:
            raise ValueError(f"must take at most {MAX_NAME_BYTES} bytes, as file names do (got {len(name.encode())})")
        return name

    @field_validator("description")
    @classmethod
    def _can_be_written(cls, description: str) -> str:
        character = unreadable(description)
        if character:
            raise ValueError(f"holds the character {character}, which is no text; remove it")
        return description

    @model_validator(mode="before")
    @classmethod
    def _usual_solver_of_free_space(cls, given: Any) -> Any:
        """A solver whose kind is not named is the usual one of free space there."""
        domain, solver = (given.get(key) if isinstance(given, dict) else None for key in ("domain", "solver"))
        free = isinstance(domain, dict) and domain.get("space") == "free"
        if free and isinstance(solver, dict) and "kind" not in solver:
            return {**given, "solver": {"kind": USUAL_IN_FREE_SPACE, **solver}}
        return given

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.domain.free:
            self._in_free_space()
        if self.network.width is None:
            self.fill_in(network=self.network.model_copy(update={"width": self.dimension}))
        self.fill_in(solver=self.with_usual(self.solver))
        if self.reference.kind == "foellmer" and self.reference.point is None:
            self.fill_in(reference=self.reference.model_copy(update={"point": (0.0,) * self.dimension}))
        found = inconsistencies(self)
        if found:
            raise InconsistencyError(found)
        return self

    def with_usual(self, options: SolverOptions) -> SolverOptions:
        """A solver's options with what is usual for this problem where they do not say."""
        if not self.domain.free:
            return options.fitted(self.dimension)
        return options.in_free_space(Rest(self.dimension, self.network, self.controls, self.objective, free=True))

    def _in_free_space(self) -> None:
        """Fill in what is usual where there is no mesh: the data's dimension, the norm of particles, the solver."""
        if self.domain.dimension is None:
            data = getattr(self.reference, "data", None)
            self.fill_in(domain=self.domain.model_copy(update={"dimension": getattr(data, "dimension", None)}))
        if self.domain.dimension is None:
            raise InconsistencyError([(("domain", "dimension"), "is required, where the data do not tell it")])
        norm = self.objective.norm if "norm" in self.objective.model_fields_set else "mollified"
        self.fill_in(
            objective=self.objective.model_copy(update={"norm": norm, "scales": self.objective.scales or "auto"})
        )
        if "solver" not in self.model_fields_set:
            self.fill_in(solver=SOLVERS[USUAL_IN_FREE_SPACE].options())
        usual = {key: value for key, value in FREE_PARTICLES.items() if key not in self.monte_carlo.model_fields_set}
        self.fill_in(monte_carlo=self.monte_carlo.model_copy(update=usual))

    @model_serializer(mode="wrap")
    def _without_a_mesh(self, handler: SerializerFunctionWrapHandler) -> Any:
        """Free space has no mesh to speak of."""
        written = handler(self)
        if self.domain.free:
            written.pop("mesh", None)
        return written

    def to_yaml(self) -> str:
        """Return the resolved problem as YAML: every default written out, sample points in place of files.

        Loading the text gives an equal problem.
        """
        return write(self.model_dump(by_alias=True, exclude_none=True))


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a problem file, for editors."""
    schema = Problem.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
