"""Broken problem files by the thousand, and what must hold of the answer to each of them.

In: a seed. Out: a problem as it may lie in a folder, with a table beside it and values that are set on top of it; made
of valid problems by changes of values, keys, text, formulas and tables.
"""

import contextlib
import io
import json
import math
import re
import sys
import time
from dataclasses import dataclass, field

import numpy as np

import controlsde.cli.commands
from controlsde.problem import ProblemError, load_problem, parse_override
from controlsde.problem.formula import FUNCTIONS as KNOWN

LIMIT_S = 2.0  # for reading a problem and saying what is wrong with it
SIZES = {
    "controls": {"pieces": 2},
    "mesh": {"elements": [6], "degree": 3, "steps_per_piece": 1},
    "monte_carlo": {"particles": 50, "steps_per_piece": 2},
}
GAUSSIAN = {"kind": "mixture", "means": [0.2], "stds": [0.6]}
PAIR = {"kind": "mixture", "weights": [0.4, 0.6], "means": [-1, 1.5], "stds": [0.5, 0.4]}
PLANE = {"kind": "mixture", "means": [[0, 0.3], [-0.5, 0]], "stds": [0.5, [0.6, 0.4]]}
TABLE = {"kind": "samples", "file": "data.csv", "columns": ["a"], "bandwidth": 0.4, "standardize": True}
EXACT, DRIFT = {"drift": "exact"}, {"drift": {"kind": "formula", "expressions": ["-x + 0.1*sin(t)"]}}


def _reversed(data, box=((-5, 5),), **more):
    keys = {"kind": "reversed-diffusion", "horizon": 1.0, "data": data}
    forward = more.pop("forward", None)
    reference = {**keys, "forward": forward} if forward else keys
    sizes = (
        SIZES if len(box) == 1 else {**SIZES, "mesh": {"elements": [3] * len(box), "degree": 3, "steps_per_piece": 1}}
    )
    return {"name": "fuzz", "domain": {"box": [list(side) for side in box]}, "reference": reference, **sizes, **more}


def _between(kind, start, end):
    reference = {"kind": kind, "from": start, "to": end, "horizon": 0.5, "diffusivity": 0.3}
    return {"domain": {"box": [[-4, 4]], "walls": "reflecting"}, "reference": reference, **SIZES}


BASES = [
    _reversed(GAUSSIAN, **EXACT),
    _reversed(PAIR, **DRIFT),
    _reversed(TABLE, **EXACT),
    _reversed({"kind": "formula", "expression": "exp(-x**2)"}, **DRIFT),
    _reversed({"kind": "truncated", "mean": 0, "std": 1, "low": -1, "high": 2}, forward="heat"),
    _reversed({"kind": "student-t", "degrees_of_freedom": 3, "location": 0, "scale": 0.8}, forward="heat"),
    _reversed({"kind": "boxes", "boxes": [[-2, -1], [1, 2]]}, forward="heat", **EXACT),
    _reversed("uniform", solver={"kind": "collocation", "start": "random"}),
    _reversed(GAUSSIAN, forward={"kind": "vp", "schedule": "0.1 + s", "sigma": 1.1}, **EXACT),
    _reversed(GAUSSIAN, forward={"kind": "ve", "sigma_min": 0.1, "sigma_max": 1}, **EXACT),
    _reversed(GAUSSIAN, forward={"kind": "formula", "drift": "-x", "diffusivity": 0.7}),
    _reversed(PAIR, solver={"kind": "switching", "neurons": 4}, network={"width": 2, "activation": "relu"}),
    _reversed(PAIR, solver={"kind": "score-matching"}, objective={"norm": "h-1", "terminal": 2, "effort": 1e-4}),
    _reversed(PLANE, box=((-5, 5), (-4, 4)), **EXACT),
    _reversed({"kind": "funnel", "std": 1}, box=((-3, 3), (-5, 5)), forward="heat"),
    _reversed({"kind": "image", "pixels": [[0, 255], [9, 40]], "bandwidth": 0.5}, ((-3, 3), (-3, 3)), forward="heat"),
    _between("moser", "uniform", {"kind": "formula", "expression": "1 + 0.5*cos(pi*x/4)"}),
    _between("displacement", GAUSSIAN, PAIR),
    {"domain": {"box": [[-4, 4]]}, "reference": {"kind": "foellmer", "data": GAUSSIAN, "point": 0}, **SIZES},
]  # fmt: skip

