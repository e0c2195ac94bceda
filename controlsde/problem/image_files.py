"""Pixels out of picture files: the `file` of a density of kind image becomes its `pixels`.

Any picture that Pillow opens will do: PNG, PGM, JPEG, … but no drawing that another program would have to render.
What is transparent is seen on white, colours become greys, and a picture of more than 128 pixels on an axis is averaged
down to that. How many pixels there are is asked before they are unpacked.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controlsde.problem.density_specs import MAX_PIXELS
from controlsde.problem.file_content import UnusableError, content

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 16_000_000  # of a file; to unpack one takes some bytes a pixel
STRIP = 64  # rows
DRAWINGS = ("EPS", "WMF")  # what other programs would have to run for
# What Pillow raises for files that are broken, or made to break it.
BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, AttributeError, MemoryError,
    NotImplementedError, struct.error, zlib.error,
)  # fmt: skip

DEEP = ("I", "I;16", "I;16B", "I;16L")  # Pillow's names for greys of sixteen bits


def names_a_file(density: Any) -> bool:
    """Say whether a density names a picture; other mistakes are for the schema to tell."""
    if not isinstance(density, dict) or density.get("kind") != "image" or "pixels" in density:
        return False
    return isinstance(density.get("file"), str)


def read_pixels(path: Path, named: str) -> list[list[int]]:
    """Return the rows of a picture, the first at the top, as greys from 0, black, to 255, white.

    Raises `UnusableError` saying what is wrong.
    """
    from PIL import Image

    data = content(path, named)
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise UnusableError(("file",), f"{named!r} has too many pixels; {MAX_PIXELS} an axis are enough")
            if picture.format in DRAWINGS:
                raise UnusableError(("file",), f"{named!r} is a drawing; save it as PNG")
            greys = _shrunk(_grey(picture))
    except UnusableError:
        raise
    except Image.DecompressionBombError:
        raise UnusableError(("file",), f"{named!r} has too many pixels; {MAX_PIXELS} an axis are enough") from None
    except BROKEN:
        raise UnusableError(("file",), f"{named!r} is not a picture that can be read; save it as PNG") from None
    values = list(greys.tobytes())
    if min(values) == max(values):
        reason = f"{named!r} has the same grey everywhere: a picture needs two; or use kind: uniform"
        raise UnusableError(("file",), reason)
    width = greys.width
    return [values[i : i + width] for i in range(0, len(values), width)]


def _grey(picture: Image) -> Image:
    """The picture in greys, strip by strip: a copy in colours of the whole would take many times its memory."""
    from PIL import Image

    picture.load()
    greys = Image.new("L", picture.size)
    for top in range(0, picture.height, STRIP):
        strip = picture.crop((0, top, picture.width, min(top + STRIP, picture.height)))
        greys.paste(_grey_strip(strip), (0, top))
    return greys


def _grey_strip(strip: Image) -> Image:
    from PIL import Image

    if strip.mode in DEEP:  # a plain conversion would cut off at 255
        return strip.convert("I").point(lambda grey: grey * (1 / 257)).convert("L")
    seen = strip.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("L")


def _shrunk(picture: Image) -> Image:
    from PIL import Image

    size = min(picture.width, MAX_PIXELS), min(picture.height, MAX_PIXELS)
    return picture.resize(size, Image.Resampling.BOX)
