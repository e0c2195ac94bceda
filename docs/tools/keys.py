"""The page of all keys of a problem file, from the schema: `python docs/tools/keys.py` writes `docs/keys.md`.

In: the JSON Schema, in which every key says what it means, its unit, its default and examples. Out: a table for each
part of a problem, in the order of the file, and one for each kind.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from controlsde.foundation.files import write_whole
from controlsde.problem import json_schema

PAGE = Path(__file__).resolve().parent.parent / "keys.md"

HEAD = """\
# All keys of a problem file

This page is written from the schema by `make schema`. What the keys are for, and how they go together, is told in
[problem files](problem-files.md). Lengths are in the unit of `domain.box`, times in that of `reference.horizon`; `1` is
a number without a unit. `--set KEY=VALUE` sets any of them, as in `--set network.width=2`.
"""

# Key, title, and the parts of the schema: one, or one for each kind that the key may have.
PLACES = {
    "domain": "Domain",
    "reference": "Reference",
    "network": "Network",
    "controls": "Controls",
    "objective": "Objective",
    "mesh": "Mesh",
    "solver": "Solver",
    "monte_carlo": "Particles",
    "drift": "A given drift",
}
INNER = {
    "Forward processes": (("ReversedDiffusion", "forward"), "reference.forward"),
    "Densities": (("ReversedDiffusion", "data"), "reference.data, reference.from, reference.to"),
    "Bounds of the weights": (("ControlsSpec", "bounds"), "controls.bounds"),
    "Levels of a continuation": (("Shooting", "refine"), "solver.refine"),
}


def main() -> None:
    """Write the page."""
    write_whole(PAGE, page(json_schema()).encode())


def page(schema: dict[str, Any]) -> str:
    """The page in Markdown."""
    written = [HEAD, "## The whole\n", table("", schema)]
    for key, title in PLACES.items():
        written += [f"## {title}\n", *tables(key, parts_of(schema["properties"][key]), schema)]
    for title, ((part, key), where) in INNER.items():
        said = schema["$defs"][part]["properties"][key]
        names = ", ".join(f"`{name}`" for name in where.split(", "))
        written += [f"## {title}\n", f"In {names}.\n", *tables("", parts_of(said), schema)]
    return "\n".join(written)


def parts_of(said: Any) -> list[str]:
    """The parts of the schema that a key refers to, in their order."""
    if isinstance(said, dict):
        here = [said["$ref"].rpartition("/")[2]] if "$ref" in said else []
        inner = [part for key, value in said.items() if key not in ("discriminator",) for part in parts_of(value)]
        return list(dict.fromkeys([*here, *inner]))
    return [part for value in said for part in parts_of(value)] if isinstance(said, list) else []


def tables(key: str, parts: list[str], schema: dict[str, Any]) -> list[str]:
    """A table for each part; of several, each under the name of its kind."""
    found = []
    for name in parts:
        part = schema["$defs"][name]
        kind = part["properties"].get("kind")
        if kind is not None:
            found.append(f"### `kind: {kind['const']}`\n\n{kind['description']}\n")
        if set(part["properties"]) != {"kind"}:
            found.append(table(key, part))
    return found


def table(above: str, part: dict[str, Any]) -> str:
    """The keys of one part."""
    rows = ["| key | default | unit | meaning | for example |", "|---|---|---|---|---|"]
    for key, said in part["properties"].items():
        if key == "kind":
            continue
        name = f"{above}.{key}" if above else key
        examples = ", ".join(code(example) for example in said["examples"])
        meaning = said["description"] + choices(said)
        cells = (f"`{name}`", default(key, said, part), said.get("x-unit", ""), meaning, examples)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def default(key: str, said: dict[str, Any], part: dict[str, Any]) -> str:
    """The default of a key in words, or as YAML has it."""
    if key in part.get("required", ()):
        return "**required**"
    value = said.get("default")
    if "x-default" in said:
        return str(said["x-default"])
    if isinstance(value, dict):
        return f"`{value['kind']}`" if "kind" in value else "those below"
    return code(value) if value not in (None, "", []) else "none"


def choices(said: dict[str, Any]) -> str:
    """The words that a key takes, where it takes nothing else."""
    words = said.get("enum")
    return f" One of {', '.join(code(word) for word in words)}." if words else ""


def code(value: Any) -> str:
    """A value as a problem file has it, on one line."""
    return f"`{flow(value)}`"


def flow(value: Any) -> str:
    """A value in YAML's flow style."""
    if isinstance(value, dict):
        first = sorted(value, key=lambda key: key != "kind")
        return "{" + ", ".join(f"{key}: {flow(value[key])}" for key in first) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(entry) for entry in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if any(sign in value for sign in ":#{}[],*") else value
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value)


if __name__ == "__main__":
    main()
