"""One problem in several variants, each with optimised controls: tables with error bars, and no expected winner.

Comes in: the text of a problem for each variant and noise level. Goes out: rows that expect nothing, and panels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from controlsde.claims.harness.claim import Row
from controlsde.claims.harness.optimised import WORDS, Optimised, optimise, spread_curve
from controlsde.foundation.progress import Progress, silent
from controlsde.report.panels import Curve, Panel


@dataclass(frozen=True, eq=False)
class Variants:
    """The answers by variant and noise level."""

    names: tuple[str, ...]
    noise: tuple[float, ...]
    found: dict[tuple[str, float], Optimised]

    def rows(self, quantities: Sequence[str] = ("l2", "w2")) -> list[Row]:
        """Best, mean and deviation of each quantity for every variant, and the share that verified."""
        return [
            row
            for name in self.names
            for noise in self.noise
            for row in self.found[name, noise].rows(f"{name}, η = {noise:g}", quantities)
        ]

    def panel(self, title: str, quantity: str, *, y_log: bool = False) -> Panel:
        """Mean and deviation over the seeds, variant by variant, one curve a noise level."""
        curves = []
        for series, noise in enumerate(self.noise):
            spreads = [self.found[name, noise].spread(quantity) for name in self.names]
            label = f"η = {noise:g}, mean ± deviation"
            curves.append(spread_curve(range(len(self.names)), spreads, label, series))
        return Panel(title, "", WORDS[quantity], tuple(curves), y_log=y_log, ticks=self.names)

    def picture(self, title: str, noise: float, shown: Sequence[str] = ()) -> Panel:
        """ρ(T) of the best controls of some variants, or of all, and the target of the last."""
        curves = []
        target: tuple[Curve, ...] = ()
        for series, name in enumerate(self.names):
            best = self.found[name, noise].best
            if best is None or (shown and name not in shown):
                continue
            axis = best.fields.axes[0]
            curves.append(Curve(axis, best.fields.density[-1], name, "line", series=series))
            target = (Curve(axis, best.fields.reference[-1], "target p(T)", "theory"),)
        return Panel(title, "x", "density at T", (*curves, *target))

    def sentence(self, quantity: str = "l2") -> str:
        """The least and the greatest mean at every noise level, with their deviations."""
        words = []
        for noise in self.noise:
            every = {name: self.found[name, noise].spread(quantity) for name in self.names}
            spreads = {name: spread for name, spread in every.items() if spread.count}
            if not spreads:
                words.append(f"at η = {noise:g} nothing verified")
                continue
            low, high = (pick(spreads, key=lambda name: spreads[name].mean) for pick in (min, max))
            parts = (f"{spreads[name]} ({name})" for name in (low, high))
            words.append(f"at η = {noise:g} from {' to '.join(parts)}")
        return f"{WORDS[quantity]} goes {'; '.join(words)}, means and deviations over the seeds."


def compare_variants(
    names: Sequence[str],
    noise: Sequence[float],
    text_of: Callable[[str, float], str],
    seeds: Sequence[int],
    progress: Progress = silent,
) -> Variants:
    """Optimise every variant at every noise level. Raises as `optimise` does."""
    found = {
        (name, level): optimise(text_of(name, level), seeds, progress, f"{name}, η = {level:g}")
        for name in names
        for level in noise
    }
    return Variants(tuple(names), tuple(noise), found)
