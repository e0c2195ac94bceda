"""Data out of the files that a problem names: the rows of a CSV file, the pixels of a picture.

In: a document and the folder that files are relative to. Out: the document with the data in place of the
file, so that a resolved problem stands by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from controlsde.problem import image_files, sample_files
from controlsde.problem.file_content import UnusableError
from controlsde.problem.sample_specs import ALL
from controlsde.problem.values import Location, dotted
from controlsde.problem.yaml_text import Document

PLACES: tuple[Location, ...] = (("reference", "data"), ("reference", "from"), ("reference", "to"))


def fill_in(document: Document, folder: Path, places: tuple[Location, ...] = PLACES) -> frozenset[Location]:
    """Read the files that the document's densities name, and put what is in them in their place.

    places: where there may be densities. What cannot be read becomes a fault. Returns the locations of the `file` keys
    that stay unread, and of the columns that nobody can know then.
    """
    unread: set[Location] = set()
    domain: Any = document.data.get("domain") if isinstance(document.data, dict) else None
    free = isinstance(domain, dict) and domain.get("space") == "free"
    for where in places:
        density: Any = document.data
        for step in where:
            density = density.get(step) if isinstance(density, dict) else None
        try:
            if sample_files.names_a_file(density, free=free):
                columns = density.get("columns", ALL)
                read = sample_files.read_points(folder / density["file"], density["file"], columns)
                density.update(points=read.points, columns=read.columns)
            elif image_files.names_a_file(density):
                density["pixels"] = image_files.read_pixels(folder / density["file"], density["file"])
            else:
                continue
        except UnusableError as error:
            location = (*where, *error.key)
            document.faults.append(f"{document.place(location).value}: {dotted(location)} {error}")
            unread |= {(*where, "file"), (*where, "columns")}
        else:
            del density["file"]
    return frozenset(unread)
