"""Weights in a safetensors file: arrays that any language reads, and words that say what they are for.

Comes in: A (K, d, m), W (K, m, d), b (K, m), times (K+1,), in float64, and what is to be known of their network. Goes
out: one file, written whole or not at all. Safetensors holds arrays and strings and nothing that could run.

A file without such words, or in another precision, is read, too: whoever trains weights elsewhere need only name them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from controlsde.files import atomic_file

if TYPE_CHECKING:
    from controlsde.network import Network

Array = NDArray[np.float64]

SUFFIX = ".safetensors"
FORMAT = "controlsde-weights"
FORMAT_VERSION = "1"
NAMES = ("A", "W", "b", "times")


class WeightsFileError(ValueError):
    """A file that is no safetensors file, is cut short, or lacks arrays; one line, without the file's name."""


def network_words(network: Network, walls: str, noise: float) -> dict[str, str]:
    """What weights alone do not say: activation, tangential (true | false), walls, box and η as JSON."""
    return {
        "activation": network.activation,
        "tangential": json.dumps(network.tangential),
        "walls": walls,
        "box": json.dumps(network.box),
        "noise": json.dumps(noise),
    }


def write_weights(path: Path, arrays: Mapping[str, Array], words: Mapping[str, str]) -> None:
    """Write the arrays named in `NAMES`, and words among the file's metadata. Raises OSError where it cannot."""
    from safetensors.numpy import save

    content = save(
        {name: np.ascontiguousarray(arrays[name], dtype=np.float64) for name in NAMES},
        metadata={"format": FORMAT, "format_version": FORMAT_VERSION, **words},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def read_weights(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Arrays in float64 by name, and the words beside them; none where the file came from elsewhere.

    Raises WeightsFileError for a file of another kind or version, one that is cut short, or one that lacks an array.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            words = dict(file.metadata() or {})
            missing = [name for name in NAMES if name not in file.keys()]  # noqa: SIM118 - not a dictionary
            if words.get("format") == FORMAT and words.get("format_version") != FORMAT_VERSION:
                raise WeightsFileError(
                    f"written in format {words.get('format_version')}, this version reads {FORMAT_VERSION}; "
                    "save the weights again"
                )
            if missing:
                raise WeightsFileError(f"holds no controls ({', '.join(missing)} missing)")
            return {name: np.asarray(file.get_tensor(name), dtype=float) for name in NAMES}, words
    except (SafetensorError, OSError, TypeError, KeyError, AttributeError, MemoryError, UnicodeDecodeError):
        raise WeightsFileError("not a readable safetensors file (cut short, or of another kind)") from None
