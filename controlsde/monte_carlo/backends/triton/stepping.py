"""All steps of a network's particles in one kernel on a CUDA device, and their sums without a position in memory.

Comes in: a `Process` whose drift is a network, positions of particles that are numbered one after another. Goes out:
positions at T, or sums of whole numbers over them. The device code is `kernels.py`, which alone needs Triton; here
are its tables, the choice of its constants, and its launches.

Under Triton's interpreter (the environment variable TRITON_INTERPRET=1 before Triton is imported) the device "cpu" runs
the same kernels, slowly, with exact functions in place of the chip's approximate ones.
"""

from __future__ import annotations

import math
import os
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from controlsde.monte_carlo.philox import LANES, LOW, Stream
from controlsde.monte_carlo.process import BoxNetwork, Positions, Process
from controlsde.monte_carlo.sums import ONE

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]
Whole = NDArray[np.int64]

WIDEST_NETWORK = 16  # the largest d and m: beyond, a thread has too few registers for a particle
HELD = 24  # numbers of a piece that stay in registers from step to step; more are fetched again
WARP = 32
INTERPRETED = 256  # particles of a program under the interpreter, which counts operations, not numbers
LAUNCH = 2**24  # particles, at most, of one launch
COPIES = 64  # of the sums: programs that end together seldom add to the same address
UNIT = 1.0 / ONE  # of the sums
LOG2_E = math.log2(math.e)


@dataclass(frozen=True, eq=False)
class Reduced:
    """Sums over the particles alive at T, of their box coordinates z ∈ [−1, 1]ᵈ. Sums of parts add up.

    Every term is a whole number of `UNIT`s, rounded particle by particle, so that sums depend on no order.

    count: particles that started. alive: at T; for d = 1 without those whose place is no number. histogram: (d, bins),
    of equal bins of [−1, 1] on each axis. powers: (4, d), Σ z_i^p for p = 1 … 4. products: (2, d, d), Σ z_i z_j and
    Σ z_i² z_j². waves: (d, modes), Σ cos kθ_i with θ = π(z + 1)/2, k = 0 … modes − 1, of which the rounding grows as
    k·10⁻⁷.
    """

    count: int
    alive: int
    histogram: Whole
    powers: Whole
    products: Whole
    waves: Whole

    def __add__(self, other: Reduced) -> Reduced:
        return Reduced(
            self.count + other.count,
            self.alive + other.alive,
            self.histogram + other.histogram,
            self.powers + other.powers,
            self.products + other.products,
            self.waves + other.waves,
        )


def obstacle(process: Process) -> str | None:
    """Why this process cannot run on a CUDA device here, in one sentence; None where it can."""
    network = process.network
    if network is None:
        return "the CUDA kernel simulates network drifts alone, and this drift is none"
    if max(process.dimension, network.b.shape[1]) > WIDEST_NETWORK:
        return f"the CUDA kernel takes dimensions and widths up to {WIDEST_NETWORK}"
    if find_spec("triton") is None:
        return "Triton is not installed: pip install 'controlsde[cuda]'"
    import torch

    if not torch.cuda.is_available() and not _interpreted():
        return "PyTorch finds no CUDA device"
    return None


def simulate(
    process: Process, stream: Stream, first: int, start: NDArray[np.floating], device: str = "cuda"
) -> Positions:
    """Move particles first, first + 1, … from start (n, d), in box coordinates, to the end."""
    precision = np.float32 if process.noisy else np.float64
    z, alive = np.empty(start.shape, precision), np.empty(len(start), bool)
    kernel = Kernel.of(process, stream, device)
    for low in range(0, len(start), LAUNCH):
        part = slice(low, low + LAUNCH)
        end, living = kernel.positions(first + low, start[part])
        z[part], alive[part] = end.cpu().numpy().T, living.cpu().numpy().astype(bool)
    return Positions(z, alive)


def reduce(
    process: Process,
    stream: Stream,
    first: int,
    start: NDArray[np.floating],
    device: str = "cuda",
    bins: int = 1024,
    modes: int = 128,
) -> Reduced:
    """Sums over the same particles as `simulate` gives, without their positions."""
    kernel = Kernel.of(process, stream, device)
    parts = [
        kernel.sums(first + low, start[low : low + LAUNCH], bins, modes) for low in range(0, max(len(start), 1), LAUNCH)
    ]
    row = np.sum([part.cpu().numpy() for part in parts], axis=(0, 1))
    return _reduced(row, len(start), process.dimension, bins, modes)


