"""A problem in words and formulas, for a reader who has never seen its file.

Comes in: a `Problem`. Goes out: rows of (what, sentence); formulas as plain text in the letters of docs/conventions.md.
"""

from __future__ import annotations

from typing import Any

from controlsde.problem import Problem
from controlsde.registry import SOLVERS
from controlsde.report.page.chart import tick_text

WALLS = {
    "reflecting": "reflecting walls, through which nothing flows",
    "periodic": "sides that are glued together, as on a circle",
    "absorbing": "absorbing walls, which take what reaches them",
}
FEW = 4  # parts of a density that are named one by one
SHAPES = {
    "uniform": "a uniform density",
    "boxes": "uniform densities on boxes",
    "truncated": "a truncated density",
    "student-t": "Student's t distribution",
    "funnel": "Neal's funnel",
    "image": "a picture, dark where there is mass",
}


def problem_rows(problem: Problem, levels: tuple[float, ...], data: str = "") -> list[tuple[str, str]]:
    """Everything that was asked, row by row. levels: the noise levels shown; data: what those are taken for."""
    network, controls, objective = problem.network, problem.controls, problem.objective
    rows = [("state", _domain(problem)), ("target", _reference(problem))]
    rows += [("data", data)] if data else []
    shown = ", ".join(f"{level:g}" for level in levels)
    rows.append(("noise", f"η = {shown}; the diffusivity is D = ηD₀(t). η = 0 is a deterministic flow."))
    if problem.drift is not None:
        rows.append(("drift", _given(problem.drift)))
    else:
        plural = "s" if network.width > 1 else ""
        tangential = ", times 1 − zᵢ⁸ so that it does not press against walls" if network.tangential else ""
        rows.append(("drift", f"a network with {network.width} neuron{plural}, σ = {network.activation}{tangential}"))
        lengths = "free lengths, which the solver finds, too" if controls.free else "given lengths"
        lengths = "equal lengths" if controls.lengths is None else lengths
        many = f"{controls.pieces} piece{'s' if controls.pieces > 1 else ''}"
        rows.append(("controls", f"A, W, b constant on {many} of {lengths}; each weight within {controls.bounds}"))
        words = "the solver fits the exact drift at exact samples of p, and looks at no distance"
        if not problem.domain.free:
            words = "the solver fits the exact drift and looks at no density; J is measured, not minimised"
        rows.append(("objective", words if _fitted(problem) else _objective(objective)))
    return rows


def formulas(problem: Problem) -> list[str]:
    """The equations of the problem."""
    found = ["∂ₜρ = ηD₀ Δρ − ∇·(vρ),   ρ(0) = p(0)" if _starts_exact(problem) else "∂ₜρ = ηD₀ Δρ − ∇·(vρ)"]
    if problem.drift is None:
        factor = "τ(x) ∘ " if problem.network.tangential else ""
        found.append(f"v(t, x) = {factor}A σ(Wx + b),   A, W, b constant on each piece")
        found.append(_minimised(problem))
    elif problem.drift.kind == "exact":
        found.append("v = w + ηD₀ ∇log p,   ∂ₜp + ∇·(wp) = 0")
    return found


def _starts_exact(problem: Problem) -> bool:
    return getattr(problem.reference, "start", "exact") == "exact"


def _fitted(problem: Problem) -> bool:
    """Whether the solver fits the exact drift, and minimises no distance."""
    return problem.solver.kind in SOLVERS and not SOLVERS[problem.solver.kind].minimises_objective


def _minimised(problem: Problem) -> str:
    objective = problem.objective
    if problem.domain.free:
        return _minimised_in_free_space(problem)
    norm = "" if objective.norm == "l2" else "_Ḣ⁻¹"
    terms = []
    if objective.running:
        terms.append(f"½{_times(objective.running)} ∫‖ρ − p‖²{norm} dt")
    if objective.terminal:
        terms.append(f"½{_times(objective.terminal)} ‖ρ(T) − p(T)‖²{norm}")
    if objective.effort:
        terms.append(f"½{_times(objective.effort)} ∫|θ|² dt")
    if objective.variation:
        terms.append(f"½{_times(objective.variation)} Σ|θₖ₊₁ − θₖ|²/Δt")
    if objective.energy:
        terms.append(f"½{_times(objective.energy)} ∫∫|v|²ρ⁺")
    return "minimise J = " + (" + ".join(terms) or "0")


