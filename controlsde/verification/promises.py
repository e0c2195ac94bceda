"""What the theory promises of a drift, beside what was measured: bounds of the errors at T by the score-matching loss.

Comes in: a problem, its reference, any drift v, and the densities that the refined mesh found. Goes out: the loss, the
bounds that follow from it, and the measured distances that they bound.

With the exact drift v* of the reference and D = ηD₀(t) > 0, p and the controlled density ρ obey

    ∂ₜp = DΔp − ∇·(v* p),      ∂ₜρ = DΔρ − ∇·(v ρ),      no flux through the walls,

and score matching makes  L = ∫₀ᵀ ℓ dt  small,  ℓ(t) = ∫ |v − v*|² p dx.

The bound in L². The error e = p − ρ obeys ∂ₜe = ∇·(D∇e − g) with g = v e + (v* − v) p. Multiplied by e and integrated,
with the square completed and |a + b|² ≤ 2|a|² + 2|b|²,

    d/dt ‖e‖² = −2D‖∇e‖² + 2∫ ∇e·g dx ≤ ‖g‖²/2D ≤ (‖v‖²_∞/D) ‖e‖² + (‖p‖_∞/D) ℓ,

and by Grönwall, with E(s) = ∫ₛᵀ ‖v‖²_∞/D dt,

    ‖e(T)‖² ≤ e^{E(0)} ‖e(0)‖² + ∫₀ᵀ e^{E(s)} (‖p‖_∞/D) ℓ ds.

No derivative of v enters, but E is large for steep drifts or little noise: the bound may be beyond all use.

The path divergence (Girsanov). Both processes have the same diffusivity, and the laws at T are images of those of whole
paths; reflection is the same push for both. Hence

    KL(p(T)‖ρ(T)) ≤ KL(paths of p‖paths of ρ) = KL(p(0)‖ρ(0)) + ∫₀ᵀ ℓ/4D dt.

Without noise there is no bound: both divide by D, and small losses do go with large errors then. Nor is there one
where D vanishes for a while, or at least as fast as the time that is left, and v does not: both integrals are
infinite. Absorbing walls absorb ρ alone, so that neither argument holds. Nor does it where a reference jumps: ∇log p
is no function there, and v* carries another density.

How it is computed: in time by Gauss and Legendre's rule on subintervals that no edge of a piece cuts, for v jumps
there. Towards T they shrink geometrically, for v* may grow like 1/√(T − t) there, and where the rule does not integrate
D₀ they are halved, for v* is as fast as a schedule. A source acts from the beginning of
its subinterval, which is never too little. Suprema are the largest values at the points of the refined mesh.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from controlsde import distances
from controlsde.control.drift import Drift
from controlsde.fokker_planck.diffusivity import Diffusivity
from controlsde.foundation.stored_json import TEXT, Form, Maybe, number, values
from controlsde.tracking.posed import Posed
from controlsde.verification.jumps import jumps
from controlsde.verification.pauses import pauses
from controlsde.verification.refinement import Refined

Array = NDArray[np.float64]

FEWEST_PANELS = 8
NODES = 3  # on each subinterval
SHRINKING, SMALLER = 4.0, 10  # the last subinterval is cut in this proportion, so many times
RESOLVED = 1e-6  # of ∫D₀ dt, by which a subinterval may be wrong about it
SHORTEST, MOST_SUBINTERVALS = 2.0**-40, 400  # of T
WITHOUT_NOISE = "no bound exists without noise: all of them divide by the diffusivity"
WITH_ABSORPTION = "no bound exists with absorbing walls, which absorb the controlled process alone"
WITH_PAUSE = "no bound exists where the diffusivity vanishes and the drift does not: all of them divide by it"
WITH_JUMP = "no bound exists with noise where the reference jumps: no drift carries it there"
BROKEN = "no bound: a density or the drift is not finite"


@dataclass(frozen=True)
class Promises:
    """Bounds beside measurements, at T; a bound is None where there is none, and `note` says why.

    loss: ∫∫|v − v*|² p dx dt; loss_change: its relative change under the mid-point rule, which overestimates its
    error. log10_l2_bound: of the bound of ‖ρ(T) − p(T)‖, by its logarithm, for it may be beyond all numbers; −inf for a
    bound of zero. kl_bound: the path divergence. l2, kl: measured ‖ρ(T) − p(T)‖ and KL(p(T)‖ρ(T)).
    """

    FORM: ClassVar[dict[str, Form]] = {
        "l2": values("bound", "log10_bound", "measured"),
        "kl": values("bound", "measured"),
        "note": Maybe(TEXT),
        **values("loss", "loss_change"),
    }

    loss: float
    loss_change: float
    log10_l2_bound: float | None
    l2: float | None
    kl_bound: float | None
    kl: float | None
    note: str | None = None

    @property
    def l2_bound(self) -> float | None:
        """The bound of ‖ρ(T) − p(T)‖; inf where it is beyond all numbers."""
        if self.log10_l2_bound is None:
            return None
        return 10.0**self.log10_l2_bound if self.log10_l2_bound < math.log10(np.finfo(float).max) else math.inf

    def to_json(self) -> dict[str, Any]:
        """The numbers as the JSON of a result holds them."""
        return {
            "loss": self.loss,
            "loss_change": self.loss_change,
            "l2": {"bound": self.l2_bound, "log10_bound": self.log10_l2_bound, "measured": self.l2},
            "kl": {"bound": self.kl_bound, "measured": self.kl},
            "note": self.note,
        }

    @staticmethod
    def from_json(stored: dict[str, Any]) -> Promises:
        """What `to_json` wrote, with null for what is not finite: a loss comes back as not a number."""
        l2, kl = stored["l2"], stored["kl"]
        logarithm = l2["log10_bound"]
        return Promises(
            loss=number(stored["loss"]),
            loss_change=number(stored["loss_change"]),
            log10_l2_bound=-math.inf if logarithm is None and l2["bound"] == 0.0 else logarithm,
            l2=l2["measured"],
            kl_bound=kl["bound"],
            kl=kl["measured"],
            note=stored["note"],
        )


def promises(posed: Posed, drift: Drift, refined: Refined, l2_final: float) -> Promises:
    """The promises for a drift, beside the measured ‖ρ(T) − p(T)‖. Densities that are not finite have no bounds."""
    with np.errstate(all="ignore"):  # of densities that blew up
        subintervals = _subintervals(posed, drift, refined)
        loss = float(subintervals.integrals(subintervals.loss).sum())
        change = abs(loss - subintervals.roughly(subintervals.loss)) / loss if loss > 0 else 0.0
        p, rho = refined.reference[-1], refined.density[-1]
        kl = _finite(distances.kullback_leibler(refined.mesh.weights, p, rho))
    closed = posed.problem.domain.walls != "absorbing"
    note = None
    if posed.problem.noise == 0:
        note = WITHOUT_NOISE
    elif not closed:
        note = WITH_ABSORPTION
    elif not np.all(np.isfinite(refined.density)):
        note = BROKEN
    elif jumps(posed.reference, posed.problem.domain.box):
        note = WITH_JUMP
    elif pauses(posed.diffusivity, posed.reference.horizon, _speed(drift, refined.mesh.points)):
        note = WITH_PAUSE
    l2_bound = kl_bound = None
    if note is None:
        l2_bound, kl_bound = _log10_l2_bound(subintervals, refined), _kl_bound(subintervals, refined)
        if kl_bound is None or math.isnan(l2_bound) or l2_bound == math.inf:
            l2_bound, kl_bound, note = None, None, BROKEN
    return Promises(
        loss=loss,
        loss_change=change,
        log10_l2_bound=l2_bound,
        l2=_finite(l2_final),
        kl_bound=kl_bound,
        kl=kl if closed else None,
        note=note,
    )


@dataclass(frozen=True, eq=False)
class _Subintervals:
    """Samples (n, NODES) on n subintervals in time, and their lengths (n,).

    loss: ℓ. speed: ‖v‖_∞. top: ‖p‖_∞. diffusivity: D.
    """

    lengths: Array
    loss: Array
    speed: Array
    top: Array
    diffusivity: Array

    def integrals(self, values: Array) -> Array:
        """∫ over each subinterval of what is sampled: (n,)."""
        return np.asarray(self.lengths * (values @ _rule()[1]))

    def over_diffusivity(self, values: Array) -> Array:
        """Samples ≥ 0 over D; nothing over no D is nothing: the exact drift rests where D does."""
        infinite = np.where(values > 0.0, np.inf, 0.0)
        return np.asarray(np.divide(values, self.diffusivity, out=infinite, where=self.diffusivity > 0.0))

    def roughly(self, values: Array) -> float:
        """∫ over all subintervals by the mid-point of each: of second order, where the rule is of sixth."""
        return float(self.lengths @ values[:, NODES // 2])


def _rule() -> tuple[Array, Array]:
    """Nodes and weights on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return 0.5 + 0.5 * nodes, 0.5 * weights


