"""The compiled library: the structures that both sides know, and what happens where it cannot be used."""

import ctypes
import re
from pathlib import Path

import pytest

from controlsde.compiled import library


@pytest.mark.parametrize("structure", [library.Line, library.Fronts])
def test_python_and_c_agree_on_the_structures_field_by_field(structure):
    name = structure.__name__
    text = Path(library.__file__).with_name(f"{name.lower()}.h").read_text(encoding="utf-8")
    declared = re.search(rf"typedef struct \{{(.*?)\}} {name};", text, re.DOTALL)[1]
    code = re.sub(r"/\*.*?\*/", "", declared, flags=re.DOTALL)
    fields = [
        (name.strip().lstrip("*"), ctypes.c_void_p if "*" in name else ctypes.c_int64)
        for line in code.split(";")
        if line.strip()
        for name in re.sub(r"^\s*(const )?(int64_t|double)\s*", "", line).split(",")
    ]
    assert fields == list(structure._fields_)


def test_loops_that_are_older_than_their_sources_are_not_used(monkeypatch):
    monkeypatch.setattr(library, "digest", lambda: "another")
    library.library.cache_clear()
    try:
        with pytest.warns(UserWarning, match="install the package again"):
            assert library.library() is None
    finally:
        library.library.cache_clear()


def test_loops_that_cannot_be_loaded_are_not_used(monkeypatch):
    def refuse(_):
        raise OSError("wrong ELF class")

    library.library.cache_clear()
    monkeypatch.setattr(library.ctypes, "CDLL", refuse)
    try:
        with pytest.warns(UserWarning, match="wrong ELF class"):
            assert library.library() is None
    finally:
        library.library.cache_clear()
