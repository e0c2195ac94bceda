"""Whether a diffusivity vanishes while a drift does not: then the bounds that divide one by the other are infinite.

Comes in: D(t) on [0, T] and how large the drift is at a time. Goes out: yes or no. ∫ dt/D is infinite where D is zero
for a while, or falls to zero at least as fast as the time that is left; D ~ √(T − t) is allowed. A quadrature of 1/D
would make a large number of either.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize_scalar

from controlsde.fokker_planck.diffusivity import Diffusivity

SAMPLES = 1025  # of D, among which its least values are looked for
MOST = 64  # places that are looked at
SMALL = 1e-6  # of the mean: a D that is nowhere smaller is taken not to vanish
NEAR, NEARER = 1e-4, 1e-6  # of T: distances from the least value, at which the power of its fall is measured
LINEAR = 0.99  # the least power for which ∫ dt/D is taken to be infinite
INSTANTS = 9  # at which |v|²/D is looked at where D is not small


def pauses(diffusivity: Diffusivity, horizon: float, speed: Callable[[float], float]) -> bool:
    """Whether D vanishes too fast for ∫ |v|²/D dt, at a time at which speed(t) = ‖v(t)‖_∞ does not vanish with it."""
    if diffusivity.steady:
        return False
    floor = SMALL * diffusivity.mean(0.0, horizon)
    zeros = [t for t in _lowest(diffusivity, horizon) if diffusivity.at(t) <= floor]
    if not zeros:
        return False
    busy = [instant for instant in np.linspace(0.0, horizon, INSTANTS) if diffusivity.at(instant) > floor]
    usual = max((speed(instant) ** 2 / diffusivity.at(instant) for instant in busy), default=0.0)
    return any(
        _power(diffusivity, t, side * horizon) >= LINEAR
        for t in zeros
        if speed(t) ** 2 > usual * diffusivity.at(t)
        for side in (-1.0, 1.0)
        if 0.0 <= t + side * NEAR * horizon <= horizon
    )


def _lowest(diffusivity: Diffusivity, horizon: float) -> list[float]:
    """Where D has its smallest values: the local minima on a grid, each then between its neighbours; MOST of them."""
    times = np.linspace(0.0, horizon, SAMPLES)
    values = np.array([diffusivity.at(t) for t in times])
    before, after = np.append(np.inf, values[:-1]), np.append(values[1:], np.inf)
    lowest = np.flatnonzero((values <= before) & (values <= after))
    found = []
    for number in lowest[np.argsort(values[lowest], kind="stable")][:MOST]:
        bounds = times[max(number - 1, 0)], times[min(number + 1, SAMPLES - 1)]
        least = minimize_scalar(diffusivity.at, bounds=bounds, method="bounded", options={"xatol": 1e-9 * horizon})
        found.append(float(least.x) if least.fun < values[number] else float(times[number]))
    return found


def _power(diffusivity: Diffusivity, t: float, reach: float) -> float:
    """a where D ~ |distance from t|^a; infinite where D is zero."""
    near, nearer = (diffusivity.at(t + share * reach) for share in (NEAR, NEARER))
    if nearer <= 0.0:
        return np.inf
    return float(np.log(near / nearer) / np.log(NEAR / NEARER)) if near > 0.0 else 0.0
