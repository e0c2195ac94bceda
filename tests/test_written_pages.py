"""Pages that are written by scripts are as the scripts write them, and the glossary has every word that is shown."""

import ast
import importlib.util
import json
import re
from pathlib import Path

import pytest

import controlsde as cs
from controlsde.problem import json_schema
from controlsde.registry import DISTANCES, PARTICLE_DISTANCES
from controlsde.report.words import OTHER_FREE_TITLES, free_title
from controlsde.sweeps.plan import Plan, Run
from controlsde.sweeps.sweep import Sweep
from controlsde.verification.certificate import LIMITS
from controlsde.verification.free_certificate import LIMITS as FREE_LIMITS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
GLOSSARY = (DOCS / "glossary.md").read_text("utf-8")


def tool(name):
    spec = importlib.util.spec_from_file_location(f"tool_{name}", DOCS / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def explained(heading):
    """The words in the first column of a table of the glossary."""
    part = GLOSSARY.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = [re.split(r"(?<!\\)\|", line)[1] for line in part.splitlines() if line.startswith("|")][2:]
    return [cell.strip().replace("\\|", "|") for cell in cells]


def headings():
    """What the tables of the command line are headed by, and their rows, where these are no formula."""
    for name in ("tables", "free_tables", "controllability_tables"):
        for node in ast.walk(ast.parse((ROOT / f"controlsde/cli/{name}.py").read_text("utf-8"))):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "id", getattr(node.func, "attr", ""))
                words = {"empty": node.args, "add_row": node.args[:1], "add_column": node.args[:1]}.get(called, [])
                yield from (word.value for word in words if isinstance(word, ast.Constant))
    from controlsde.cli.tables import L2_ERRORS

    yield from L2_ERRORS.values()
    yield from (distance.title for distance in DISTANCES.values())
    yield from (free_title(name) for name in (*PARTICLE_DISTANCES, *OTHER_FREE_TITLES))


def keys_of(document):
    if isinstance(document, dict):
        for key, value in document.items():
            yield key
            yield from keys_of(value)
    for entry in document if isinstance(document, list) else ():
        yield from keys_of(entry)


FEW_STEPS = {"controls.pieces": 2, "monte_carlo.steps_per_piece": 4}


@pytest.fixture(scope="module")
def result():
    few = {"monte_carlo.particles": 500, "mesh.elements": [4], "mesh.degree": 4}
    return cs.evaluate(cs.load_problem("two-bumps", set={**few, **FEW_STEPS, "drift": "exact"}))


def test_every_heading_of_a_table_is_in_the_glossary():
    known = explained("Words of the tables")
    wanted = {heading.strip() for heading in headings()} - {""}
    assert len(wanted) >= 60
    assert wanted - set(known) == set()
    assert known == list(dict.fromkeys(known))


def test_every_check_of_a_certificate_is_in_the_glossary():
    limits = {**LIMITS, **FREE_LIMITS}
    assert [f"`{name}`" for name in limits if f"`{name}`" not in explained("Checks of the certificate")] == []


@pytest.fixture(scope="module")
def free_result():
    return cs.evaluate(cs.load_problem("iris", set={"monte_carlo.particles": 200, **FEW_STEPS, "drift": "exact"}))


def test_every_key_of_the_json_is_in_the_glossary(result, free_result):
    known = {name for cell in explained("Keys of the JSON") for name in re.findall(r"`([^`]+)`", cell)}
    assert set(keys_of(result.to_json())) - set(LIMITS) - {"terminal_error"} - known == set()
    assert set(keys_of(free_result.to_json())) - set(FREE_LIMITS) - known == set()


def test_every_key_of_the_json_of_a_sweep_is_in_the_glossary(tmp_path):
    plan = Plan((), {}, ("noise",), (Run("p-1", "p", {"noise": 1.0}),))
    document = Sweep(tmp_path, plan, (None,)).to_json()
    table = GLOSSARY.partition("## Keys of the JSON of a sweep\n")[2].partition("\n## ")[0]
    known = set(re.findall(r"`([^`]+)`", table))
    assert {*document, *document["entries"][0]} <= known


def test_the_page_of_keys_is_the_one_that_the_schema_makes():
    assert (DOCS / "keys.md").read_text("utf-8") == tool("keys").page(json_schema()), "make schema"


def test_a_key_without_a_description_would_be_missed_on_the_page():
    schema = json_schema()
    del schema["$defs"]["NetworkSpec"]["properties"]["width"]["description"]
    with pytest.raises(KeyError):
        tool("keys").page(schema)


def test_the_gallery_has_every_shipped_problem_and_small_pictures_of_what_was_measured():
    measured = json.loads((DOCS / "gallery/measured.json").read_text("utf-8"))
    page, shipped = (DOCS / "gallery.md").read_text("utf-8"), {name for name, _, _ in cs.list_problems()}
    assert page == tool("gallery").page(), "python docs/tools/gallery.py --page"
    assert set(re.findall(r"\*\*([a-z-]+)\*\*<br>", page)) == shipped >= set(measured)
    assert {name for name in shipped if cs.load_problem(name).dimension == 1} <= set(measured)
    for name, found in measured.items():
        assert 1_000 < (DOCS / f"gallery/{name}.png").stat().st_size < 60_000
        assert found["processor_seconds"] > 0


def test_the_time_of_the_first_problem_is_the_measured_one():
    seconds = json.loads((DOCS / "gallery/measured.json").read_text("utf-8"))["two-bumps"]["processor_seconds"]
    assert "--quick -o out    # a shipped problem: half a minute" in (ROOT / "README.md").read_text("utf-8")
    assert seconds <= 30


def test_the_film_and_the_picture_are_small():
    assert (DOCS / "film.gif").stat().st_size < 600_000
    assert (DOCS / "picture.png").stat().st_size < 100_000


def test_every_public_name_is_on_the_page_of_python():
    named = re.findall(r"^\.\. auto\w+:: (?:[\w.]*\.)?(\w+)", (DOCS / "python.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(cs.__all__)
