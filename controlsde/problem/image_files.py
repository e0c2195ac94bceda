"""Pixels out of picture files: the `file` of a density of kind image becomes its `pixels`.

Any picture that Pillow opens will do: PNG, PGM, JPEG, … What is transparent is seen on white, colours become
greys, and a picture of more than 128 pixels on an axis is averaged down to that.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controlsde.problem.data_files import UnusableError, readable
from controlsde.problem.density_specs import MAX_PIXELS

if TYPE_CHECKING:
    from PIL.Image import Image

DEEP = ("I", "I;16", "I;16B", "I;16L")  # Pillow's names for greys of sixteen bits


def names_a_file(density: Any) -> bool:
    """Say whether a density names a picture; other mistakes are for the schema to tell."""
    if not isinstance(density, dict) or density.get("kind") != "image" or "pixels" in density:
        return False
    return isinstance(density.get("file"), str)


def read_pixels(path: Path, shown: str) -> list[list[int]]:
    """Return the rows of a picture, the first at the top, as greys from 0, black, to 255, white.

    Raises `UnusableError` saying what is wrong.
    """
    from PIL import Image

    with readable(path, shown):
        content = path.read_bytes()
    try:
        with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
            greys = _shrunk(_grey(Image.open(io.BytesIO(content))))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnusableError(("file",), f"{shown!r} has too many pixels; {MAX_PIXELS} an axis are enough") from None
    except (OSError, SyntaxError, ValueError):  # Pillow's words for what it cannot make out
        raise UnusableError(("file",), f"{shown!r} is not a picture that can be read; save it as PNG") from None
    values = list(greys.tobytes())
    if min(values) == max(values):
        reason = f"{shown!r} has the same grey everywhere: a picture needs two; or use kind: uniform"
        raise UnusableError(("file",), reason)
    width = greys.width
    return [values[i : i + width] for i in range(0, len(values), width)]


def _grey(picture: Image) -> Image:
    from PIL import Image

    if picture.mode in DEEP:  # a plain conversion would cut off at 255
        return picture.convert("I").point(lambda grey: grey * (1 / 257)).convert("L")
    seen = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("L")


def _shrunk(picture: Image) -> Image:
    from PIL import Image

    size = min(picture.width, MAX_PIXELS), min(picture.height, MAX_PIXELS)
    return picture.resize(size, Image.Resampling.BOX)
