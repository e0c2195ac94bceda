"""The words keep up with the code."""

import re
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

import controlsde as cs
from controlsde.problem import json_schema, parse_problem

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def blocks(language):
    """(page, number, text) of every fenced block of a language."""
    for page in PAGES:
        for number, found in enumerate(re.finditer(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)):
            yield pytest.param(found.group(1), id=f"{page.name}-{number}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_source_that_a_page_names_exists(page):
    named = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)+\.py)`", page.read_text("utf-8")))
    assert all((ROOT / name).exists() or (ROOT / "controlsde" / name).exists() for name in named), sorted(named)


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


def test_the_examples_with_other_libraries_run_one_after_the_other(tmp_path, monkeypatch):
    shapes = {"A": (2, 1, 1), "W": (2, 1, 1), "b": (2, 1)}
    rng = np.random.default_rng(0)
    controls = cs.Controls(**{name: rng.normal(size=shape) for name, shape in shapes.items()}, times=[0, 0.75, 1.5])
    few = {"monte_carlo.particles": 500, "mesh.elements": [4], "mesh.degree": 4, "controls.pieces": 2}
    monkeypatch.chdir(tmp_path)
    given = cs.evaluate(cs.load_problem("two-bumps", set=few), controls).save("out/result.nc")
    namespace = {}
    examples = [p.values[0] for p in blocks("python") if p.id.startswith("interop.md-")]
    for text in examples:
        exec(text, namespace)  # noqa: S102 - our own page
    assert len(examples) == 7
    assert namespace["process"].A.grad.abs().min() > 0
    assert namespace["paths"].shape == (3, 100, 1)
    np.testing.assert_allclose(namespace["fixed"], namespace["shorter"], rtol=1e-12)
    np.testing.assert_allclose(namespace["fixed"], namespace["adaptive"], atol=1e-4)
    assert float(namespace["t"]) == 1.5
    assert np.abs(namespace["x"]).max() <= 5
    assert namespace["again"].tracking == given.tracking
    np.testing.assert_array_equal(cs.Controls.load("trained.safetensors").times, controls.times)


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


def written_default(cell):
    """The default in a cell of the table of keys, as YAML reads it; None where the cell holds words."""
    plain = cell.strip().strip("`")
    return None if not plain or "required" in plain or " " in plain else YAML(typ="safe").load(plain)


def test_the_defaults_in_the_table_are_the_real_ones():
    text = (ROOT / "docs/problem-files.md").read_text("utf-8")
    resolved = parse_problem(
        "domain: {box: [[-5, 5]]}\n"
        "reference: {kind: reversed-diffusion, horizon: 1, data: {kind: mixture, means: [0], stds: [0.5]}}"
    ).model_dump(by_alias=True)
    compared = 0
    for key, cell in re.findall(r"^\| `([a-z_.]+)` \| ([^|]*) \|", text, re.MULTILINE):
        wanted, value = written_default(cell), resolved
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if wanted is None or value is None:  # words, or a key of another kind of reference
            continue
        if key == "reference.forward":
            value = value["kind"]
        assert float(wanted) == value if isinstance(value, float) else wanted == value, key
        compared += 1
    assert compared >= 20


def test_the_checks_of_the_certificate_and_their_limits_are_explained():
    from controlsde.verification.certificate import LIMITS

    text = (ROOT / "docs/certificate.md").read_text("utf-8")
    for name, limit in LIMITS.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}`"))
        assert float(row.split("|")[2]) == limit


def test_every_cause_of_a_failure_is_explained():
    text = (ROOT / "docs/when-it-fails.md").read_text("utf-8")
    named = set()
    for page in sorted((ROOT / "controlsde/diagnosis").glob("of_*.py")):
        named |= set(re.findall(r'Diagnosis\(\s*"([a-z-]+)"', page.read_text("utf-8")))
    assert {"mesh", "steps", "wall", "unreachable", "regularisation"} <= named
    explained = set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE))
    assert explained == named