TEXTS = [
    "", " ", "x", "nan", "inf", "-", "~", "null", "yes", "1_0", "٣", "１２", "0x1F", "1,5", "1e", "..", "a/b",
    "\u00e9" * 150, "\x00", "\x1b[31m", "\x07", "\u202egnp", "\ud800", "\U0010ffff", "\ufffe", "a\nb", "\t",
    "x" * 3000, "../../up", "'", '"', "{", "*a", "&a", "!!x", "data.csv", "/dev/zero", "/proc/self/environ", "exact",
    "uniform", "heat", "auto", "shooting",
]  # fmt: skip
NUMBERS = [
    0, 1, -1, 2, 3, 7, 0.5, 1e-3, 1e-12, 1e-300, 5e-324, 1e9, 1.7e9, 1e18, 1e300, 1e308, -1e308, 10**30, 10**399,
    math.inf, -math.inf, math.nan, -0.0, 2**53 + 1, 0.1, 100_000, 2_000_001,
]  # fmt: skip
KINDS = [{"kind": None}, {"kind": ["a"]}, {"kind": {"kind": 7}}, {"a": 1}]
OTHERS = [None, True, False, [], {}, [[]], [None], [[[[1]]]], *KINDS]
FUNCTIONS = [name for name, arguments in KNOWN.items() if arguments == 1]
INTRUDERS = ["(", ")", ",", "**", ".", "_", "é", "'", "=", "1e999", "lambda", "\u202e", "٣"]  # in a formula
SCRIBBLES = [
    *TEXTS, "[" * 60, "{" * 60, "- " * 50, "\n", "\n---\n", "\t", "#", "&a ", "*a ", "!t ", "? ", ": ", ", ",
    "\\U00110000", '"\\U00110000"', "|\n", "%",
]  # fmt: skip
CELLS = [
    "1", "2.5", "-3e2", "", "x", "nan", "inf", "٣", "1_0", "0x10", "1,5", "１", "\x1b[31m", "1e999", "'1'", '"', "\0",
    " 4 ",
]  # fmt: skip
HEADERS = [
    "a", "a,b", " a ,b", "b", "a,a", "", "a;b", "\x1b[31m,\x07", "\u202ea", "1,2", "a" * 5000, '"a', "a\tb",
]  # fmt: skip
NO_TABLES = [b"", b"\xff\xfe\0", b"root:*:19000:0:99999:7:::\nbin:*:1\n", b"\x89PNG\r\n", b"\n" * 999]
KEYS = ["noise", "network.width", "mesh.elements", "reference.data", "solver", "solver.kind", "drift", "x", "", "a..b"]
SETTINGS = ["noise", "=", "noise=[", "noise=!x 1", "noise=1\n---\n2", "\x1b=1"]  # that are none


@dataclass
class Case:
    """A problem file as bytes, the table beside it, and words for --set."""

    text: bytes
    table: bytes = b"a,b\n1,2\n2,4\n4,1\n"
    overrides: list[str] = field(default_factory=list)


