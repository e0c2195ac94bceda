"""Films as bytes: GIF and WebP by Pillow, MP4 by the program ffmpeg.

Comes in: how long each frame is shown, and a function that draws a frame. Goes out: the bytes of the file, to be
written in one step. Frames are drawn as they are wanted, so that a long film takes no more memory than a short one.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.errors import ControlsdeError
from controlsde.foundation.wording import shown

if TYPE_CHECKING:
    from PIL.Image import Image

Picture = NDArray[np.uint8]  # (height, width, 3)
Frame = Callable[[int], Picture]
Encoder = Callable[[Sequence[float], Frame], bytes]  # of durations in seconds, and what draws a frame

ENDINGS = (".gif", ".webp", ".mp4")
COLOURS = 256
BITS = 6  # of a channel, by which the nearest colour is looked up
LOOKED_AT = 5  # frames, of which the colours of a GIF are chosen
NEARLY_WHITE = 248  # of 255
HUNDREDTHS = 10  # milliseconds: what a GIF counts in
SHORTEST = 20  # milliseconds of a frame: viewers slow down what is shorter
QUALITY, EFFORT = 88, 2  # of WebP, of 100 and of 6
RATES = (1, 2, 4)  # times the mean rate, with which MP4 repeats frames that last longer
MOST_RATE = 60.0


class FilmError(ControlsdeError, ValueError):
    """A film that cannot be made as asked; one line with the cure."""


def encoder_of(path: Path) -> Encoder:
    """What makes a file of this ending. Raises FilmError for an unknown ending, and for .mp4 without ffmpeg."""
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        name = shown(str(path))
        raise FilmError(f"{name}: a film is a .gif, .webp or .mp4; give a name that ends so, such as {path.stem}.gif")
    if ending == ".mp4":
        program = ffmpeg()
        if program is None:
            raise FilmError(
                f"{shown(str(path))}: MP4 is made by the program ffmpeg, which is not here; install it (the package "
                f"ffmpeg of your system, or pip install imageio-ffmpeg), or write {shown(path.stem)}.gif or .webp"
            )
        return _Mp4(program)
    return _gif if ending == ".gif" else _webp


def ffmpeg() -> str | None:
    """Where the program ffmpeg is: on the path, or in the package imageio-ffmpeg; None where it is in neither."""
    if found := shutil.which("ffmpeg"):
        return found
    try:
        import imageio_ffmpeg
    except ImportError:
        return None
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:  # the package without a program for this machine
        return None


def milliseconds(durations: Sequence[float], unit: int) -> list[int]:
    """Whole numbers of a unit, each at least `SHORTEST`, such that no rounding adds up."""
    ends = np.cumsum([1000.0 * seconds for seconds in durations])
    rounded = unit * np.round(ends / unit).astype(int)
    return [max(int(each), SHORTEST) for each in np.diff(rounded, prepend=0)]


def _gif(durations: Sequence[float], frame: Frame) -> bytes:
    """A GIF with one palette for all frames, so that nothing flickers and what stands still is stored once."""
    from PIL import Image

    looked_at = sorted({*np.linspace(0, len(durations) - 1, LOOKED_AT).round().astype(int).tolist()})
    colours = _palette(np.concatenate([frame(number)[::2, ::2] for number in looked_at]))
    nearest = _nearest(colours)

    def pictures() -> Iterator[Image.Image]:
        for number in range(len(durations)):
            red, green, blue = (frame(number) >> (8 - BITS)).astype(np.uint32).transpose(2, 0, 1)
            picture = Image.fromarray(nearest[(red << 2 * BITS) | (green << BITS) | blue])
            picture.putpalette(colours.tobytes())
            yield picture

    return _by_pillow(pictures(), "GIF", duration=milliseconds(durations, HUNDREDTHS), optimize=False, disposal=1)


def _palette(sample: Picture) -> Picture:
    """The colours (COLOURS, 3) of which a film of such pictures is made; what is nearly white is white.

    A colour counts as the square root of its pixels: the darkest of an image fill few, and are what one looks at.
    """
    from PIL import Image

    red, green, blue = sample.astype(np.uint32).transpose(2, 0, 1)
    occurring, counts = np.unique((red << 16 | green << 8 | blue).ravel(), return_counts=True)
    weights = np.ceil(np.sqrt(counts)).astype(int)
    weighted = np.repeat(
        np.stack([occurring >> 16, occurring >> 8, occurring], axis=1).astype(np.uint8), weights, axis=0
    )[None]
    chosen = Image.fromarray(weighted).quantize(COLOURS, Image.Quantize.MEDIANCUT).getpalette() or []
    colours = np.zeros((COLOURS, 3), dtype=np.uint8)
    colours.ravel()[: len(chosen)] = chosen
    colours[(colours >= NEARLY_WHITE).all(axis=1)] = 255
    return colours


def _nearest(colours: Picture) -> NDArray[np.uint8]:
    """The number of the nearest colour for every colour of so many bits a channel: Pillow's own search is coarser."""
    from scipy.spatial import cKDTree

    levels = np.arange(2**BITS) * 255.0 / (2**BITS - 1)
    every = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(cKDTree(colours.astype(float)).query(every)[1], dtype=np.uint8)


