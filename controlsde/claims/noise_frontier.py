"""Where noise helps and where it hurts: optimised controls over pieces, widths, noise levels and three densities.

A cell is one budget at one noise level. Cells that differ only in their pieces make a climb: the fewest pieces start at
random, more pieces start from the answers on fewer, whose pieces they divide. Otherwise a descent that is cut short on
many pieces would be compared, and not what many pieces can do. All runs are those of a sweep: a run that was killed
goes on where it stopped, as long as it is given the same folder, which has the tables and the page of a sweep.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, report
from controlsde.claims.harness.climbs import DENSITIES, MEASURES, Cell, Grid, Measured, climbed
from controlsde.claims.harness.optimised import Spread, spread_curve
from controlsde.claims.harness.settings import SettingError
from controlsde.report.panels import Panel

Array = NDArray[np.float64]

LENGTHS = ("equal", "free")
CLEAR = 2.0  # deviations of a difference over the seeds, beyond which it is called one
RISEN = 1.02  # times J on fewer pieces: more than other steps in time make of the same controls


@dataclass(frozen=True)
class Parameters:
    """densities, pieces, widths, noise levels η, seeds of the starts, iterations of each descent, horizon.

    lengths: of the pieces, "equal" or "free".
    """

    densities: tuple[str, ...] = tuple(DENSITIES)
    pieces: tuple[int, ...] = (4, 8, 16, 32, 64)
    widths: tuple[int, ...] = (1, 2, 4)
    noise: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0, 2.0)
    seeds: tuple[int, ...] = (0, 1, 2)
    iterations: int = 60
    horizon: float = 0.1
    lengths: tuple[str, ...] = ("equal",)


def grid(parameters: Parameters) -> Grid:
    """What is solved. Raises SettingError for densities or lengths that are none."""
    unknown = [name for name in parameters.densities if name not in DENSITIES]
    if unknown:
        raise SettingError(f"densities must be among {', '.join(DENSITIES)} (got {', '.join(unknown)})")
    if not set(parameters.lengths) <= set(LENGTHS):
        raise SettingError(f"lengths must be among {', '.join(LENGTHS)} (got {', '.join(parameters.lengths)})")
    pieces = tuple(sorted(set(parameters.pieces)))
    return Grid(**{**vars(parameters), "pieces": pieces})


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """Every climb, side by side where that pays."""
    folder = setting.folder.resolve() / "noise-frontier" if setting.folder else None
    return _findings(parameters, climbed(grid(parameters), folder, setting.progress, setting.executor))


def _findings(parameters: Parameters, found: dict[Cell, Measured]) -> Findings:
    """Rows of every cell, and for every density, number of pieces and width whether noise helped."""
    rows: list[Row] = []
    gaps: dict[tuple[str, str], dict[str, float]] = {
        (lengths, symbol): {} for lengths in parameters.lengths for symbol in MEASURES.values()
    }
    missing: list[str] = []
    for group in _groups(parameters, found):
        budget, lengths = group[0].budget, group[0].lengths
        for cell in group:
            for measure, symbol in MEASURES.items():
                spread = found[cell].spread(measure)
                rows.append(report(f"{cell.label}: {symbol} at T, mean", spread.mean))
                rows.append(report(f"{cell.label}: {symbol} at T, deviation", spread.deviation))
            rows.append(report(f"{cell.label}: starts that verified", found[cell].spread("l2").count))
        for measure, symbol in MEASURES.items():
            compared = _compared({cell.noise: found[cell].spread(measure) for cell in group})
            if compared is not None:
                best, gaps[lengths, symbol][budget] = compared
                rows.append(report(f"{budget}: best η > 0 in {symbol}", best))
                label = f"{budget}: {symbol} at the best η > 0 less that at η = 0, in deviations"
                rows.append(report(label, gaps[lengths, symbol][budget]))
        if budget not in gaps[lengths, MEASURES["l2"]]:
            missing.append(budget)
    rises = _rises(found)
    rows.append(
        report(f"of {len(rises)} answers, those whose J is above that on fewer pieces", int(np.sum(rises > RISEN)))
    )
    several = len(parameters.lengths) > 1
    words = " ".join(
        _in_words(symbol + (f" with {lengths} lengths" if several else ""), apart)
        for (lengths, symbol), apart in gaps.items()
    )
    note = (
        f"The best η > 0 against η = 0, at T. {words} Elsewhere the difference is within {CLEAR:g} deviations over the "
        "starts, or there are no two starts that verified."
    )
    if missing:
        note += f" Not compared, for no start verified at η = 0, or with noise: {'; '.join(missing)}."
    if several:
        note += " " + _gained(parameters, found)
    return Findings(tuple(rows), tuple(_panels(parameters, found)), note)


def _gained(parameters: Parameters, found: dict[Cell, Measured]) -> str:
    """What other lengths than the first make of the mean L² error, noise level by noise level."""
    first, *others = parameters.lengths
    words = []
    for lengths in others:
        for noise in sorted(parameters.noise):
            pairs = [
                (found[cell].spread("l2").mean, found[replace(cell, lengths=lengths)].spread("l2").mean)
                for cell in found
                if (cell.lengths, cell.noise) == (first, noise)
            ]
            ratios = [after / before for before, after in pairs if np.isfinite(after) and np.isfinite(before)]
            if ratios:
                middle, low, high = np.median(ratios), min(ratios), max(ratios)
                words.append(f"at η = {noise:g} {middle:.2g} ({low:.2g} to {high:.2g} in {len(ratios)} budgets)")
    return (
        f"The mean L² error with {' and '.join(others)} lengths over that with {first} ones, in the median over the "
        f"budgets: {'; '.join(words)}."
    )


def _compared(spreads: dict[float, Spread]) -> tuple[float, float] | None:
    """The best η > 0, and its mean less that at η = 0 in deviations; None where either is missing. Comes in by η."""
    noisy = [noise for noise, spread in spreads.items() if noise > 0 and spread.count]
    if not noisy or 0.0 not in spreads or not spreads[0.0].count:
        return None
    best = min(noisy, key=lambda noise: spreads[noise].mean)
    gap = spreads[best].mean - spreads[0.0].mean
    return best, float(np.sign(gap)) * spreads[best].apart(spreads[0.0])


def _in_words(symbol: str, apart: dict[str, float]) -> str:
    helped = [budget for budget, value in apart.items() if value < -CLEAR]
    hurt = [budget for budget, value in apart.items() if value > CLEAR]
    where = [f" ({'; '.join(budgets)})" if budgets else "" for budgets in (helped, hurt)]
    return (
        f"In {symbol} noise helps in {len(helped)} of {len(apart)} budgets{where[0]} and hurts in "
        f"{len(hurt)}{where[1]}."
    )


def _rises(found: dict[Cell, Measured]) -> Array:
    """J over J on the pieces before, of every seed and cell that has such."""
    fewer = {more: pieces for pieces, more in itertools.pairwise(sorted({cell.pieces for cell in found}))}
    ratios = [
        np.array(one.objective) / np.array(found[replace(cell, pieces=fewer[cell.pieces])].objective)
        for cell, one in found.items()
        if cell.pieces in fewer
    ]
    return np.concatenate([np.zeros(0), *ratios])


def _groups(parameters: Parameters, found: dict[Cell, Measured]) -> Iterator[list[Cell]]:
    """The cells that differ in nothing but the noise."""
    for lengths in parameters.lengths:
        for density in parameters.densities:
            for pieces in parameters.pieces:
                for width in parameters.widths:
                    yield _alike(found, lengths, density, pieces, width)


def _alike(found: dict[Cell, Measured], lengths: str, density: str, pieces: int, width: int) -> list[Cell]:
    """The cells with these, by noise."""
    wanted = (lengths, density, pieces, width)
    group = [cell for cell in found if (cell.lengths, cell.density, cell.pieces, cell.width) == wanted]
    return sorted(group, key=lambda cell: cell.noise)


def _panels(parameters: Parameters, found: dict[Cell, Measured]) -> Iterator[Panel]:
    """The error against η for every density: by pieces at the least width, and by width at the most pieces."""
    least, most = min(parameters.widths), max(parameters.pieces)
    choices = {
        f"width {least}": [(f"{pieces} pieces", pieces, least) for pieces in parameters.pieces],
        f"{most} pieces": [(f"width {width}", most, width) for width in parameters.widths],
    }
    for fixed, lines in choices.items():
        for density in parameters.densities:
            curves = []
            each = [(lengths, *line) for line in lines for lengths in parameters.lengths]
            for series, (lengths, label, pieces, width) in enumerate(each):
                group = _alike(found, lengths, density, pieces, width)
                spreads = [found[cell].spread("l2") for cell in group]
                words = label if len(parameters.lengths) == 1 else f"{label}, {lengths}"
                curves.append(spread_curve([cell.noise for cell in group], spreads, words, series))
            yield Panel(f"{density}, {fixed}", "noise η", "L² at T", tuple(curves), y_log=True)


CLAIM = Claim(
    id="noise-frontier",
    source="P1",
    title="The frontier: where noise helps, and where it hurts",
    statement=(
        "Controls are optimised for every number of pieces, width and noise level, on a smooth density, one with a "
        "kink and one with a jump, from several random starts each; more pieces start from the answers on fewer. Is "
        "the verified error smaller with noise or without, and is the difference larger than the spread over the "
        "starts?"
    ),
    formulas=(
        "reversed heat flow on [0, 1], v*_η = (1 + η)∇log p; the same p at every η",
        "apart: |mean − mean'| / √(deviation² + deviation'²) over the starts; more than 2 is called a difference",
    ),
    parameters=Parameters(),
    fast=Parameters(densities=("smooth",), pieces=(2, 4), widths=(1,), noise=(0.0, 1.0), seeds=(0,), iterations=10),
    experiment=experiment,
    meaning=(
        "The table is a report: no theorem decides it. Every answer is where a limited descent ended, and was verified "
        "by other methods; what did not verify is left out, and counted. Three starts make a crude spread."
    ),
    further="Narrow the question: `--set densities=[jump] --set pieces=[16] --set noise=[0,0.05,0.1,0.2]`.",
    expects="open",
    long=True,
)

FREE_LENGTHS = Claim(
    id="noise-frontier-free-lengths",
    source="P1",
    title="The frontier with free lengths of the pieces",
    statement=(
        "The frontier of noise for few pieces, once with pieces of equal length and once where the lengths are "
        "optimised with the weights, from the same random starts with the same number of iterations. Does the verdict "
        "on noise change?"
    ),
    formulas=(
        *CLAIM.formulas,
        "Δt_k = s + (T − K s) softmax(z)_k, with z among the controls",
    ),
    parameters=Parameters(pieces=(4, 8), widths=(1, 2), noise=(0.0, 0.25, 1.0), lengths=LENGTHS),
    fast=Parameters(
        densities=("smooth",), pieces=(2,), widths=(1,), noise=(0.0, 1.0), seeds=(0,), iterations=10, lengths=LENGTHS
    ),
    experiment=experiment,
    meaning=(
        "Noise forgets: what was built early is gone at T, so with equal pieces most of them are spent on nothing that "
        "lasts, and more so the more noise there is. Where lengths are free, pieces move to where they count, and what "
        "is left of the difference is due to noise. As in the frontier, no theorem decides the table, the descents are "
        "limited, and three starts make a crude spread."
    ),
    further="More pieces: `--set pieces=[16]`; wider networks: `--set widths=[4]`.",
    expects="open",
    long=True,
)