def _speed(drift: Drift, points: Array) -> Callable[[float], float]:
    """t → ‖v(t)‖_∞ on the points."""
    last = len(drift.edges) - 2

    def speed(t: float) -> float:
        piece = min(max(int(np.searchsorted(drift.edges, t, side="right")) - 1, 0), last)
        return math.sqrt(float((drift.values(piece, t, points) ** 2).sum(axis=1).max()))

    return speed


def _edges(edges: Array) -> Array:
    """The pieces, cut into subintervals: at least FEWEST_PANELS, and smaller and smaller ones towards T."""
    parts = math.ceil(FEWEST_PANELS / (len(edges) - 1))
    even = np.interp(np.arange(parts * (len(edges) - 1) + 1) / parts, np.arange(len(edges)), edges)
    last = even[-1] - even[-2]
    graded = even[-1] - last * SHRINKING ** -np.arange(1.0, SMALLER + 1)
    return np.concatenate([even[:-1], graded, even[-1:]])


def _resolving(diffusivity: Diffusivity, edges: Array) -> Array:
    """Edges between which the rule integrates D: those given, and middles until it does."""
    if diffusivity.steady:
        return edges
    nodes, weights = _rule()
    allowed = RESOLVED * diffusivity.mean(edges[0], edges[-1]) * (edges[-1] - edges[0])
    found, waiting = [float(edges[0])], [(float(a), float(b)) for a, b in itertools.pairwise(edges)][::-1]
    while waiting:
        start, end = waiting.pop()
        length = end - start
        seen = sum(w * diffusivity.at(start + length * node) for node, w in zip(nodes, weights, strict=True))
        resolved = abs(seen - diffusivity.mean(start, end)) * length <= allowed
        if resolved or length <= SHORTEST * edges[-1] or len(found) + len(waiting) >= MOST_SUBINTERVALS:
            found.append(end)
        else:
            waiting += [(0.5 * (start + end), end), (start, 0.5 * (start + end))]
    return np.array(found)


