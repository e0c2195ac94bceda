"""The page: everything about a subject put into the template, and written as one file that asks for nothing else.

Comes in: a result, several, a comparison or a simulation. Goes out: one HTML file. Its policy forbids every request;
the only script that runs is the one whose hash the policy names. The template escapes all text, so that a name or a
description stays text whatever it holds.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from controlsde.foundation.files import write_whole
from controlsde.report.free_scene import FreeScene
from controlsde.report.page import box_page, curves, free_page, tables
from controlsde.report.page.problem_words import formulas, problem_rows
from controlsde.report.page.subject import About, FreeSubject, Subject, subject_of_results
from controlsde.report.page.verdict import details, headline, sound, verdicts
from controlsde.result.answer import Answer, plain_json
from controlsde.result.free_result import FreeResult
from controlsde.workflow.free_comparison import FreeComparison
from controlsde.workflow.free_simulation import FreeSimulation

if TYPE_CHECKING:
    from jinja2 import Template

    from controlsde.workflow.comparison import Comparison
    from controlsde.workflow.simulation import Simulation

FILE = "report.html"
LONGEST_YAML = 200_000  # characters: more stays in the result file


def report_result(result: Answer, path: str | Path) -> Path:
    """Write the page of one result. Raises OSError, in one line with the cure, where it cannot be written."""
    return write_page(subject_of_results([result]), Path(path))


def report_results(results: Sequence[Answer], path: str | Path) -> Path:
    """Write one page of several results of the same problem. Raises PageError for others, OSError as above."""
    return write_page(subject_of_results(results), Path(path))


def report_comparison(comparison: Comparison | FreeComparison, path: str | Path) -> Path:
    """Write the page of a comparison. Raises PageError for too many noise levels, OSError as above."""
    if isinstance(comparison, FreeComparison):
        return write_page(FreeSubject.of_comparison(comparison), Path(path))
    return write_page(Subject.of_comparison(comparison), Path(path))


def report_simulation(simulation: Simulation | FreeSimulation, path: str | Path) -> Path:
    """Write the page of a simulation, with that of the result it is of. Raises OSError as above."""
    if isinstance(simulation, FreeSimulation):
        return write_page(FreeSubject.of_simulation(simulation), Path(path))
    return write_page(Subject.of_simulation(simulation), Path(path))


def write_page(subject: Subject | FreeSubject, target: Path) -> Path:
    """Write the page of a subject in one step, and return its path."""
    from controlsde.report.canvas import own_style

    with own_style():
        text = page(subject)
    write_whole(target, text.encode("utf-8"))
    return target


def page(subject: Subject | FreeSubject) -> str:
    """The page as text."""
    if isinstance(subject, FreeSubject):
        room: Any = free_page
        scene = FreeScene(subject.results[0])
        own, data = free_page.parts(subject, scene), free_page.data_of(scene)
    else:
        room = box_page
        own, data = box_page.parts(subject), ""
    script = part("drawing.js") + part("tables.js") + part("report.js")
    shared: dict[str, Any] = {
        "cross": tables.cross(subject),
        "weights": curves.weights(subject),
        "convergence": curves.convergence(subject),
    }
    parts = {**own, **shared}
    absent = {room.SECTION_OF.get(name, name) for name, part in parts.items() if not part}
    text = subject.problem.to_yaml()
    return template(room.TEMPLATE).render(
        **parts,
        policy=policy(script),
        script=Markup(script),
        css=Markup(part("chart.css") + part("report.css")),
        version=_version(subject),
        title=_title(subject),
        contents=[(key, name) for key, name in room.SECTIONS.items() if key not in absent],
        description=subject.problem.description,
        labels=[one.label for one in subject.shown],
        several=subject.several,
        headline=headline(subject),
        details=details(subject),
        sound=_sound(subject),
        verdicts=verdicts(subject),
        checks=tables.checks(subject),
        formulas=formulas(subject.problem),
        problem_rows=problem_rows(subject.problem, tuple(result.noise for result in subject.results), data),
        yaml=text if len(text) <= LONGEST_YAML else "",
        file=f"{subject.problem.name}.yaml",
        command=command(subject),
        provenance=_provenance(subject),
        citation=_citation(subject),
        bibtex=_bibtex(subject),
    )


@cache
def template(name: str) -> Template:
    """A template of this folder, in which all text is escaped."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, loader=FunctionLoader(part)
    )
    environment.filters["coded"] = _coded
    environment.filters["in_script"] = _in_script
    return environment.get_template(name)


