"""What the page of free space has that no other has: the parts of `free_report.html`, by their names there.

Comes in: a `FreeSubject`. Goes out: tables, charts and sentences; `writing` puts them beside what all pages share.
"""

from __future__ import annotations

from typing import Any

from controlsde.report.free_scene import FreeScene
from controlsde.report.page import free_curves, free_tables
from controlsde.report.page.subject import FreeSubject

TEMPLATE = "free_report.html"
SECTIONS = {
    "verdict": "verdict", "particles": "other particles", "distances": "distances", "likelihood": "likelihood",
    "fit": "fit", "pictures": "pictures", "plane": "plane", "marginals": "marginals", "cross": "cross table",
    "weights": "weights", "convergence": "convergence", "certificate": "certificate", "problem": "problem",
    "reproduce": "run it again", "cite": "cite",
}  # fmt: skip
SECTION_OF = {"simulated": "particles", "likelihoods": "likelihood", "sheet": "pictures", "planes": "plane"}


def parts(subject: FreeSubject, scene: FreeScene) -> dict[str, Any]:
    """Everything that the template names beside what all pages share. scene: of the first result."""
    planes, plane_note = free_curves.planes(subject, scene)
    marginals, marginal_legend, marginal_note = free_curves.marginals(subject, scene)
    return {
        "summary": free_tables.summary(subject),
        "simulated": free_tables.simulated(subject),
        "distances": free_tables.distances(subject),
        "distance_charts": free_curves.distances(subject),
        "course": free_curves.course(subject, scene),
        "likelihoods": free_tables.likelihoods(subject),
        "likelihood_charts": free_curves.likelihoods(subject),
        "fits": free_tables.fits(subject),
        "sheet": free_curves.pictures(subject, scene),
        "planes": planes,
        "plane_note": plane_note,
        "marginals": marginals,
        "marginal_legend": marginal_legend,
        "marginal_note": marginal_note,
    }


def data_of(scene: FreeScene) -> str:
    """What the data were taken for, in a few words."""
    data = scene.posed.data
    held = "" if data.held_out is None else f"; {len(data.held_out):,} rows held out"
    return f"{data.description}{held}"