def _webp(durations: Sequence[float], frame: Frame) -> bytes:
    """A WebP whose frames are whole pictures: as differences to the one before, smooth shades become blocks."""
    from PIL import Image

    pictures = (Image.fromarray(frame(number)) for number in range(len(durations)))
    return _by_pillow(pictures, "WEBP", duration=milliseconds(durations, 1), quality=QUALITY, method=EFFORT, kmax=1)


def _by_pillow(pictures: Iterator[Image], kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    next(pictures).save(stream, kind, save_all=True, append_images=pictures, loop=0, **options)
    return stream.getvalue()


class _Mp4:
    """MP4 by ffmpeg: its own default codec (H.264 where it has it), in the colours that every player knows."""

    def __init__(self, program: str) -> None:
        self._program = program

    def __call__(self, durations: Sequence[float], frame: Frame) -> bytes:
        """Pipe the frames to ffmpeg, which writes to a folder of its own: its format needs a file to go back in."""
        rate, repeats = steady(durations)
        first = frame(0)
        height, width, _ = first.shape
        with tempfile.TemporaryDirectory(prefix="controlsde-") as folder:
            target = Path(folder) / "film.mp4"
            words = [self._program, "-hide_banner", "-loglevel", "error", "-y"]
            words += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{rate:g}", "-i", "-"]
            words += ["-an", "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(target)]
            with tempfile.TemporaryFile() as errors:
                process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors)
                try:
                    self._feed(process, frame, repeats)
                    code = process.wait()
                except BaseException:
                    process.kill()
                    process.wait()
                    raise
                errors.seek(0)
                said = errors.read().decode("utf-8", "replace").split("\n")[0]
            if code or not target.exists():
                raise FilmError(f"ffmpeg made no film ({shown(said) or f'it ended with {code}'}); write .gif or .webp")
            return target.read_bytes()

    @staticmethod
    def _feed(process: subprocess.Popen[bytes], frame: Frame, repeats: Sequence[int]) -> None:
        assert process.stdin is not None
        try:
            for number, times in enumerate(repeats):
                picture = frame(number).tobytes()
                for _ in range(times):
                    process.stdin.write(picture)
            process.stdin.close()
        except BrokenPipeError:  # ffmpeg has ended, and says why
            pass


def steady(durations: Sequence[float]) -> tuple[float, list[int]]:
    """A rate in frames a second, and how often each frame is repeated at it, so that all last nearly as they should."""
    shown_for = np.asarray(durations[:-1] or durations)
    mean = 1.0 / float(np.mean(shown_for))
    for times in RATES:
        rate = times * mean
        exact = np.asarray(durations) * rate
        if np.allclose(exact[:-1], np.round(exact[:-1]), atol=0.02) or 2 * rate > MOST_RATE:
            break
    ends = np.round(np.cumsum(exact)).astype(int)
    return rate, [max(int(each), 1) for each in np.diff(ends, prepend=0)]
