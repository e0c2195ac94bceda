"""What the page of a box has that no other has: the parts of `report.html`, by their names there.

Comes in: a `Subject`. Goes out: tables, charts and the film; `writing` puts them beside what all pages share.
"""

from __future__ import annotations

from typing import Any

from controlsde.report.page import curves, tables
from controlsde.report.page.film import film_of
from controlsde.report.page.subject import Subject

TEMPLATE = "report.html"
SECTIONS = {
    "verdict": "verdict", "film": "film", "particles": "particles", "errors": "errors", "cross": "cross table",
    "weights": "weights", "convergence": "convergence", "certificate": "certificate", "theory": "theory",
    "energy": "energy", "problem": "problem", "reproduce": "run it again", "cite": "cite",
}  # fmt: skip
SECTION_OF = {"simulated": "particles", "promises": "theory", "energies": "energy"}


def parts(subject: Subject) -> dict[str, Any]:
    """Everything that the template names beside what all pages share."""
    return {
        "summary": tables.summary(subject),
        "simulated": tables.simulated(subject),
        "promises": tables.promises(subject),
        "energies": tables.energies(subject),
        "film": film_of(subject),
        "errors": curves.errors(subject),
        "final_distances": curves.final_distances(subject),
        "distances": tables.distances(subject),
        "histograms": curves.histograms(subject),
    }
