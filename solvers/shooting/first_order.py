"""First-order methods on the same gradient: L-BFGS with bounds (SciPy) and Adam (PyTorch).

Comes in: an objective and a start. Goes out: the same iterates as `trust_region` yields. They are here to
compare with, and for objectives too large for second-order methods.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from controlsde.fokker_planck.non_finite import NonFiniteError
from controlsde.solvers.shooting.trust_region import Iterate, projected_gradient_norm
from controlsde.tracking.objective import Objective

Array = NDArray[np.float64]
Accept = Callable[[Iterate], None]

ADAM_RATE = 0.02


def minimise_l_bfgs(objective: Objective, start: Array, iterations: int, tolerance: float, accept: Accept) -> None:
    """L-BFGS-B from flattened weights (N,); hands every iterate to `accept`."""
    shape, bound = objective.shape, objective.bounds
    seen: dict[bytes, tuple[float, Array]] = {}

    def function(point: Array) -> tuple[float, Array]:
        try:
            value, gradient = objective.value_and_gradient(point.reshape(shape))
        except NonFiniteError:
            return 1e300, np.zeros_like(point)  # the line search backs off
        seen.clear()
        seen[point.tobytes()] = (value, gradient.ravel())
        return value, gradient.ravel()

    count = 0

    def callback(point: Array) -> None:
        nonlocal count
        count += 1
        value, gradient = seen.get(point.tobytes()) or function(point)
        norm = projected_gradient_norm(point, gradient, bound)
        accept(Iterate(count, point.copy(), value, norm, norm <= tolerance))

    scipy.optimize.minimize(  # type: ignore[call-overload]
        function,
        np.clip(start, -bound, bound),
        jac=True,
        method="L-BFGS-B",
        bounds=scipy.optimize.Bounds(-bound, bound),
        callback=callback,
        options={
            "maxiter": iterations,
            "maxfun": 4 * iterations,
            "gtol": tolerance,
            "ftol": 0.0,
            "maxcor": 20,
        },
    )


def minimise_adam(objective: Objective, start: Array, iterations: int, tolerance: float, accept: Accept) -> None:
    """Adam with a rate that falls as a cosine, projected on the bounds; hands every iterate to `accept`."""
    import torch

    shape, bound = objective.shape, objective.bounds
    limit = torch.from_numpy(bound)
    parameter = torch.from_numpy(np.clip(start, -bound, bound).copy()).requires_grad_()
    optimiser = torch.optim.Adam([parameter], lr=ADAM_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, iterations)
    for number in range(iterations + 1):
        point = parameter.detach().numpy().copy()
        value, gradient = objective.value_and_gradient(point.reshape(shape))
        norm = projected_gradient_norm(point, gradient.ravel(), bound)
        accept(Iterate(number, point, value, norm, norm <= tolerance))
        if norm <= tolerance:
            return
        parameter.grad = torch.from_numpy(gradient.ravel())
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            parameter.clamp_(-limit, limit)
