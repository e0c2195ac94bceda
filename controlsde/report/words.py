"""Numbers and names as people read them, the same in tables, pages and wherever else a result is shown.

Comes in: numbers of a result. Goes out: a few words or digits. Nothing heavy is imported.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controlsde.result.answer import Answer
    from controlsde.verification.certificate import Check
    from controlsde.verification.promises import Promises

LARGEST_EXPONENT = 6.0  # of a bound that is written out
NOT_FINITE = "not finite"
FEW = 4  # starts: fewer have no quarter

L2_ERRORS = {
    "l2_initial": "L² error at t = 0",
    "l2_sup": "L² error, largest",
    "l2_rms": "L² error, root mean square",
    "l2_final": "L² error at T",
}

MEANINGS = {
    "mass_error": "closed walls keep the mass",
    "negative_mass": "∫ρ⁻ at T",
    "resolution": "share of the top mode of ρ",
    "refined_l2_change": "solver's ρ on a finer mesh",
    "refinement": "the two finest meshes",
    "target_mass": "p(T) on the finest grid",
    "target_change": "p(T) on the solver's mesh",
    "target_norm": "norm of p(T) that it sees",
    "final_norm": "norm of ρ(T) on that grid",
    "start_norm": "norm of p(0) that it sees",
    "start_change": "ρ(0) on the finer mesh",
    "density_unseen": "hidden in a formula density",
    "drift_unseen": "drift between the nodes",
    "forward_unseen": "forward drift between nodes",
    "diffusivity_unseen": "D between the moments",
    "characteristics_l2_change": "ρ along characteristics",
    "energy_bound_refined": "bound of the energy",
    "monte_carlo_z": "particles, standard errors",
    "monte_carlo_modes": "particles, all modes",
    "terminal_error": "‖ρ(T) − p(T)‖, as asked for",
    "lost": "particles that are not finite",
    "step_change": "law of ρ(T), half steps",
    "exact_drift": "the exact drift, same way",
    "score_loss_ratio": "loss, fresh over fitted",
    "likelihood_change": "nats a dimension, half steps",
    "bound_agreement": "bounds of KL, two ways",
}

OTHER_FREE_TITLES = {"marginal_w1": "worst marginal, W₁"}  # beside those that the registry names


def free_title(name: str) -> str:
    """What a distance of particles is called in tables."""
    if name in OTHER_FREE_TITLES:
        return OTHER_FREE_TITLES[name]
    from controlsde.registry import PARTICLE_DISTANCES

    title: str = PARTICLE_DISTANCES[name].title if name in PARTICLE_DISTANCES else name
    return title


def pasteable(text: str) -> str:
    """The text with quotes around overrides that a shell would take for a file pattern."""
    return re.sub(r"--set ([\w.]+=\[[^]]*])", r"--set '\1'", text)


def figure(value: float | None) -> str:
    """A number for people: two digits, or that there is none."""
    if value is None:
        return "—"
    return f"{value:.2g}" if math.isfinite(value) else NOT_FINITE


def beside(check: Check) -> tuple[str, str]:
    """A value and its limit, with as many digits as it takes to tell them apart."""
    for digits in range(2, 7):
        value, limit = f"{check.value:.{digits}g}", f"{check.limit:.{digits}g}"
        if value != limit:
            break
    return value if math.isfinite(check.value) else figure(check.value), limit


def spread_of(result: Answer) -> list[str]:
    """How far apart the starts ended; nothing for a single one.

    The objective of the answer is the least of those that count. Lower ones were set aside, for a reason that the
    message tells.
    """
    from controlsde.solvers.outcome import reached

    found = reached(result.starts, result.objective)
    if len(result.starts) < 2 or not found.kept:
        return []
    line = f"{len(result.starts)} starts reached {_ranked(found.kept)}"
    hops = getattr(result.problem.solver, "hops", 0)
    if hops and result.status != "interrupted":
        line += f", after at most {hops} hops from the best"
    if found.lost:
        limited = result.problem.objective.terminal_error is not None
        line += f"; {found.lost} {'did not go on to the limit at T' if limited else 'broke down'}"
    if found.set_aside:
        lower, were = len(found.set_aside), "was" if len(found.set_aside) == 1 else "were"
        line += f"; {lower} with a lower objective {were} set aside"
    if found.set_aside and result.status == "converged":  # a verdict says why an answer did not converge
        return [line, result.message]
    return [line]


def _ranked(values: Sequence[float]) -> str:
    """Sorted numbers: all of a few, of more the least, and which half and which quarter of them reached."""
    count = len(values)
    if count < FEW:
        *most, last = [f"{value:.4g}" for value in values]
        return f"{', '.join(most)} and {last}" if most else last
    quarter = f", the best quarter {values[count // 4 - 1]:.4g} or less" if count >= 2 * FEW else ""
    return f"{values[0]:.4g}{quarter}, half {values[(count - 1) // 2]:.4g}"


def bounds(promised: Promises) -> tuple[str, str]:
    """The bounds of both errors in words."""
    l2 = "no bound exists" if promised.log10_l2_bound is None else f"≤ {power(promised.log10_l2_bound)}"
    return l2, "no bound exists" if promised.kl_bound is None else f"≤ {digits(promised.kl_bound)}"


def digits(value: float | None, digits: int = 4) -> str:
    """A number with its digits, or that there is none."""
    if value is None:
        return "—"
    return f"{value:.{digits}g}" if math.isfinite(value) else NOT_FINITE


def power(logarithm: float) -> str:
    """The number of this decimal logarithm; large ones by their power of ten alone."""
    return f"{10.0**logarithm:.4g}" if logarithm < LARGEST_EXPONENT else f"10^{math.ceil(logarithm)}"


def with_error(error: float, spread: float, figures: int = 2) -> str:
    """A number and its standard error, which is told to so many figures, with as many decimals as that has."""
    if not (math.isfinite(error) and math.isfinite(spread) and spread > 1e-12 * abs(error)):
        return digits(error)
    decimals = min(max(figures - 1 - math.floor(math.log10(spread)), 0), 9)
    return f"{error:.{decimals}f} ± {spread:.{decimals}f}"
