"""The controlled process as a PyTorch module, in the form that SDE and ODE libraries for PyTorch ask for.

Comes in: a network, its controls, a diffusivity, the walls. Goes out: a `torch.nn.Module` with drift f and diffusion g.

Libraries integrate in free space. Between reflecting walls the module therefore unfolds the box over it: with F the
triangle wave that folds space into the box, component by component,

    dX̃ = F′(X̃) ∘ v(t, F(X̃)) dt + √(2D) dW     ⇒     X = F(X̃) is the process reflected at the walls

(the sign F′ = ±1 leaves the law of dW alone). Periodic walls repeat the drift. Call `fold` on what comes back.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from controlsde.controls import Controls
from controlsde.diffusivity import Diffusivity
from controlsde.monte_carlo.walls import fold, wrap
from controlsde.network import Network


class ControlledProcess(nn.Module):
    """dX = v(t, X) dt + √(2D(t)) dW with piecewise-constant weights, as parameters A (K, d, m), W (K, m, d), b (K, m).

    `f` and `g` serve torchsde (`sde_type` Itô, `noise_type` diagonal); `forward(t, x)`, the drift, torchdiffeq. Times
    run from 0 to T; a time on the edge of two pieces belongs to the later one. Let the steps end at `times`.
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
        """diffusivity: D(t) = ηD₀(t) in length²/time. dtype: of the parameters, PyTorch's default if not given."""
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
        self.register_buffer("low", tensor([low for low, _ in network.box]))
        self.register_buffer("high", tensor([high for _, high in network.box]))
        self.diffusivity = diffusivity
        self.walls = walls
        self.network = network

    def forward(self, t: Tensor | float, x: Tensor) -> Tensor:
        """The drift at time t and points x (…, d), of the same shape."""
        piece = self.piece_at(t)
        drift = self.network.drift(self.fold(x), self.A[piece], self.W[piece], self.b[piece])
        if self.walls != "reflecting":
            return torch.as_tensor(drift)
        length = self.high - self.low
        turned = (x - self.low).remainder(2.0 * length) > length
        return torch.where(turned, -drift, drift)

    def f(self, t: Tensor | float, x: Tensor) -> Tensor:
        """The drift, by the name that torchsde gives it."""
        return self.forward(t, x)

    def g(self, t: Tensor | float, x: Tensor) -> Tensor:
        """The diagonal of the diffusion √(2D(t)), shape of x; before 0 and after T as there."""
        time = min(max(float(t), float(self.times[0])), float(self.times[-1]))
        return torch.full_like(x, math.sqrt(2.0 * self.diffusivity.at(time)))

    def fold(self, x: Tensor) -> Tensor:
        """Points of free space (…, d) as points of the box; unchanged where the walls absorb."""
        if self.walls == "absorbing":
            return x
        return wrap(x, self.low, self.high) if self.walls == "periodic" else fold(x, self.low, self.high)

    def piece_at(self, t: Tensor | float) -> int:
        """The piece that holds time t; the first before 0, the last from T on."""
        time = torch.as_tensor(t, dtype=self.times.dtype, device=self.times.device)
        number = int(torch.searchsorted(self.times, time, right=True)) - 1
        return min(max(number, 0), len(self.A) - 1)
