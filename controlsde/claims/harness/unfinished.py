"""What a command that runs claims has found so far, so that one which is killed goes on where it stopped.

    DIR/unfinished/ID.json    what was found of a claim; its page and its figure are in DIR by then

The folder is there until the command has ended whole: after that, the same command measures everything again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from controlsde.claims.harness.claim import Claim, Findings, Row, Tested
from controlsde.claims.harness.pages import write_text
from controlsde.foundation import files
from controlsde.foundation.stored_json import NUMBER, TEXT, VALUE, FormError, Kind, number, parsed
from controlsde.foundation.versions import versions

FOLDER = "unfinished"
MAPPING = Kind("a mapping", lambda value: isinstance(value, dict))
FORM = {
    "versions": MAPPING,
    "parameters": MAPPING,
    "seconds": NUMBER,
    "note": TEXT,
    "rows": [
        {
            "parameter": TEXT,
            "measured": VALUE,
            "expected": VALUE,
            "tolerance": VALUE,
            "relation": TEXT,
            "basis": TEXT,
        }
    ],
}


@dataclass(frozen=True)
class Unfinished:
    """What was found in a folder of pages."""

    folder: Path

    def read(self, claim: Claim, parameters: Any) -> Tested | None:
        """What a command that did not end found with these parameters, by this very program; without its panels."""
        if not (self.folder / f"{claim.id}.md").exists():
            return None
        try:
            stored = parsed(self._place(claim).read_text(encoding="utf-8"), FORM, "the claim")
        except (OSError, UnicodeDecodeError, FormError):
            return None
        if (stored["versions"], stored["parameters"]) != (versions(), _told(parameters)):
            return None
        rows = tuple(Row(**{**one, "measured": number(one["measured"])}) for one in stored["rows"])
        return Tested(claim, parameters, Findings(rows, (), stored["note"]), stored["seconds"])

    def write(self, tested: Tested) -> None:
        """Keep what was found, once its page is there. Rows with numbers that JSON does not have are not kept."""
        rows = [asdict(row) for row in tested.findings.rows]
        for row in rows:
            if math.isnan(row["measured"]):
                row["measured"] = None
        document = {
            "versions": versions(),
            "parameters": _told(tested.parameters),
            "seconds": tested.seconds,
            "note": tested.findings.note,
            "rows": rows,
        }
        with suppress(ValueError):
            text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
            write_text(self._place(tested.claim), text + "\n")

    def remove(self, claims: Iterable[Claim]) -> None:
        """Let what was found of these be measured again."""
        for claim in claims:
            files.remove(self._place(claim))
        with suppress(OSError):  # others are in it, or it was never made
            (self.folder / FOLDER).rmdir()

    def _place(self, claim: Claim) -> Path:
        return self.folder / FOLDER / f"{claim.id}.json"


def _told(parameters: Any) -> dict[str, Any]:
    """The parameters as JSON has them, to the last digit."""
    told: dict[str, Any] = json.loads(json.dumps(asdict(parameters), default=repr))
    return told
