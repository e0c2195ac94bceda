"""The controlled process as a PyTorch module, in the form that SDE and ODE libraries for PyTorch ask for.

Comes in: a network, its controls, a diffusivity, the walls. Goes out: a `torch.nn.Module` with drift f and diffusion g.

Libraries integrate in free space. Between reflecting walls the module therefore unfolds the box over it: with F the
triangle wave that folds space into the box, component by component,

    dX̃ = F′(X̃) ∘ v(t, F(X̃)) dt + √(2D) dW     ⇒     X = F(X̃) is the process reflected at the walls

(the sign F′ = ±1 leaves the law of dW alone). Periodic walls repeat the drift. Call `fold` on what comes back.
Absorbing walls are left out, for no step of a library can end a path: what comes back is the process without walls,
which is the absorbed one until it first leaves the box, and dead from then on.

Where the unfolded drift jumps (at a reflecting wall with v·n ≠ 0, at the seam of a periodic box with v(low) ≠ v(high)),
steps of any method have the right law in the limit only, to first order. Derivatives with respect to the weights, by
whichever adjoint, leave the jump out. At reflecting walls their mean is right all the same: a path leaves a wall to
either side with equal chance, and the sign F′ makes what it carries there cancel, as reflection does. At a seam with a
jump nothing cancels, and gradients of expectations are biased.

The weights jump at the edges of pieces, and a step that sees two pieces is of first order at best. `pieces` gives one
smooth module after the other, for any method of any library. The module as a whole is for methods that keep to one
side:

- `f` (torchsde) snaps its clock: a library that adds up step after step arrives at 0.30000000000000004 or 0.29999998
  instead of at the edge 0.3, and is then on it;
- `forward` (torchdiffeq) takes its clock literally, for there one unit in the last place more or less (the option
  `perturb`; every step that ends on a `jump_t`) says on which side of an edge it is. `grid` has the edges exactly.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from controlsde.control.controls import Controls
from controlsde.control.network import Network
from controlsde.fokker_planck.diffusivity import Diffusivity
from controlsde.monte_carlo.process import NO_WALLS
from controlsde.monte_carlo.walls import fold, wrap

SHARE = 0.125  # of the shortest piece: no time further from an edge is ever taken for it


class ControlledProcess(nn.Module):
    """dX = v(t, X) dt + √(2D(t)) dW with piecewise-constant weights, as parameters A (K, d, m), W (K, m, d), b (K, m).

    `f` and `g` serve torchsde (`sde_type` Itô, `noise_type` diagonal); `forward(t, x)`, the drift, torchdiffeq. Times
    run from 0 to T, those of the pieces are `times` (K+1,); a time on the edge of two pieces belongs to the later one.
    """

    sde_type = "ito"
    noise_type = "diagonal"

    def __init__(
        self,
        network: Network,
        controls: Controls,
        diffusivity: Diffusivity,
        walls: str,
        dtype: torch.dtype | None = None,
    ) -> None:
        """diffusivity: D(t) = ηD₀(t) in length²/time. dtype: of the parameters, PyTorch's default if not given.

        They are on PyTorch's default device, as those of any module.
        """
        super().__init__()
        dtype = torch.get_default_dtype() if dtype is None else dtype

        def tensor(values: object) -> Tensor:
            return torch.as_tensor(values, dtype=dtype).clone()

        self.A = nn.Parameter(tensor(controls.A))
        self.W = nn.Parameter(tensor(controls.W))
        self.b = nn.Parameter(tensor(controls.b))
        self.times: Tensor
        self.low: Tensor
        self.high: Tensor
        self.register_buffer("times", tensor(controls.times))
        self.register_buffer("low", tensor([low for low, _ in network.box]))  # empty in free space
        self.register_buffer("high", tensor([high for _, high in network.box]))
        self.diffusivity = diffusivity
        self.walls = walls
        self.network = network
        self._given_times = controls.times

    def forward(self, t: Tensor | float, x: Tensor) -> Tensor:
        """The drift at time t, taken literally, and points x (…, d): of the shape of x."""
        time = float(torch.as_tensor(t, dtype=self.times.dtype, device="cpu"))
        return self.drift(self._piece_from(time), x)

    def f(self, t: Tensor | float, x: Tensor) -> Tensor:
        """The drift by the name that torchsde gives it; times within rounding of an edge are on it (`piece_at`)."""
        return self.drift(self.piece_at(t), x)

    def g(self, t: Tensor | float, x: Tensor) -> Tensor:
        """The diagonal of the diffusion √(2D(t)), shape of x; before 0 and after T as there."""
        time = min(max(float(t), float(self.times[0])), float(self.times[-1]))
        return torch.full_like(x, math.sqrt(2.0 * self.diffusivity.at(time)))

    def drift(self, piece: int, x: Tensor) -> Tensor:
        """The unfolded drift F′(x) ∘ v(F(x)) of one piece at points x (…, d) of free space: of the shape of x."""
        drift: Tensor = self.network.drift(self.fold(x), self.A[piece], self.W[piece], self.b[piece])
        if self.walls != "reflecting":
            return drift
        length = self.high - self.low
        turned = (x - self.low).remainder(2.0 * length) > length
        return torch.where(turned, -drift, drift)

    def fold(self, x: Tensor) -> Tensor:
        """Points of free space (…, d) as points of the box; unchanged where walls absorb, or where there are none."""
        if self.walls in ("absorbing", NO_WALLS):
            return x
        return wrap(x, self.low, self.high) if self.walls == "periodic" else fold(x, self.low, self.high)

    def piece_at(self, t: Tensor | float) -> int:
        """The piece that holds time t: the later one within `rounding` of an edge, the first before 0, the last from T.

        t: time since 0, a number or a tensor of one.
        """
        return self._piece_from(float(t) + self.rounding(t.dtype if isinstance(t, Tensor) else torch.float64))

    def rounding(self, dtype: torch.dtype) -> float:
        """How far below an edge a time of this dtype still counts as the edge: ½√ε T, or ⅛ of the shortest piece.

        ε is the coarser of the precisions of dtype and `times`. Adding up n steps of length T/n errs by no more than
        n·½ε·T, so for n < 1/√ε (6·10⁷ steps in float64, 2900 in float32) the edge is closer than ½√ε T, and the start
        of the step before it, T/n off, is further away.
        """
        epsilon = max(torch.finfo(kind).eps for kind in (dtype, self.times.dtype))
        shortest = float(self.times.diff().min())
        return min(0.5 * math.sqrt(epsilon) * float(self.times.abs().max()), SHARE * shortest)

    def steps(self, steps_per_piece: int | Sequence[int]) -> list[int]:
        """The number of steps in each of the K pieces. Raises ValueError as `grid`."""
        count = len(self.A)
        steps = [steps_per_piece] * count if isinstance(steps_per_piece, int) else list(steps_per_piece)
        if len(steps) != count or min(steps) < 1:
            raise ValueError(f"steps_per_piece must be a number >= 1, or {count} of them (got {steps_per_piece})")
        return steps

    def grid(self, steps_per_piece: int | Sequence[int]) -> Tensor:
        """Times (K·S + 1,) that cut each piece into S equal steps, the edges among them exactly as in `times`.

        steps_per_piece: S, or one number for each of the K pieces. For odeint: `t`, or what `grid_constructor` returns.
        Raises ValueError for less than one step, or another number of numbers.
        """
        steps = self.steps(steps_per_piece)
        parts = [self._cut(piece, count)[:-1] for piece, count in enumerate(steps)]
        return torch.cat([*parts, self.times[-1:]])

    def pieces(self, steps_per_piece: int | Sequence[int] = 1) -> Iterator[tuple[ControlledPiece, Tensor]]:
        """One smooth module after the other, each with the times (S+1,) of its piece, cut into S equal steps.

            for piece, times in process.pieces(16):
                x = torchsde.sdeint(piece, x, times, dt=times[1] - times[0])[-1]

        Within a piece no method, of any order, sees two pieces, nor does any adjoint on its way back. Gradients reach
        the parameters of this module. Raises ValueError as `grid`.
        """
        for piece, count in enumerate(self.steps(steps_per_piece)):
            yield ControlledPiece(self, piece), self._cut(piece, count)

    def controls(self) -> Controls:
        """The weights as they are now, trained or not, as Controls: for `evaluate`, or to be saved.

        Times that the module merely rounds are given back as they were. Raises ControlsError where training has left a
        number that is not finite.
        """
        a, w, b, times = (part.detach().double().cpu().numpy() for part in (self.A, self.W, self.b, self.times))
        kept = times == torch.from_numpy(self._given_times).to(self.times.dtype).double().numpy()
        return Controls(a, w, b, np.where(kept, self._given_times, times))

    def _piece_from(self, time: float) -> int:
        return min(max(bisect_right(self.times.tolist(), time) - 1, 0), len(self.A) - 1)

    def _cut(self, piece: int, steps: int) -> Tensor:
        start, end = self.times[piece], self.times[piece + 1]
        shares = torch.arange(steps + 1, dtype=self.times.dtype, device=self.times.device) / steps
        return torch.cat([(start + shares * (end - start))[:-1], end[None]])


class ControlledPiece(nn.Module):
    """The controlled process with the weights of one piece at all times: smooth in time, parameters shared with it."""

    sde_type = "ito"
    noise_type = "diagonal"

    def __init__(self, process: ControlledProcess, number: int) -> None:
        """number: of the piece, from 0."""
        super().__init__()
        self.process = process
        self.number = number

    def forward(self, t: Tensor | float, x: Tensor) -> Tensor:  # noqa: ARG002 - the same at all times
        """The unfolded drift of the piece at points x (…, d), of the same shape, whatever the time."""
        return self.process.drift(self.number, x)

    def f(self, t: Tensor | float, x: Tensor) -> Tensor:
        """The drift, by the name that torchsde gives it."""
        return self.forward(t, x)

    def g(self, t: Tensor | float, x: Tensor) -> Tensor:
        """The diagonal of the diffusion √(2D(t)), shape of x."""
        return self.process.g(t, x)
