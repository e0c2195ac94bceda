"""What to think of the results, in words, before anything is drawn.

Comes in: a subject of either kind. Goes out: for each result a verdict of a few words, sentences about it, and what to
try.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from controlsde.report.page.subject import About, Shown
from controlsde.report.words import beside, digits, pasteable, with_error
from controlsde.result.answer import Answer
from controlsde.result.free_result import FreeResult
from controlsde.result.result import Result


@dataclass(frozen=True)
class Verdict:
    """What to think of one result.

    words: verified | NOT VERIFIED | not converged | interrupted; sound: whether to trust it. reasons: why not, and what
    was found; remedy: an option to put behind the same command.
    """

    label: str
    words: str
    sound: bool
    sentence: str
    reasons: tuple[str, ...] = ()
    remedy: str = ""


def outcome(*results: Answer) -> str:
    """The worst that can be said about a result, or about those of several seeds, in two words at most."""
    if any(result.status == "interrupted" for result in results):
        return "interrupted"
    if not all(result.verified for result in results):
        return "NOT VERIFIED"
    return "not converged" if any(result.status == "not-converged" for result in results) else "verified"


def sound(one: Shown[Answer]) -> bool:
    """Whether its numbers can be trusted, and its search came to an end; of every seed."""
    return outcome(*one.of_seeds) == "verified"


def verdicts(subject: About[Answer]) -> list[Verdict]:
    """One for each result, in order."""
    return [_verdict(one) for one in subject.shown]


def headline(subject: About[Answer]) -> str:
    """One sentence about all of them, and whether something is missing."""
    missing = "Interrupted before every noise level was solved and compared. " if subject.interrupted else ""
    return missing + _of_all(subject)


def details(subject: About[Answer]) -> str:
    """What a comparison found beyond its headline; nothing for others."""
    if subject.simulation or not subject.several:
        return ""
    return _sentence("; ".join(subject.note.split("; ")[1:]))


def _of_all(subject: About[Answer]) -> str:
    if subject.simulation:
        checks = subject.simulation.checks
        if all(check.passed for check in checks):
            return f"{subject.simulation.particles:,} particles agree with {_agreed(subject)}."
        return f"{subject.simulation.particles:,} particles DISAGREE with {_agreed(subject)}."
    bad = [one for one in subject.shown if not sound(one)]
    if not subject.several:
        one = subject.shown[0]
        return f"{_capital(outcome(one.result))}{_also(one.result)}: {_arrives(one.result)}."
    found = _sentence(subject.note.split("; ")[0])
    if not bad:
        which = "Both" if len(subject.shown) == 2 else f"All {len(subject.shown)}"
        return f"{which} answers are verified. {found}".rstrip()
    listed = ", ".join(f"{one.label} ({outcome(*one.of_seeds)}{_also(one.result)})" for one in bad)
    return f"Do not trust {listed}. {found}".rstrip()


def _agreed(subject: About[Answer]) -> str:
    """What particles of a simulation are set beside."""
    free = isinstance(subject.results[0], FreeResult)
    return "those of the result" if free else "the verified density"


def _also(result: Answer) -> str:
    """The second fault, where there are two."""
    if result.status in ("interrupted", "not-converged") and not result.verified:
        return ", not verified" if result.status == "interrupted" else ", not converged"
    return ""


def _sentence(text: str) -> str:
    return f"{_capital(text)}." if text else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _verdict(one: Shown[Answer]) -> Verdict:
    result = one.result
    words = outcome(*one.of_seeds)
    reasons: list[str] = []
    if result.status in ("not-converged", "interrupted"):
        reasons.append(f"{result.status.replace('-', ' ')}: {result.message}")
    for failed in result.judged.failed:
        value, limit = beside(failed)
        reasons.append(f"{failed.name} is {value}, limit {limit}")
    bad = [other for other in one.others if outcome(other) != "verified"]
    reasons += [f"seed {other.problem.solver.seed}: {outcome(other)}" for other in bad]
    reasons += [f"{entry.cause}: {entry.evidence}" for entry in result.diagnosis]
    remedy = next((pasteable(entry.remedy.option) for entry in result.diagnosis if entry.remedy), "")
    return Verdict(
        one.label, words, sound(one), f"{_capital(_arrives(result))}{_checked(result)}.", tuple(reasons), remedy
    )


def _arrives(result: Answer) -> str:
    """How near the density comes."""
    if isinstance(result, FreeResult):
        return _particles_arrive(result)
    assert isinstance(result, Result)  # the two kinds that there are
    return _density_arrives(result)


def _particles_arrive(result: FreeResult) -> str:
    """As the mollified distance measures it, beside draws of p and the Gaussian of its moments."""
    start = f"at noise {result.noise:g} "
    one = result.tracking.distances.get("mollified")
    if one is None:
        return f"{start}particles were lost, and no distance from p(T) was taken"
    null = with_error(one.null_mean, one.null_sd)
    text = f"{start}the particles end at a mollified distance squared of {digits(one.value)} from p(T)"
    text += f", where draws of p itself have {null}"
    return text if one.baseline is None else f"{text} and one Gaussian {digits(one.baseline)}"


def _density_arrives(result: Result) -> str:
    """As the mesh and as particles measure it."""
    error = result.tracking.l2_final
    if not math.isfinite(error):
        return f"at noise {result.noise:g} the density stopped being finite, and has no distance from its target"
    norm = result.fields.target.norm
    share = (
        f", {100 * error / norm:.2g}\N{NO-BREAK SPACE}% of the norm of the target"
        if math.isfinite(norm) and norm > 0
        else ""
    )
    text = f"at noise {result.noise:g} the density ends at an L² distance of {digits(error)} from its target{share}"
    evidence = result.certificate.monte_carlo
    if evidence and math.isfinite(evidence.l2_final):
        text += f"; {evidence.particles:,} particles say {with_error(evidence.l2_final, evidence.l2_final_se)}"
    return text


def _checked(result: Answer) -> str:
    count, failed = len(result.judged.checks), len(result.judged.failed)
    return f"; {count - failed} of {count} checks passed"