def _minimised_in_free_space(problem: Problem) -> str:
    objective = problem.objective
    if _fitted(problem):
        return "minimise ∫ E|v(t, X) − v*(t, X)|² dt,   X of p(t),   v* = −f + (1 + η)D₀ ∇log p"
    terms = []
    if objective.running:
        terms.append(f"½{_times(objective.running)} ∫ Σ_g T_g(t)/σ_g dt")
    if objective.terminal:
        terms.append(f"½{_times(objective.terminal)} Σ_g T_g(T)/σ_g")
    if objective.effort:
        terms.append(f"½{_times(objective.effort)} ∫|θ|² dt")
    return "minimise J = " + (" + ".join(terms) or "0") + ",   T_g = ‖K_g * (ρ − p)‖²/‖K_g * p‖²"


def _times(weight: float) -> str:
    return "" if weight == 1 else f"·{tick_text(weight)}"


def _domain(problem: Problem) -> str:
    if problem.domain.free:
        d = problem.dimension
        return f"a probability density ρ(t, x) on all of R{_raised(d)}, without walls; ρ is particles, p a mixture"
    sides = " × ".join(f"[{tick_text(low)}, {tick_text(high)}]" for low, high in problem.domain.box)
    return f"a probability density ρ(t, x) on {sides} with {WALLS[problem.domain.walls]}"


def _raised(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _given(drift: Any) -> str:
    if drift.kind == "exact":
        return "the reference's own exact drift, which would track without any error"
    return "given by formulas: " + ", ".join(drift.expressions)


def _objective(objective: Any) -> str:
    norm = {"l2": "L²", "h-1": "Ḣ⁻¹"}.get(objective.norm, objective.norm)
    parts = []
    if objective.running:
        parts.append(f"the squared {norm} error on the way")
    if objective.terminal:
        parts.append(f"that at T (weight {tick_text(objective.terminal)})")
    if objective.effort:
        parts.append(f"the size of the weights (price {tick_text(objective.effort)})")
    if objective.variation:
        parts.append(f"their change from piece to piece (price {tick_text(objective.variation)})")
    if objective.energy:
        parts.append(f"the kinetic energy (price {tick_text(objective.energy)})")
    text = "as little as possible of " + ", ".join(parts) if parts else "nothing is minimised"
    if objective.terminal_error is not None:
        text += f"; the error at T may be {objective.terminal_error:g} at most"
    return text


def _reference(problem: Problem) -> str:
    reference: Any = problem.reference
    horizon = f"T = {reference.horizon:g}"
    if reference.kind == "reversed-diffusion":
        start = "" if reference.start == "exact" else ", started from the limit of the forward process"
        return (
            f"{_density(reference.data)}, noised by {_forward(reference.forward)} until {horizon} and run back{start}"
        )
    if reference.kind == "foellmer":
        return f"{_density(reference.data)}, reached from one point by Föllmer's process, {horizon}"
    ways = {"moser": "mixed in by and by (Moser)", "displacement": "moved on straight lines (optimal transport)"}
    way = ways.get(reference.kind, reference.kind)
    return f"from {_density(reference.from_)} to {_density(reference.to)}, {way}, {horizon}"


def _forward(forward: Any) -> str:
    if forward.kind == "ornstein-uhlenbeck":
        return f"an Ornstein–Uhlenbeck process, dX = −X ds + √(2·{forward.diffusivity:g}) dW,"
    if forward.kind == "heat":
        return f"the heat equation, dX = √(2·{forward.diffusivity:g}) dW,"
    if forward.kind == "vp":
        return f"variance preserving noise, β(s): {forward.schedule},"
    if forward.kind == "ve":
        return f"variance exploding noise, {forward.schedule},"
    return f"dX = f(X) ds + √(2·{forward.diffusivity:g}) dW, f = {', '.join(forward.drift)},"


def _density(spec: Any) -> str:
    if spec.kind == "mixture":
        count = len(spec.means)
        if count == 1:
            return "a Gaussian"
        if count <= FEW and spec.dimension == 1:
            return f"a mixture of {count} Gaussians at {', '.join(f'{mean[0]:g}' for mean in spec.means)}"
        return f"a mixture of {count} Gaussians"
    if spec.kind == "samples":
        columns = getattr(spec, "columns", None)
        points = getattr(spec, "points", None)
        many = f"{len(points):,} samples" if points else "samples"
        named = f" ({', '.join(map(str, columns))})" if columns else ""
        return f"{many}{named}, smoothed by a kernel"
    if spec.kind == "formula":
        return f"the density {spec.expression}, scaled to one"
    return SHAPES.get(spec.kind, f"a density of kind {spec.kind}")
