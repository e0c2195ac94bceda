"""The words keep up with the code."""

import re
from pathlib import Path

import pytest

from controlsde.problem import json_schema, parse_problem

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def blocks(language):
    """(page, number, text) of every fenced block of a language."""
    for page in PAGES:
        for number, found in enumerate(re.finditer(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)):
            yield pytest.param(found.group(1), id=f"{page.name}-{number}")


@pytest.mark.parametrize("text", list(blocks("yaml")))
def test_every_problem_on_a_page_is_valid(text):
    assert parse_problem(text).domain.box


@pytest.mark.parametrize("text", list(blocks("python")))
def test_every_python_example_compiles(text):
    compile(text, "example", "exec")


def test_the_example_of_the_differentiable_state_equation_runs():
    (text,) = (p.values[0] for p in blocks("python") if "Propagator" in p.values[0])
    namespace = {"print": lambda shape: namespace.setdefault("shape", tuple(shape))}
    exec(text, namespace)  # noqa: S102 - our own page
    assert namespace["shape"] == (15, 65, 1)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_every_key_of_a_problem_is_explained():
    text = (ROOT / "docs/problem-files.md").read_text("utf-8")
    schema = json_schema()
    missing = []
    for name, part in {"": schema, **schema["$defs"]}.items():
        for key in part.get("properties", {}):
            if not re.search(rf"\b{re.escape(key)}\b", text):
                missing.append(f"{name}.{key}")
    assert not missing


def test_the_checks_of_the_certificate_and_their_limits_are_explained():
    from controlsde.verification.certificate import LIMITS

    text = (ROOT / "docs/certificate.md").read_text("utf-8")
    for name, limit in LIMITS.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}`"))
        assert float(row.split("|")[2]) == limit
