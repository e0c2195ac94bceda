"""Every key of a problem file says what it means, in which unit, what it is by default, and gives an example."""

import json

import pytest
from pydantic import create_model

from controlsde.problem import json_schema
from controlsde.problem.problem import Problem
from controlsde.problem.solver_specs import PlainOptions
from controlsde.problem.values import Section
from controlsde.registry import DENSITIES, SOLVERS

SCHEMA = json_schema()
KEYS = {
    f"{name}.{key}": said
    for name, part in {"Problem": SCHEMA, **SCHEMA["$defs"]}.items()
    for key, said in part["properties"].items()
}


def sections(parent=Section):
    for section in parent.__subclasses__():
        yield section
        yield from sections(section)


def spoken_of():
    """(id, field) of every field that a problem file may hold."""
    shipped = {*(kind.spec for kind in DENSITIES.values()), *(solver.options for solver in SOLVERS.values())}
    assert shipped <= set(sections())
    for section in dict.fromkeys(sections()):
        if section.__module__.startswith("controlsde.") and not section.__name__.startswith("_"):
            for name, field in section.model_fields.items():
                if (section, name) != (PlainOptions, "kind"):
                    yield pytest.param(name, field, id=f"{section.__name__}.{name}")


def numbers_in(said):
    text = json.dumps({key: value for key, value in said.items() if key not in ("examples", "description", "default")})
    return '"type": "number"' in text or '"type": "integer"' in text


def test_there_is_a_description_and_an_example_of_every_key():
    assert len(KEYS) >= 150
    assert [key for key, said in KEYS.items() if not said.get("description") or not said.get("examples")] == []


def test_every_key_that_takes_numbers_says_their_unit():
    assert [key for key, said in KEYS.items() if numbers_in(said) and "x-unit" not in said] == []


def test_every_key_that_may_be_left_out_says_what_it_is_then():
    parts = {"Problem": SCHEMA, **SCHEMA["$defs"]}
    silent = [
        key
        for key, said in KEYS.items()
        if key.split(".")[1] not in parts[key.split(".")[0]].get("required", ())
        and said.get("default") in (None, [])
        and "x-default" not in said
    ]
    assert silent == []


@pytest.mark.parametrize(("name", "field"), list(spoken_of()))
def test_every_example_is_valid(name, field):
    alone = create_model("Alone", __base__=Section, **{name: (field.annotation, field)})
    assert field.examples
    for example in field.examples:
        assert alone.model_validate({field.alias or name: example})


def test_the_words_of_a_problem_are_those_of_its_parts():
    assert {key.split(".")[1] for key in KEYS if key.startswith("Problem.")} == set(Problem.model_fields)
