"""What a file is: said of one that was given where another kind is needed.

Comes in: a path. Goes out: a few words, from the first bytes alone or, of NetCDF, from what it says of itself; nothing
of the content. Reads little, parses nothing, and imports nothing heavy, for it is asked only when something went wrong.
"""

from __future__ import annotations

import re
from pathlib import Path

from controlsde.foundation.plain_files import UnreadableError, read_head

FOLDER, EMPTY, DEVICE = "a folder", "an empty file", "no ordinary file"
PROBLEM, TEXT = "a problem file", "text"
RESULT, SIMULATION, CONTROLS, NETCDF = "a result", "a simulation", "controls", "a NetCDF file"
WEIGHTS, ONNX = "weights (safetensors)", "an ONNX graph"

SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"GIF8": "a picture (GIF)",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "an archive (zip, as .npz and .pt are)",
    b"\x93NUMPY": "an array of NumPy (.npy)",
    b"\x1f\x8b": "a compressed file (gzip)",
    b"CDF": "a NetCDF file of an older kind",
}
HDF5 = b"\x89HDF\r\n\x1a\n"
FORMATS = {"controlsde-result": RESULT, "controlsde-simulation": SIMULATION, "controlsde-controls": CONTROLS}
LOOKED_AT = 65_536  # bytes of a text or of a header
SEARCHED = 2**26  # bytes of a NetCDF file, for its name


def kind_of(path: Path) -> str | None:
    """What the file at a path is, in words that follow "that is"; None where it is nothing that is known here."""
    if path.is_dir():
        return FOLDER
    if not path.is_file():
        return DEVICE
    try:
        head = read_head(path, LOOKED_AT)
        if head.startswith(HDF5):
            return _kind_of_netcdf(read_head(path, SEARCHED))
    except UnreadableError:
        return None
    known = next((kind for signature, kind in SIGNATURES.items() if head.startswith(signature)), None)
    return known or _kind_of_other(path, head)


def no_problem(path: Path) -> str | None:
    """What a file is that cannot be a problem: it holds no text; None where it may be one."""
    kind = kind_of(path) if path.is_file() else None
    return None if kind in (PROBLEM, TEXT, EMPTY) else kind


def _kind_of_netcdf(content: bytes) -> str:
    return next((kind for name, kind in FORMATS.items() if name.encode() in content), NETCDF)


def _kind_of_other(path: Path, head: bytes) -> str | None:
    if not head:
        return EMPTY
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32:
        return WEIGHTS
    if path.suffix == ".onnx":
        return ONNX
    if b"\0" in head:
        return None
    try:
        text = head.decode("utf-8-sig") if len(head) < LOOKED_AT else head[:-4].decode("utf-8-sig", errors="ignore")
    except UnicodeDecodeError:
        return None
    posed = all(re.search(rf"^{key}\s*:", text, re.MULTILINE) for key in ("domain", "reference"))
    return PROBLEM if posed or path.suffix in (".yaml", ".yml") else TEXT