class Maker:
    """Makes cases out of a seed: the same ones for the same seed."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def one_of(self, things):
        return things[int(self.rng.integers(len(things)))]

    def chance(self, share):
        return self.rng.random() < share

    def case(self):
        """One case, of any kind."""
        problem = json.loads(json.dumps(self.one_of(BASES)))
        if self.chance(0.35):
            self.set_formula(problem)
        for _ in range(int(self.rng.integers(0, 3))):
            self.change(problem)
        text = written(problem)
        if self.chance(0.25):
            text = self.scribbled(text)
        content = text.encode("utf-8", "surrogatepass")
        if self.chance(0.04):
            at = int(self.rng.integers(len(content) + 1))
            content = content[:at] + self.one_of([b"\xff", b"\xe9", b"\0", b"\xc3", b"\xef\xbb\xbf"]) + content[at:]
        case = Case(content)
        if b"data.csv" in content and self.chance(0.8):
            case.table = self.table()
        for _ in range(int(self.rng.integers(1, 3)) if self.chance(0.2) else 0):
            case.overrides.append(self.override(problem))
        return case

    def value(self):
        """A value that may not belong where it is put."""
        kind = self.rng.random()
        if kind < 0.45:
            return self.one_of(NUMBERS)
        if kind < 0.75:
            return self.one_of(TEXTS)
        if kind < 0.95:
            return json.loads(json.dumps(self.one_of(OTHERS)))
        many = self.value() if self.chance(0.5) else self.one_of(NUMBERS)
        return [many] * int(self.one_of([2, 3, 50, 3000]))

    def change(self, problem):
        """Change something, somewhere: a value, a key, a list."""
        holder, key = self.place(problem)
        what = self.rng.random()
        if what < 0.5:
            holder[key] = self.value()
        elif what < 0.62 and isinstance(holder[key], int | float):
            holder[key] = holder[key] * float(10.0 ** self.rng.integers(-14, 15)) * self.one_of([1, -1])
        elif what < 0.72:
            del holder[key]
        elif what < 0.82 and isinstance(holder, dict):
            name = str(key)
            at = int(self.rng.integers(len(name) + 1))
            holder[name[:at] + self.one_of(["", "x", "é", " ", "\u202e", "\x1b"]) + name[at + 1 :]] = holder.pop(key)
        elif what < 0.9:
            holder[key] = self.one_of([[holder[key]], {"kind": holder[key]}, [holder[key], holder[key]]])
        elif isinstance(holder, dict):
            holder[self.one_of([*TEXTS[:20], "kind", "from", "data", "noise"])] = self.value()
        else:
            holder.append(self.value())

    def place(self, problem):
        """A random key in the tree and what holds it."""
        found = list(_places(problem))
        return self.one_of(found) if found else (problem, problem.setdefault("name", "x") and "name")

    def set_formula(self, problem):
        """Put a made formula where the problem has one, or a drift of its own."""
        spots = [(holder, key) for holder, key in _places(problem) if key in ("expression", "expressions", "schedule")]
        spots += [(holder, key) for holder, key in _places(problem) if key == "drift" and isinstance(holder[key], str)]
        variables = ["x", "y"] if len(problem["domain"]["box"]) == 2 else ["x"]
        if not spots:
            problem["drift"] = {"kind": "formula", "expressions": [self.formula([*variables, "t"]) for _ in variables]}
            return
        holder, key = self.one_of(spots)
        if holder is problem:
            problem["drift"] = {"kind": "formula", "expressions": [self.formula([*variables, "t"]) for _ in variables]}
        elif key == "expressions":
            holder[key] = [self.formula([*variables, "t"]) for _ in variables]
        else:
            holder[key] = self.formula(["s"] if key == "schedule" else variables)

    def formula(self, names):
        """A formula by the grammar, one in five broken."""
        text = self.expression(names, int(self.rng.integers(1, 5)))
        if self.chance(0.2):
            at = int(self.rng.integers(len(text) + 1))
            text = text[:at] + self.one_of(INTRUDERS) + text[at:]
        return text

    def expression(self, names, depth):
        """A sentence of the grammar, `depth` deep."""
        if depth == 0:
            return self.one_of([*names, *names, "1", "0.5", "3", "1e-3", "1e5", "1e200", "1e308", "pi", "0"])
        one, other = self.expression(names, depth - 1), self.expression(names, depth - 1)
        kind = self.rng.random()
        if kind < 0.35:
            return f"{self.one_of(FUNCTIONS)}({one})"
        if kind < 0.8:
            return f"({one} {self.one_of(['+', '-', '*', '/', '**'])} {other})"
        if kind < 0.9:
            return f"{self.one_of(['min', 'max'])}({one}, {other})"
        return f"where({one} {self.one_of(['<', '<=', '>'])} 0.3, {other}, {self.one_of(names)})"

    def scribbled(self, text):
        """A text with a few characters or lines added, doubled or gone."""
        for _ in range(int(self.rng.integers(1, 4))):
            at, length = int(self.rng.integers(len(text) + 1)), int(self.rng.integers(1, 12))
            what = self.rng.random()
            if what < 0.35:
                text = text[:at] + text[at + length :]
            elif what < 0.6:
                text = text[:at] + text[at : at + length] * 2 + text[at + length :]
            elif what < 0.65:
                text += "\nnoise: 1\nnoise: 2\n"
            else:
                text = text[:at] + self.one_of(SCRIBBLES) + text[at:]
        return text

    def table(self):
        """A CSV file of one of many kinds."""
        header = self.one_of(HEADERS)
        good = self.chance(0.5)
        width = header.count(",") + 1 if self.chance(0.9) else int(self.rng.integers(0, 4))
        rows = int(self.one_of([0, 1, 2, 5, 40, 10_001]))
        level, spread = self.one_of([0, 1e3, 1.7e9, 1e90, -5]), self.one_of([0, 1, 1e-12, 1e6])
        lines = [header]
        for _ in range(rows):
            if good or rows > 1000:
                lines.append(",".join(repr(float(level + spread * self.rng.standard_normal())) for _ in range(width)))
            else:
                lines.append(",".join(self.one_of(CELLS) for _ in range(width)))
        content = self.one_of(["\n", "\r\n", "\n", "\n\n"]).join(lines)
        if self.chance(0.1):
            return self.one_of(NO_TABLES)
        return content.encode()

    def override(self, problem):
        """KEY=VALUE, the key from the problem or not, the value as likely to be wrong as not."""
        value = self.value()
        shown = value if isinstance(value, str) else written(value)
        if self.chance(0.1):
            return self.one_of(SETTINGS)
        return f"{self.one_of([*KEYS, *map(str, problem)])}={shown}"


def written(value):
    """A value as YAML, in the flow style."""
    names = {"NaN": ".nan", "Infinity": ".inf"}
    return re.sub(r'(?<![\w"])(-?)(NaN|Infinity)(?![\w"])', lambda m: m[1] + names[m[2]], json.dumps(value))


def _places(tree):
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(pairs):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


FORBIDDEN = re.compile(
    r"Traceback|NoneType|\bdict\b|\btuple\b|union_|[Ii]nput should|pydantic|unhashable|<class|object at 0x|"
    r"\b\w+Error\b|codec|\bNone\b|\bTrue\b|\bFalse\b|ruamel|\bbool\b|\bnumpy\b|not subscriptable|argument must be"
)
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
PLACED = re.compile(r"(fuzz\.yaml:\d+:\d+: |--set |fuzz\.yaml: is larger than)")
MORE = re.compile(r"and [1-9]\d* more")


def lay(case, folder):
    """Write the files of a case."""
    (folder / "fuzz.yaml").write_bytes(case.text)
    (folder / "data.csv").write_bytes(case.table)


def read(case):
    """What is wrong with a case in the current folder, a line each; nothing where it is a problem. And the seconds."""
    began = time.process_time()
    try:
        load_problem("fuzz.yaml", set=dict(parse_override(word) for word in case.overrides))
    except ProblemError as error:
        return list(error.messages), time.process_time() - began
    return [], time.process_time() - began


def run(*words):
    """Run a command in this process: its exit code and the lines on stderr."""
    before, sys.argv = sys.argv, ["controlsde", *words]
    out, err = io.StringIO(), io.StringIO()
    code = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            controlsde.cli.commands.main()
    except SystemExit as left:
        code = left.code or 0
    finally:
        sys.argv = before
    return code, err.getvalue().splitlines()


def objections(lines):
    """What is wrong with the messages themselves."""
    found = [f"no place: {line!r}" for line in lines[:-1] if not PLACED.match(line)]
    found += [f"no place: {line!r}" for line in lines[-1:] if not (PLACED.match(line) or MORE.fullmatch(line))]
    found += [f"Python's words: {line!r}" for line in lines if FORBIDDEN.search(line)]
    found += [f"a terminal obeys: {line!r}" for line in lines if UNSAFE.search(line) or "\n" in line]
    found += [f"too long: {line[:80]!r}" for line in lines if len(line) > 500]
    return found + ([f"{len(lines)} lines"] if len(lines) > 21 else [])
