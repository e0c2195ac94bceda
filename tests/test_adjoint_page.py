"""The page on the discrete adjoint, and the glossary: what they show runs, and what they name is there."""

import re
from functools import reduce
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/adjoint.md").read_text("utf-8")
CONVENTIONS = (ROOT / "docs/conventions.md").read_text("utf-8")
WORDS = (ROOT / "docs/glossary.md").read_text("utf-8")
TERMS = WORDS.partition("## Terms")[2].partition("\n## ")[0]
GLOSSARY = re.findall(r"^\| (.*?) \| (.*) \| (.*) \|$", TERMS, re.MULTILINE)[1:]


def test_the_pages_example_agrees_with_a_central_difference():
    (text,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    printed = []
    namespace = {"print": lambda *values: printed.append(values)}
    exec(text, namespace)  # noqa: S102 - our own page
    (value, slope, disagreement), (shape,) = printed
    assert abs(disagreement) < 1e-6
    assert (round(value, 5), round(slope, 5)) == (0.17669, -0.00933)
    assert shape == (4, 37)
    expansion = namespace["expansion"]
    assert expansion.value == value
    assert expansion.hessian.shape == expansion.gauss_newton.shape == (12, 12)


def test_every_function_in_the_table_of_the_adjoint_is_in_its_file():
    rows = re.findall(r"^\| .* \| `(controlsde/\S+)\.py`.* \| (.*) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 12
    for path, names in rows:
        module = import_module(path.replace("/", "."))
        for name in re.findall(r"`([^`]+)`", names):
            assert callable(reduce(getattr, name.split("."), module)), name


@pytest.mark.parametrize("text", [PAGE, CONVENTIONS, WORDS], ids=["adjoint", "conventions", "glossary"])
def test_every_file_that_a_page_names_exists(text):
    for path in re.findall(r"`((?:controlsde|solvers|tests|problems|docs)/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path


def test_the_glossary_is_alphabetical_and_explains_a_word_once():
    terms = [re.sub(r"[^a-z ,]", "", term.lower()).strip() for term, *_ in GLOSSARY]
    assert len(terms) >= 40
    assert terms == sorted(set(terms))
    assert all(meaning.strip() and where.strip() for _, meaning, where in GLOSSARY)