def _coded(text: str) -> Markup:
    """The text escaped, and what stands between backticks as code."""
    plain, code = Markup("{}"), Markup("<code>{}</code>")
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backtick that stands alone
        return plain.format(text)
    return Markup("").join((code if place % 2 else plain).format(part) for place, part in enumerate(parts))


def part(name: str) -> str:
    """The text of a file of this folder."""
    return files("controlsde.report.page").joinpath(name).read_text(encoding="utf-8")


def policy(script: str) -> str:
    """What the page may do: show itself, run this very script, ask for nothing."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _in_script(data: Any) -> Markup:
    """JSON that no name in it can end: `<` only as an escape."""
    text = json.dumps(plain_json(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def _sound(subject: About[Answer]) -> bool:
    agreed = subject.simulation is None or subject.simulation.verified
    return agreed and not subject.interrupted and all(sound(one) for one in subject.shown)


def _title(subject: About[Answer]) -> str:
    name = subject.problem.name
    if subject.simulation:
        return f"{name}, {subject.shown[0].label}: {subject.simulation.particles:,} particles"
    if not subject.several:
        return f"{name}, {subject.shown[0].label}"
    noisy = {result.noise for result in subject.results}
    return (
        f"{name}: with and without noise"
        if 0.0 in noisy and len(noisy) > 1
        else f"{name}: {len(subject.shown)} answers"
    )


def command(subject: About[Answer]) -> str:
    """What to type to get the same again."""
    file = shlex.quote(f"{subject.problem.name}.yaml")
    results = subject.results
    if subject.cross is not None:
        seeds = len(subject.shown[0].of_seeds)
        told = f" --seeds {seeds}" if isinstance(results[0], FreeResult) else ""
        return f"controlsde compare {file} " + " ".join(f"--noise {result.noise:g}" for result in results) + told
    lines = []
    for result in results:
        noise = f" --set noise={result.noise:g}" if result.noise != subject.problem.noise else ""
        if result.status != "given":
            lines.append(f"controlsde solve {file}{noise}")
        elif result.controls is None:
            lines.append(f"controlsde evaluate {file}{noise}")
        else:
            held = shlex.quote(Path(result.path).name if result.path else "result.nc")
            lines.append(f"controlsde evaluate {file} --controls {held}{noise}")
    simulation = subject.simulation
    if simulation:
        held = shlex.quote(Path(results[0].path).name if results[0].path else "results/result.nc")
        lines.append(f"controlsde simulate {held} --particles {simulation.requested} --seed {simulation.seed}")
    return "\n".join(lines)


def _provenance(subject: About[Answer]) -> tables.Table:
    """What computed each result, and the checksum of its file."""
    results = subject.results
    parts = {
        "solver": [result.solver for result in results],
        "device": [result.device for result in results],
        "time": [", ".join(f"{name} {value:.1f} s" for name, value in result.seconds.items()) for result in results],
        "versions": [", ".join(f"{name} {one}" for name, one in result.versions.items()) or "—" for result in results],
        "SHA-256 of the result": [result.digest or "no file, or of an earlier version" for result in results],
    }
    rows = tuple(tuple(tables.Cell(text) for text in (name, *texts)) for name, texts in parts.items())
    head = ("", *(one.label for one in subject.shown))
    return tables.Table("what computed each result", head, rows, kind="prose")


def installed_version() -> str | None:
    """The version that writes the page; None where the package is not installed."""
    try:
        return version("controlsde")
    except PackageNotFoundError:
        return None


def _version(subject: About[Answer]) -> str:
    return installed_version() or subject.results[0].versions.get("controlsde", "")


def _made_with(subject: About[Answer]) -> str:
    """The version that computed the results, which is not always the one that writes the page."""
    return subject.results[0].versions.get("controlsde") or _version(subject)


def _citation(subject: About[Answer]) -> str:
    return (
        f"The controlsde developers: controlsde {_made_with(subject)}, steering a probability density with and without "
        f"noise (software). Problem {subject.problem.name}; the checksums above name the results."
    )


def _bibtex(subject: About[Answer]) -> str:
    digests = [result.digest[:16] for result in subject.results if result.digest]
    note = f"  note    = {{results with SHA-256 {', '.join(f'{digest}…' for digest in digests)}}},\n" if digests else ""
    return (
        "@software{controlsde,\n"
        "  author  = {{The controlsde developers}},\n"
        "  title   = {controlsde: steer a probability density with and without noise},\n"
        f"  version = {{{_made_with(subject)}}},\n"
        f"{note}"
        "}"
    )
