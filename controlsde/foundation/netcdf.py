"""NetCDF files as bytes, with a seal: a SHA-256 of everything in the file, behind its last byte.

Comes in: a dataset to write, or a path and the names of the arrays to read. Goes out: bytes; or plain data. HDF5 takes
bytes behind the end of a file for nothing, so that every program reads a sealed file; one that changes it drops the
seal. A seal is compared before anything else looks at the bytes, so that no parser sees what a disk or a hand changed.

A file without a seal, from an earlier version or from elsewhere, is read with care: sizes are compared with what is
there before memory is asked for, and only arrays of numbers are taken.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import h5py
    import xarray as xr

Array = NDArray[np.float64]

SEAL = b"\ncontrolsde sha256 "  # then 64 hexadecimal digits and the end of a line
SEALED = "seal"  # the attribute of a file that has one
SEAL_BYTES = len(SEAL) + 65
HEAP = b"GCOL"
CHUNK, MOST_SEARCHED = 2**20, 2**28  # bytes
SIGNATURE = b"\x89HDF\r\n\x1a\n"
MOST_INFLATED = 1032  # deflate makes no more of a byte
NOTHING: Mapping[str, Any] = MappingProxyType({})
PARSING = (OSError, RuntimeError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


class NetcdfError(ValueError):
    """A file that is no NetCDF file, is cut short or was changed; a few words, without the file's name."""


class ChangedError(NetcdfError):
    """A file that no longer is what was written."""

    def __init__(self) -> None:
        super().__init__("was changed since it was written, or is damaged")


@dataclass(frozen=True, eq=False)
class Stored:
    """What a file holds: attributes, arrays in float64 by name, and the digest of its seal; None where it has none."""

    attributes: dict[str, Any]
    arrays: dict[str, Array]
    digest: str | None


def to_bytes(data: xr.Dataset) -> tuple[bytes, str]:
    """A dataset as a sealed NetCDF file, and the digest of its seal."""
    import h5netcdf
    from xarray.backends import H5NetCDFStore

    stream = io.BytesIO()
    with h5netcdf.File(stream, "w") as file:
        data.assign_attrs({SEALED: "sha256"}).dump_to_store(H5NetCDFStore(file))
    with stream.getbuffer() as content:
        seal, digest = seal_of(content)
    stream.seek(0, io.SEEK_END)
    stream.write(seal)  # not after it is copied: paths of particles fill gigabytes
    return stream.getvalue(), digest


def seal_of(content: bytes | memoryview) -> tuple[bytes, str]:
    """The seal that belongs behind a file, and the digest in it."""
    digest = hashlib.sha256(content).hexdigest()
    return SEAL + digest.encode() + b"\n", digest


def digest_of(stream: BinaryIO) -> str | None:
    """The digest in the seal of a file; None where there is no seal. Raises ChangedError where it does not fit."""
    length = stream.seek(0, os.SEEK_END) - SEAL_BYTES
    if length < 0:
        return None
    stream.seek(length)
    seal = stream.read()
    if not seal.startswith(SEAL):
        return None
    stream.seek(0)
    digest, left = hashlib.sha256(), length
    while left and (chunk := stream.read(min(left, CHUNK))):
        digest.update(chunk)
        left -= len(chunk)
    found = digest.hexdigest()
    if seal != SEAL + found.encode() + b"\n":
        raise ChangedError
    return found


def _refuse_endless_heaps(stream: BinaryIO) -> None:
    """Refuse a heap of texts whose free space has no length: HDF5 goes through it for ever.

    A collection is "GCOL", a version, its size in 8 bytes; then objects, each with an index in 2 bytes (0: free space),
    6 bytes more, and its size in 8 bytes.
    """
    stream.seek(0)
    content = stream.read(MOST_SEARCHED)
    start = content.find(HEAP)
    while start >= 0:
        end = min(start + int.from_bytes(content[start + 8 : start + 16], "little"), len(content))
        place = start + 16
        while place + 16 <= end:
            index = int.from_bytes(content[place : place + 2], "little")
            size = int.from_bytes(content[place + 8 : place + 16], "little")
            if index == 0 and size < 16:
                raise NetcdfError("is damaged")
            place += size if index == 0 else 16 + -(-size // 8) * 8
        start = content.find(HEAP, start + 4)


def read(path: Path, names: Sequence[str], of: Mapping[str, Any] = NOTHING) -> Stored:
    """The attributes of a file, and those of the named arrays that it has.

    of: attributes that the file must have for its arrays to be read; where it has others, none are.

    Raises ChangedError where the seal does not fit or is gone, NetcdfError for a file of another kind or one that is
    damaged, OSError where it cannot be opened.
    """
    with path.open("rb") as stream:
        if stream.read(len(SIGNATURE)) != SIGNATURE:
            raise NetcdfError("is no NetCDF file")
        digest = digest_of(stream)
        if digest is None:
            _refuse_endless_heaps(stream)
    try:
        return _parsed(path, names, of, digest)
    except NetcdfError:
        raise
    except MemoryError:
        raise NetcdfError("is larger than the memory") from None
    except PARSING:
        raise NetcdfError("is cut short or damaged") from None


def _parsed(path: Path, names: Sequence[str], of: Mapping[str, Any], digest: str | None) -> Stored:
    import h5py

    with h5py.File(path, "r", locking=False) as file:
        attributes = {name: _plain(file.attrs[name]) for name in file.attrs}
        if any(attributes.get(name) != value for name, value in of.items()):
            return Stored(attributes, {}, digest)
        if digest is None and SEALED in attributes:
            raise ChangedError
        return Stored(attributes, {name: _array(file, name) for name in names if name in file}, digest)


def _plain(value: Any) -> Any:
    """An attribute as text or as a number."""
    if (isinstance(value, np.ndarray) and value.size == 1) or isinstance(value, np.generic):
        value = value.item()
    return value.decode() if isinstance(value, bytes) else value


def _array(file: h5py.File, name: str) -> Array:
    """A variable in float64. Raises NetcdfError before memory is asked for that the file cannot fill."""
    import h5py

    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise NetcdfError(f"takes {name} from elsewhere")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "fiu":
        raise NetcdfError(f"holds {name}, which is no array of numbers")
    if dataset.external or dataset.is_virtual:
        raise NetcdfError(f"takes {name} from elsewhere")
    held = dataset.id.get_storage_size()
    if dataset.nbytes > held * (1 if dataset.chunks is None else MOST_INFLATED):
        raise NetcdfError(f"holds {held} bytes of {name}, which claims {dataset.nbytes}")
    return np.asarray(dataset[()], dtype=np.float64)
