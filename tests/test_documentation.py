"""The words keep up with the code."""

import re
from pathlib import Path

import numpy as np
import pytest

import controlsde as cs
from controlsde.problem import parse_problem
from controlsde.sweeps.sweep_file import of_text

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
    if text.startswith("problems:"):  # a sweep
        assert of_text(text, Path("sweep.yaml")).variations.count > 1
        return
    assert parse_problem(text, folder=ROOT / "problems").dimension > 0


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


# What the examples of other pages are run with: the smallest problem of the kind that they name.
TINY = {
    "mesh.elements": [4],
    "mesh.degree": 4,
    "mesh.steps_per_piece": 1,
    "controls.pieces": 2,
    "solver.starts": 1,
    "solver.hops": 0,
    "solver.iterations": 3,
    "monte_carlo.particles": 500,
}
TINY_AND_FREE = ("controls.pieces", "solver.starts", "monte_carlo.particles")  # keys of it that free space has, too
LONG = {"controllability.md-1", "controllability.md-3"}  # a search that climbs; another result: compiled alone
TAKES_LONGER = {"high-dimension.md-0", "when-it-fails.md-0", "monte-carlo.md-0"}
ELSEWHERE = ("interop.md", "adjoint.md", "extending.md", "exam.md")  # run by tests of their own


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with the results that pages load, and `load_problem` with tiny settings."""
    folder = tmp_path_factory.mktemp("examples")
    load = cs.load_problem

    def load_tiny(source, **given):
        free = load(source).domain.free
        small = {key: value for key, value in TINY.items() if not free or key in TINY_AND_FREE}
        return load(source, set={**given.get("set", {}), **small})

    for name in ("out", "runs/noise-1"):
        cs.solve(load_tiny("two-bumps")).save(folder / name / "result.nc")
    return folder, load_tiny


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(*p.values, id=p.id, marks=pytest.mark.slow) if p.id in TAKES_LONGER else p
        for p in blocks("python")
        if not p.id.startswith(ELSEWHERE) and p.id not in LONG and "Propagator" not in p.values[0]
    ],
)
def test_every_other_example_runs_on_a_tiny_problem(text, tiny, monkeypatch):
    folder, load_tiny = tiny
    monkeypatch.chdir(folder)
    monkeypatch.setattr(cs, "load_problem", load_tiny, raising=False)
    printed = []
    exec(text, {"print": lambda *words: printed.append(words)})  # noqa: S102 - our own pages
    assert printed or "print(" not in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_the_checks_of_the_certificate_and_their_limits_are_explained():
    from controlsde.verification.certificate import LIMITS
    from controlsde.verification.free_certificate import LIMITS as FREE_LIMITS

    text = (ROOT / "docs/certificate.md").read_text("utf-8")
    assert set(FREE_LIMITS) & set(LIMITS) == set()
    for name, limit in {**LIMITS, **FREE_LIMITS}.items():
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