def _interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET", "0") == "1"


@dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel with its tables on a device: `kernels.walk` with noise, `flow` without."""

    device: str
    dimension: int
    precision: type[np.floating]
    block: int
    tables: tuple[Tensor, Tensor, Tensor]
    groups: int
    key: tuple[int, int]
    constants: dict[str, Any]

    @staticmethod
    def of(process: Process, stream: Stream, device: str) -> Kernel:
        """Raises ValueError where there is an obstacle."""
        import torch

        trouble = obstacle(process)
        if trouble:
            raise ValueError(trouble)
        network = process.network
        assert network is not None
        precision = np.float32 if process.noisy else np.float64
        fast = device != "cpu"
        constants = noisy_constants(process, fast) if process.noisy else flow_constants(process, fast)
        steps, piece = step_table(process, constants) if process.noisy else (process.clock.length, process.clock.piece)
        tables = (weight_table(network, constants["PIECE"]).astype(precision), steps.astype(precision), piece)
        return Kernel(
            device,
            process.dimension,
            precision,
            constants["BLOCK"],
            tuple(torch.from_numpy(np.ascontiguousarray(table)).to(device) for table in tables),  # type: ignore[arg-type]
            len(piece) // constants.get("UNROLL", 1),
            stream.words,
            constants,
        )

    def positions(self, first: int, start: NDArray[np.floating]) -> tuple[Tensor, Tensor]:
        """z (d, n) and who is alive (n,) at T, on the device."""
        return self.positions_from(first, self._begin(start))

    def positions_from(self, first: int, begin: Tensor) -> tuple[Tensor, Tensor]:
        """The same from positions (d, n) on the device."""
        import torch

        end = torch.empty_like(begin)
        living = torch.empty(begin.shape[1], dtype=torch.uint8, device=self.device)
        self._launch(first, begin, end, living, None, {"STORE": True, "COPIES": 0, "BINS": 1, "MODES": 1})
        return end, living

    def sums(self, first: int, start: NDArray[np.floating], bins: int, modes: int) -> Tensor:
        """The sums of `kernels.collect`, in COPIES parts: (COPIES, size), on the device."""
        return self.sums_from(first, self._begin(start), bins, modes)

    def sums_from(self, first: int, begin: Tensor, bins: int, modes: int) -> Tensor:
        """The same from positions (d, n) on the device."""
        import torch

        size = 1 + self.dimension * (bins + 4 + self.dimension - 1 + modes)
        sums = torch.zeros((COPIES, size), dtype=torch.int64, device=self.device)
        options = {"STORE": False, "COPIES": COPIES, "BINS": bins, "MODES": modes}
        self._launch(first, begin, None, None, sums, options)
        return sums

    def _begin(self, start: NDArray[np.floating]) -> Tensor:
        import torch

        return torch.from_numpy(np.ascontiguousarray(start.T, self.precision)).to(self.device)

    def _launch(
        self,
        first: int,
        begin: Tensor,
        end: Tensor | None,
        living: Tensor | None,
        sums: Tensor | None,
        options: dict[str, Any],
    ) -> None:
        """Launch one program for each block of particles; outputs that are not asked for get some address."""
        import torch

        from controlsde.monte_carlo.backends.triton import kernels

        count = begin.shape[1]
        if count == 0:
            return
        outputs = [begin if output is None else output for output in (end, living, sums)]
        counts = (count, self.groups)
        grid = (-(-count // self.block),)
        with torch.cuda.device(self.device) if self.device.startswith("cuda") else nullcontext():
            if "SCHEME" in self.constants:
                numbers = [_signed(word) for word in (first & LOW, first >> 32, *self.key)]
                kernels.walk[grid](
                    begin, *outputs, *self.tables, *counts, *numbers, 0, **self.constants, **options, num_warps=1
                )
            else:
                kernels.flow[grid](begin, *outputs, *self.tables, *counts, 0, **self.constants, **options, num_warps=1)


def noisy_constants(process: Process, fast: bool) -> dict[str, Any]:
    """What `kernels.walk` is compiled for, but what it gives back.

    BLOCK: more particles a thread share what is fetched and hide what an instruction waits for, as long as a
    multiprocessor has the registers for some 20 warps.
    """
    network = process.network
    assert network is not None
    d, m = process.dimension, network.b.shape[1]
    unroll = LANES // math.gcd(LANES, d)
    size = d + m * (2 * d + 1)
    small, middle = (0, 4) if process.scheme == "heun" else (2, 8)
    per_thread = 4 if max(d, m) <= small else 2 if max(d, m) <= middle else 1
    steps = np.bincount(process.clock.piece)
    return {
        "D": d,
        "M": m,
        "DRAWS": process.clock.draws,
        "SCHEME": process.scheme,
        "WALLS": process.walls,
        **_drift_constants(network),
        "UNROLL": unroll,
        "ALIGNED": bool(np.all(steps % unroll == 0)) and bool(np.all(np.diff(process.clock.piece) >= 0)),
        "HOLD": size <= HELD,
        "PIECE": _fours(size),
        "STEP": _fours(1 + d + process.clock.draws * d),
        "BLOCK": per_thread * WARP if fast else INTERPRETED,
        "FAST": fast,
    }


def flow_constants(process: Process, fast: bool) -> dict[str, Any]:
    """What `kernels.flow` is compiled for, but what it gives back."""
    network = process.network
    assert network is not None
    d, m = process.dimension, network.b.shape[1]
    return {
        "D": d,
        "M": m,
        "WALLS": process.walls,
        **_drift_constants(network),
        "PIECE": _fours(d + m * (2 * d + 1)),
        "BLOCK": WARP if fast else INTERPRETED,
    }


def _drift_constants(network: BoxNetwork) -> dict[str, Any]:
    logistic = network.activation in ("tanh", "sigmoid")
    return {"ACTIVATION": "logistic" if logistic else network.activation, "TANGENTIAL": network.tangential}


def weight_table(network: BoxNetwork, width: int) -> Array:
    """Rows (K, width) of the drift c + A σ′(W z + b) in the units of the chip, which knows powers of 2 and turns:

    tanh y = 2 s(2y log₂e) − 1,  sigmoid y = s(y log₂e)    with s(y) = 1/(1 + 2^−y)
    softplus y = log 2 · (max(y′, 0) + log₂(1 + 2^−|y′|))  with y′ = y log₂e
    sin y = sin 2πy′                                       with y′ = y/2π
    """
    inner, outer, offset = {
        "tanh": (2.0 * LOG2_E, 2.0, -1.0),
        "sigmoid": (LOG2_E, 1.0, 0.0),
        "softplus": (LOG2_E, math.log(2.0), 0.0),
        "sin": (0.5 / math.pi, 1.0, 0.0),
        "relu": (1.0, 1.0, 0.0),
    }[network.activation]
    pieces = len(network.b)
    neurons = np.concatenate(
        [inner * network.b[:, :, None], inner * network.w, outer * network.a.swapaxes(1, 2)], axis=2
    )  # (K, m, 2d + 1)
    constant = offset * network.a.sum(axis=2)
    rows = np.concatenate([constant, neurons.reshape(pieces, -1)], axis=1)
    return np.pad(rows, ((0, 0), (0, width - rows.shape[1])))


def step_table(process: Process, constants: dict[str, Any]) -> tuple[Array, NDArray[np.int32]]:
    """Rows (S′, STEP) of the steps and their pieces (S′,): S′ whole groups, of which the last may end with steps of
    no length and no noise, which move nothing."""
    clock = process.clock
    rows = np.concatenate([clock.length[:, None], process.deviation.reshape(clock.steps, -1), process.variance], axis=1)
    missing = -clock.steps % constants["UNROLL"]
    table = np.pad(rows, ((0, missing), (0, constants["STEP"] - rows.shape[1])))
    return table, np.pad(clock.piece, (0, missing), mode="edge")


def _reduced(row: Whole, count: int, d: int, bins: int, modes: int) -> Reduced:
    """Names for the parts of one row of sums."""
    pairs = d * (d - 1) // 2
    sizes = np.cumsum([1, d * bins, 4 * d, pairs, pairs])
    alive, histogram, powers, products, squares, waves = np.split(row, sizes)
    powers = powers.reshape(4, d)
    upper = np.triu_indices(d, 1)
    both = np.zeros((2, d, d), np.int64)
    for matrix, diagonal, rest in zip(both, powers[1::2], (products, squares), strict=True):
        matrix[upper] = rest
        matrix += matrix.T + np.diag(diagonal)
    return Reduced(count, int(alive[0]), histogram.reshape(d, bins), powers, both, waves.reshape(d, modes))


def _fours(size: int) -> int:
    """The next multiple of 4: rows begin where four numbers are fetched at once."""
    return -(-size // 4) * 4


def _signed(word: int) -> int:
    """A word of 32 bits as a signed number of the same bits."""
    return word - 2**32 if word >= 2**31 else word
