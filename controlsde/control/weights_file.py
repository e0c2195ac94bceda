"""Weights in a safetensors file: arrays that any language reads, and words that say what they are for.

Comes in: A (K, d, m), W (K, m, d), b (K, m), times (K+1,), in float64, and what is to be known of their network. Goes
out: one file, written whole or not at all. Safetensors holds arrays and strings and nothing that could run.

A file without such words, or in another precision, is read, too: whoever trains weights elsewhere need only name them.

Among the words is a digest: the SHA-256 of the whole file, with 64 zeros where it stands itself. A file that it does
not fit was changed, and is refused. Files of earlier versions have none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.files import write_whole

if TYPE_CHECKING:
    from controlsde.control.network import Network

Array = NDArray[np.float64]

SUFFIX = ".safetensors"
FORMAT = "controlsde-weights"
FORMAT_VERSION = "1"
NAMES = ("A", "W", "b", "times")
SEALED, DIGEST = "seal", "digest"  # words: that there is a digest, and the digest
UNKNOWN = "0" * 64


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

    tensors = {name: np.ascontiguousarray(arrays[name], dtype=np.float64) for name in NAMES}
    own = {"format": FORMAT, "format_version": FORMAT_VERSION, SEALED: "sha256", DIGEST: UNKNOWN}
    content = save(tensors, metadata={**words, **own})
    write_whole(path, content.replace(_entry(UNKNOWN), _entry(_digest_of(content, UNKNOWN)), 1))


def _entry(digest: str) -> bytes:
    """The digest as the file's header has it. In no other word: there, quotes stand behind a backslash."""
    return f'"{DIGEST}":"{digest}"'.encode()


def _digest_of(content: bytes, written: str) -> str:
    """The SHA-256 of a file that says of itself that it is `written`."""
    return hashlib.sha256(content.replace(_entry(written), _entry(UNKNOWN), 1)).hexdigest()


def _refuse_changed(path: Path, words: Mapping[str, str]) -> None:
    if SEALED in words or DIGEST in words:
        written = words.get(DIGEST, "")
        if len(written) != len(UNKNOWN) or _digest_of(path.read_bytes(), written) != written:
            raise WeightsFileError("was changed since it was written, or is damaged; take a copy that is whole")


def is_without_digest(words: Mapping[str, str]) -> bool:
    """Whether an earlier version wrote this file: nobody can tell whether it is as it was written."""
    return words.get("format") == FORMAT and DIGEST not in words


def read_weights(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Arrays in float64 by name, and the words beside them; none where the file came from elsewhere.

    Raises WeightsFileError for a file of another kind or version, one that is cut short, or one that lacks an array.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            words = dict(file.metadata() or {})
            _refuse_changed(path, words)
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
