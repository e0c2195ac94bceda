"""The JSON Schema that editors use is the one that the models make."""

import json
from pathlib import Path

from controlsde.problem import json_schema

COMMITTED = Path(__file__).parents[2] / "docs" / "problem.schema.json"


def test_the_committed_schema_is_up_to_date():
    assert json.loads(COMMITTED.read_text(encoding="utf-8")) == json_schema(), (
        "write it anew: json.dumps(controlsde.problem.json_schema(), indent=2, ensure_ascii=False)"
    )


def test_the_schema_has_the_keys_of_the_file():
    definitions = json_schema()["$defs"]
    assert set(definitions["Moser"]["properties"]) >= {"from", "to"}
    assert json_schema()["required"] == ["domain", "reference"]


def test_shorthands_are_in_the_schema():
    schema = json_schema()
    assert {"enum": ["shooting", "collocation", "score-matching", "switching"]} in schema["properties"]["solver"][
        "anyOf"
    ]
    forward = schema["$defs"]["ReversedDiffusion"]["properties"]["forward"]
    assert {"enum": ["ornstein-uhlenbeck", "heat", "vp", "ve"]} in forward["anyOf"]