def _subintervals(posed: Posed, drift: Drift, refined: Refined) -> _Subintervals:
    """The whole time."""
    points, weights = refined.mesh.points, refined.mesh.weights
    diffusivity = posed.diffusivity
    steady = lru_cache(maxsize=1)(lambda piece: drift.values(piece, float(drift.edges[piece]), points))

    def sample(piece: int, t: float) -> tuple[float, float, float, float]:
        v = steady(piece) if drift.constant else drift.values(piece, t, points)
        p = posed.reference.density(t, points)
        gap = ((v - posed.reference.exact_drift(t, points, posed.problem.noise)) ** 2).sum(axis=1)
        loss = float(weights @ np.where(p > 0.0, gap * p, 0.0))
        return loss, math.sqrt(float((v**2).sum(axis=1).max())), float(p.max()), diffusivity.at(t)

    edges = _resolving(posed.reference.diffusivity, _edges(drift.edges))
    starts, lengths = edges[:-1], np.diff(edges)
    pieces = np.searchsorted(drift.edges, starts + 0.5 * lengths) - 1
    samples = [
        [sample(int(piece), float(start + length * node)) for node in _rule()[0]]
        for piece, start, length in zip(pieces, starts, lengths, strict=True)
    ]
    return _Subintervals(lengths, *np.moveaxis(np.array(samples), 2, 0))


def _log10_l2_bound(subintervals: _Subintervals, refined: Refined) -> float:
    """log₁₀ of the bound of ‖ρ(T) − p(T)‖, summed in logarithms: the exponents are large."""
    growth = subintervals.integrals(subintervals.over_diffusivity(subintervals.speed**2))
    until_end = np.cumsum(growth[::-1])[::-1]  # E at the beginning of each subinterval
    sources = subintervals.integrals(subintervals.over_diffusivity(subintervals.top * subintervals.loss))
    with np.errstate(divide="ignore"):  # the logarithm of no source, or of a right start
        terms = np.append(until_end + np.log(sources), until_end[0] + 2.0 * np.log(refined.errors[0]))
    return float(0.5 * logsumexp(terms) / math.log(10.0))


def _kl_bound(subintervals: _Subintervals, refined: Refined) -> float | None:
    start = distances.kullback_leibler(refined.mesh.weights, refined.reference[0], refined.density[0])
    return _finite(start + float(subintervals.integrals(subintervals.over_diffusivity(0.25 * subintervals.loss)).sum()))


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
