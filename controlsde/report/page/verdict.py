"""What to think of the results, in words, before anything is drawn.

Comes in: a `Subject`. Goes out: for each result a verdict of a few words, sentences about it, and what to try.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from controlsde.report.page.subject import Shown, Subject
from controlsde.report.words import beside, digits, pasteable, with_error
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


def outcome(result: Result) -> str:
    """The worst that can be said about a result, in two words at most."""
    if result.status == "interrupted":
        return "interrupted"
    if not result.verified:
        return "NOT VERIFIED"
    return "not converged" if result.status == "not-converged" else "verified"


def sound(result: Result) -> bool:
    """Whether its numbers can be trusted, and its search came to an end."""
    return outcome(result) == "verified"


def verdicts(subject: Subject) -> list[Verdict]:
    """One for each result, in order."""
    return [_verdict(one) for one in subject.shown]


def headline(subject: Subject) -> str:
    """One sentence about all of them, and whether something is missing."""
    missing = "Interrupted before every noise level was solved and compared. " if subject.interrupted else ""
    return missing + _of_all(subject)


def details(subject: Subject) -> str:
    """What a comparison found beyond its headline; nothing for others."""
    if subject.simulation or not subject.several:
        return ""
    return _sentence("; ".join(subject.note.split("; ")[1:]))


def _of_all(subject: Subject) -> str:
    if subject.simulation:
        checks = subject.simulation.checks
        if all(check.passed for check in checks):
            return f"{subject.simulation.particles:,} particles agree with the verified density."
        return f"{subject.simulation.particles:,} particles DISAGREE with the verified density."
    bad = [one for one in subject.shown if not sound(one.result)]
    if not subject.several:
        one = subject.shown[0]
        return f"{_capital(outcome(one.result))}{_also(one.result)}: {_arrives(one.result)}."
    found = _sentence(subject.note.split("; ")[0])
    if not bad:
        which = "Both" if len(subject.shown) == 2 else f"All {len(subject.shown)}"
        return f"{which} answers are verified. {found}".rstrip()
    listed = ", ".join(f"{one.label} ({outcome(one.result)}{_also(one.result)})" for one in bad)
    return f"Do not trust {listed}. {found}".rstrip()


def _also(result: Result) -> str:
    """The second fault, where there are two."""
    if result.status in ("interrupted", "not-converged") and not result.verified:
        return ", not verified" if result.status == "interrupted" else ", not converged"
    return ""


def _sentence(text: str) -> str:
    return f"{_capital(text)}." if text else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _verdict(one: Shown) -> Verdict:
    result = one.result
    words = outcome(result)
    reasons: list[str] = []
    if result.status in ("not-converged", "interrupted"):
        reasons.append(f"{result.status.replace('-', ' ')}: {result.message}")
    for failed in result.certificate.failed:
        value, limit = beside(failed)
        reasons.append(f"{failed.name} is {value}, limit {limit}")
    reasons += [f"{entry.cause}: {entry.evidence}" for entry in result.diagnosis]
    remedy = next((pasteable(entry.remedy.option) for entry in result.diagnosis if entry.remedy), "")
    return Verdict(
        one.label, words, sound(result), f"{_capital(_arrives(result))}{_checked(result)}.", tuple(reasons), remedy
    )


def _arrives(result: Result) -> str:
    """How near the density comes, as the mesh and as particles measure it."""
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


def _checked(result: Result) -> str:
    count, failed = len(result.certificate.checks), len(result.certificate.failed)
    return f"; {count - failed} of {count} checks passed"
