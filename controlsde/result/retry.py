"""What was changed before a problem was solved once more, and the answer that was not kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from controlsde.diagnosis import Remedy
from controlsde.foundation.stored_json import FLAG, TEXT, VALUE, Form, Maybe, number


@dataclass(frozen=True)
class Retry:
    """What was changed before a problem was solved once more, and the other answer: the one that was not kept.

    kept: whether the changed problem gave the answer that was kept. The other's numbers are None where there is none.
    """

    FORM: ClassVar[dict[str, Form]] = {
        "cause": TEXT,
        "set": {},
        "kept": FLAG,
        "interrupted": FLAG,
        "other": Maybe({"status": TEXT, "verified": FLAG, "l2_final": VALUE}),
    }

    cause: str
    remedy: Remedy
    kept: bool
    interrupted: bool = False
    other_status: str | None = None
    other_verified: bool | None = None
    other_l2_final: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The record as the JSON of a result holds it."""
        other = {"status": self.other_status, "verified": self.other_verified, "l2_final": self.other_l2_final}
        return {
            "cause": self.cause,
            "set": self.remedy.to_json(),
            "kept": self.kept,
            "interrupted": self.interrupted,
            "other": other if self.other_status else None,
        }

    @staticmethod
    def from_json(stored: dict[str, Any]) -> Retry:
        """What `to_json` wrote."""
        other = stored["other"] or {"status": None, "verified": None, "l2_final": None}
        error = number(other["l2_final"]) if stored["other"] else None
        remedy = Remedy.from_json(stored["set"])
        return Retry(
            stored["cause"], remedy, stored["kept"], stored["interrupted"], other["status"], other["verified"], error
        )
