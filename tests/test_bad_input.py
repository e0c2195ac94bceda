"""Bad input at the command line: exit 2, one line for each fault with its place and cure, nothing written."""

import os
import sys
import time
from pathlib import Path

import pytest

import controlsde.cli.commands
from controlsde.problem import ProblemError, load_problem
from tests.quick import only, slow

GOOD = """\
domain: {box: [[-5, 5]]}
reference:
  kind: reversed-diffusion
  horizon: 1.5
  data: {kind: mixture, weights: [0.5, 0.5], means: [-1.5, 1.5], stds: [0.3, 0.3]}
mesh: {elements: [8], steps_per_piece: 2}
"""

BUMP = 'data: {kind: formula, expression: "exp(-x**2)"}'


def formula(text):
    """The problem with a formula for its data."""
    start = GOOD.index("data: {")
    return GOOD[:start] + BUMP.replace("exp(-x**2)", text) + GOOD[GOOD.index("\nmesh") :]


def changed(old, new):
    assert old in GOOD
    return GOOD.replace(old, new)


def bomb(levels=12, width=10):
    """Aliases of aliases: ten to the power of `levels` values."""
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels)]
    return "\n".join(lines) + "\n" + GOOD


# What is wrong: the text, and what the message must say.
TEXTS = {
    "box is not finite": (changed("[[-5, 5]]", "[[-5, .inf]]"), ("bad.yaml:1:21:", "domain.box")),
    "box holds no number": (changed("[[-5, 5]]", "[[-5, .nan]]"), ("bad.yaml:1:21:", "domain.box")),
    "box is reversed": (changed("[[-5, 5]]", "[[5, -5]]"), ("bad.yaml:1:16:", "low < high")),
    "box is empty": (changed("[[-5, 5]]", "[]"), ("bad.yaml:1:", "domain.box")),
    "box is a word": (changed("[[-5, 5]]", "wide"), ("bad.yaml:1:15:", "domain.box")),
    "mass outside the box": (changed("[[-5, 5]]", "[[-2, 2]]"), ("bad.yaml:5:", "widen domain.box")),
    "weights do not sum to one": (changed("weights: [0.5, 0.5]", "weights: [0.5, 0.6]"), ("bad.yaml:5:", "weights")),
    "negative weight": (changed("weights: [0.5, 0.5]", "weights: [1.5, -0.5]"), ("bad.yaml:5:", "weights")),
    "shapes differ": (changed("stds: [0.3, 0.3]", "stds: [0.3]"), ("bad.yaml:5:", "stds")),
    "dimensions differ": (changed("means: [-1.5, 1.5]", "means: [[0, 1], [1, 2]]"), ("bad.yaml:5:", "dimension")),
    "unknown key": (GOOD + "network: {widht: 2}\n", ("bad.yaml:7:11:", "did you mean 'width'?")),
    "unknown key at the top": (GOOD + "nosie: 1\n", ("bad.yaml:7:1:", "did you mean 'noise'?")),
    "duplicate key": (GOOD + "noise: 1\nnoise: 0\n", ("bad.yaml:8:1:", "written twice")),
    "missing section": ("domain: {box: [[-5, 5]]}\n", ("bad.yaml:1:1:", "reference")),
    "negative noise": (GOOD + "noise: -1\n", ("bad.yaml:7:8:", "noise")),
    "unknown solver": (GOOD + "solver: magic\n", ("bad.yaml:7:9:", "shooting")),
    "hops without a Hessian": (
        GOOD + "solver: {method: adam, hops: 5}\n",
        ("bad.yaml:7:30:", "solver.hops", "newton", "use 0"),
    ),
    "name with a path": (GOOD + "name: ../../up\n", ("bad.yaml:7:7:", "file name")),
    "mesh of nothing": (changed("elements: [8]", "elements: [0]"), ("bad.yaml:6:", "mesh.elements")),
    "missing sample file": (
        changed(
            "kind: mixture, weights: [0.5, 0.5], means: [-1.5, 1.5], stds: [0.3, 0.3]",
            "kind: samples, bandwidth: 0.2, file: no.csv, columns: [a]",
        ),
        ("bad.yaml:5:", "no.csv"),
    ),
    "escape by import": (formula("__import__('os').system('touch gone')"), ("bad.yaml:5:", "column 1")),
    "escape by attribute": (formula("x.__class__"), ("bad.yaml:5:", "attribute access")),
    "escape by lambda": (formula("(lambda: 1)()"), ("bad.yaml:5:", "column")),
    "power tower": (formula("9**9**9"), ("bad.yaml:5:", "finite")),
    "power tower in the point": (formula("9**9**(9+x)"), ("bad.yaml:5:", "finite")),
    "nested parentheses": (formula("(" * 5000 + "x" + ")" * 5000), ("bad.yaml:5:", "characters")),
    "deep parentheses": (formula("(" * 500 + "x" + ")" * 500), ("bad.yaml:5:", "deep")),
    "division by zero": (formula("1/(x - 1)"), ("bad.yaml:5:", "finite", "x = 1")),
    "negative density": (formula("sin(x)"), ("bad.yaml:5:", "nonnegative")),
    "density of nothing": (formula("0*x"), ("bad.yaml:5:", "positive somewhere")),
    "python tag": (GOOD + "name: !!python/object/apply:os.system ['touch gone']\n", ("bad.yaml:7:7:", "tags")),
    "alias bomb": (bomb(), ("bad.yaml:", "values, aliases written out")),
    "deep nesting": (GOOD + "name: " + "[" * 2000 + "]" * 2000 + "\n", ("bad.yaml:7:", "nested more than")),
    "two documents": (GOOD + "---\n" + GOOD, ("bad.yaml:7:1:", "one YAML document")),
    "broken YAML": (GOOD + "name: [\n", ("bad.yaml:", "not valid YAML")),
    "a list": ("- 1\n- 2\n", ("bad.yaml:1:1:", "mapping")),
    "empty": ("", ("bad.yaml:1:1:", "empty")),
    "only a comment": ("# nothing\n", ("bad.yaml:1:1:", "empty")),
    "too many pieces": (GOOD + "controls: {pieces: 1000000000}\n", ("bad.yaml:7:20:", "controls.pieces")),
    "too many particles": (
        GOOD + "monte_carlo: {particles: 1000000000000000}\n",
        ("bad.yaml:7:26:", "monte_carlo.particles"),
    ),
    "too many elements": (changed("[8]", "[100000000]"), ("bad.yaml:6:", "mesh.elements")),
    "a character beyond Unicode": (GOOD + 'name: "\\U00110000"\n', ("bad.yaml:7:8:", "no character \\U00110000")),
    "a character beyond counting": (GOOD + 'name: "\\UFFFFFFFF"\n', ("bad.yaml:7:8:", "no character \\UFFFFFFFF")),
    "half a character": (GOOD + 'name: "\\uD800"\n', ("bad.yaml:7:7:", "U+D800")),
    "a NUL": (GOOD + 'description: "\\0"\n', ("bad.yaml:7:14:", "U+0000")),
    "an escape sequence": (GOOD + 'description: "\\e[31m"\n', ("bad.yaml:7:14:", "U+001B")),
    "a raw control character": (GOOD + "name: a\x07\n", ("bad.yaml:7:8:", "U+0007")),
    "a name of two lines": (GOOD + 'name: "a\\nb"\n', ("bad.yaml:7:7:", "file name")),
    "a name that turns the line": (GOOD + 'name: "a\\u202Eb"\n', ("bad.yaml:7:7:", "file name")),
    "a name of too many bytes": (GOOD + "name: " + "\u00e9" * 101 + "\n", ("bad.yaml:7:7:", "at most")),
    "a name of many bytes": (GOOD + "name: " + "\u6f22" * 99 + "\n", ("bad.yaml:7:7:", "200 bytes", "got 297")),
    "kind of nothing": (changed("kind: mixture", "kind: null"), ("bad.yaml:5:16:", "(got null)", "'mixture'")),
    "kind of a list": (changed("kind: mixture", "kind: [a]"), ("bad.yaml:5:16:", "(got ['a'])", "'mixture'")),
    "kind of a mapping": (changed("kind: mixture", "kind: {kind: 7}"), ("bad.yaml:5:16:", "(got a mapping)")),
    "kind of a number": (GOOD + "solver: {kind: 7}\n", ("bad.yaml:7:16:", "(got 7)", "'shooting'")),
    "kind of a truth": (GOOD + "drift: {kind: true}\n", ("bad.yaml:7:15:", "(got true)", "'exact'")),
    "kind of a kind": (changed("kind: reversed-diffusion", "kind: [moser]"), ("bad.yaml:3:9:", "(got ['moser'])")),
    "another script's digits": (GOOD + "noise: ٣\n", ("bad.yaml:7:8:", "(got '٣')", "plain digits")),
    "digits with underscores": (GOOD + "noise: 1_0\n", ("bad.yaml:7:8:", "(got '1_0')", "plain digits")),
    "decimal comma": (GOOD + "noise: 1,5\n", ("bad.yaml:7:8:", "(got '1,5')", "write it with a point, 1.5")),
    "a number of a million digits": (GOOD + "noise: " + "9" * 100_000 + "\n", ("bad.yaml:7:8:", "noise")),
}

BYTES = {
    "binary": (bytes(range(256)) * 4, ("bad.yaml:",)),
    "not UTF-8": (GOOD.encode() + b"name: caf\xe9\n", ("bad.yaml:7:10:", "save the file as UTF-8")),
    "UTF-16": (GOOD.encode("utf-16"), ("bad.yaml:1:1:", "UTF-8")),
    "zeros": (b"\0" * 1000, ("bad.yaml:",)),
}

# Sizes that every single value allows, and the whole does not.
SIZES = {
    "elements": (["mesh.elements=[100000]"], "mesh.elements"),
    "pieces": (["controls.pieces=100000"], "controls.pieces"),
    "width": (["network.width=1024", "controls.pieces=100"], "network.width"),
    "particles": (["monte_carlo.particles=1000000000000"], "monte_carlo.particles"),
    "particles in few steps": (
        ["monte_carlo.particles=100000000000", "monte_carlo.steps_per_piece=1", "controls.pieces=1"],
        "monte_carlo.particles",
    ),
    "steps of particles": (["monte_carlo.steps_per_piece=1000000"], "monte_carlo.particles"),
    "collocation": (["solver=collocation", "controls.pieces=2000", "mesh.elements=[100]"], "variables"),
}


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Run a command that must be refused: exit 2, no trace, nothing printed or written. Returns its lines."""
    monkeypatch.chdir(tmp_path)

    def command(*words):
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        monkeypatch.setattr(sys, "argv", ["controlsde", *words])
        began = time.process_time()
        with pytest.raises(SystemExit) as left:
            controlsde.cli.commands.main()
        seconds = time.process_time() - began
        out, err = capsys.readouterr()
        assert left.value.code == 2, err
        assert out == ""
        assert "Traceback" not in err
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
        assert seconds < 5
        lines = err.splitlines()
        assert all(len(line) < 600 for line in lines)
        return lines

    return command


@pytest.mark.parametrize("command", ["check", pytest.param("solve", marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", TEXTS)
def test_a_bad_problem_is_refused_with_place_and_cure(case, command, refused):
    text, expected = TEXTS[case]
    Path("bad.yaml").write_text(text)
    lines = refused(command, "bad.yaml")
    told = [line for line in lines if all(part in line for part in expected)]
    assert told, lines
    assert all(line.startswith("bad.yaml:") for line in lines), lines


@pytest.mark.parametrize("case", BYTES)
def test_a_file_that_is_no_text_is_refused_in_one_line(case, refused):
    content, expected = BYTES[case]
    Path("bad.yaml").write_bytes(content)
    (line,) = refused("solve", "bad.yaml")
    assert all(part in line for part in expected), line


@pytest.mark.parametrize("command", ["solve", "compare", "evaluate", "check"])
def test_every_command_refuses_missing_files_and_folders_in_one_line(command, refused):
    Path("folder.yaml").mkdir()
    assert refused(command, "missing.yaml") == ["missing.yaml: no such file"]
    (line,) = refused(command, "folder.yaml")
    assert line.startswith("folder.yaml: is a folder")


def test_a_file_that_is_too_large_is_refused_before_it_is_read(refused):
    with Path("bad.yaml").open("wb") as file:
        file.truncate(10**11)  # takes no room on the disk
    (line,) = refused("solve", "bad.yaml")
    assert "larger than 19 MB" in line


FORWARD = "forward: {kind: formula, drift: 'sign(x)'}"

# What is valid key by key, and cannot be built: the text, the place, and what the message must say.
UNBUILT = {
    "a needle": (formula("exp(-x**2*1e10)"), "bad.yaml:5:9: reference.data: ", ""),
    "a needle off the grid": (
        formula("exp(-(x - 1.23456)**2*1e12)"),
        "bad.yaml:5:37: reference.data.expression ",
        "zero everywhere on a grid",
    ),
    "a sliver at the wall": (formula("where(x < 4.99999999, 0, 1)"), "bad.yaml:5:9: reference.data: ", ""),
    "no integral": (formula("1/abs(x - 0.3001)"), "bad.yaml:5:37: reference.data.expression: ", "not finite"),
    "every scale": (
        formula("exp(-x**2)*sin(1e6*x)**2"),
        "bad.yaml:5:37: reference.data.expression: ",
        "cannot be integrated",
    ),
    "a forward process that jumps": (
        changed("horizon: 1.5", f"horizon: 1.5\n  {FORWARD}"),
        "bad.yaml:5:35: reference.forward.drift: ",
        "jumps at x = 0, and the equation that is solved for the reference needs a derivative there: use a steep tanh",
    ),
    "a Gaussian between the nodes": (
        changed("stds: [0.3, 0.3]", "stds: [0.003, 0.3]"),
        "bad.yaml:5:9: reference.data: ",
        "use mesh.elements: [",
    ),
    "a first density between the nodes": (
        "domain: {box: [[-5, 5]]}\nreference:\n  kind: displacement\n"
        "  from: {kind: mixture, means: [0], stds: [0.002]}\n  to: {kind: mixture, means: [0], stds: [1]}\n"
        "mesh: {elements: [8], steps_per_piece: 2}\n",
        "bad.yaml:4:9: reference.from: ",
        "use mesh.elements: [",
    ),
}


@pytest.mark.parametrize(
    ("case", "command"),
    [*((case, "check") for case in UNBUILT), *(slow(("every scale", one)) for one in ("solve", "evaluate"))],
)
def test_what_cannot_be_built_is_told_with_the_place_of_its_key(case, command, refused):
    text, place, words = UNBUILT[case]
    Path("bad.yaml").write_text(text + ("drift: exact\n" if command == "evaluate" else ""))
    lines = [line for line in refused(command, "bad.yaml") if "building the reference" not in line]
    (line,) = lines
    assert line.startswith(place), line
    assert words in line


def test_what_cannot_be_built_of_a_setting_names_the_setting(refused):
    Path("good.yaml").write_text(GOOD)
    setting = "reference.data={kind: formula, expression: 1/abs(x - 0.3001)}"
    (line,) = refused("check", "good.yaml", "--set", setting)
    assert line.startswith(f"--set {setting}: reference.data.expression: ")


@pytest.mark.parametrize("command", ["check", "evaluate"])
@pytest.mark.parametrize("expression", ["sinh(x)*1e300", "1e308", "softplus(1e308)", "1e200*exp(-x**2)", "1e300*t"])
def test_a_drift_beyond_all_steps_is_refused_with_place_and_cure(expression, command, refused):
    Path("bad.yaml").write_text(GOOD + f"drift: {{kind: formula, expressions: ['{expression}']}}\n")
    (line,) = refused(command, "bad.yaml")
    assert line.startswith("bad.yaml:7:38: drift.expressions.0 must be at most ")
    assert "scale it down" in line


def test_of_thousands_of_faults_twenty_are_told_and_the_others_counted(refused):
    Path("bad.yaml").write_text(changed("means: [-1.5, 1.5]", f"means: [{'x, ' * 30_000}1]"))
    began = time.process_time()
    lines = refused("check", "bad.yaml", "--json")
    assert time.process_time() - began < 4
    assert len(lines) == 21
    assert lines[0].startswith("bad.yaml:5:54: reference.data.means.0 ")
    assert lines[-1] == "and 29980 more"


# Under a megabyte each: what took seconds to read and printed a page for every line.
FLOODS = {
    "values": changed("stds: [0.3, 0.3]", f"stds: [{'0,' * 400_000}1]"),
    "keys": "".join(f"k{number}: 1\n" for number in range(80_000)),
    "nested keys": "a: {" + ", ".join(f"k{number}: 1" for number in range(80_000)) + "}\n" + GOOD,
    "empty lists": "a:\n" + "- []\n" * 190_000 + GOOD,
    "duplicates": GOOD + "solver: {refine: [" + "{pieces: 3, pieces: 3}, " * 38_000 + "]}\n",
    "levels": GOOD + "solver: {refine: [" + "{piecs: 3}, " * 70_000 + "]}\n",
    "tags": GOOD + "solver: {refine: [" + "!x 3, " * 150_000 + "]}\n",
    "aliases": "a: &a [1, 1, 1]\nb: [" + "*a, " * 190_000 + "]\n" + GOOD,
    "anchors": "a:\n" + "".join(f"- &a{number} 1\n" for number in range(70_000)) + GOOD,
    "words": changed("kind: mixture", f"kind: {'mixture' * 130_000}"),
    "text": GOOD + f"name: {'x' * 990_000}\n",
    "comments": "#\n" * 400_000,
}


@pytest.mark.parametrize("case", FLOODS)
def test_a_megabyte_of_anything_is_refused_soon_and_in_few_lines(case, refused):
    assert 100_000 < len(FLOODS[case]) < 1_000_000
    Path("bad.yaml").write_text(FLOODS[case])
    began = time.process_time()
    lines = refused("check", "bad.yaml")
    assert time.process_time() - began < 4  # half of that on a machine with nothing else to do
    assert len(lines) <= 21


def test_devices_pipes_and_folders_are_no_problems_and_keep_nobody_waiting(refused):
    os.mkfifo("pipe")
    os.mkfifo("pipe.yaml")
    for name, words in [
        ("pipe", "is not a file, but a pipe"),
        ("pipe.yaml", "is not a file, but a pipe"),
        ("/dev/zero", "is not a file, but a device"),
        ("/dev/null", "is not a file, but a device"),
        (".", "is a folder; name a YAML file or a shipped problem"),
    ]:
        assert refused("check", name) == [f"{name}: {words}"]


def test_a_control_character_in_an_argument_is_refused_unrepeated(refused):
    for words in (["check", "\x1b[31m"], ["check", "a.yaml", "--set", "noise=\x07"], ["\x1b"]):
        (line,) = refused(*words)
        assert line.isprintable()
        assert "U+00" in line


@pytest.mark.parametrize("word", ["٣", "1_0", "0x10", "１", "1,5", "1e5_0", ""])
def test_numbers_of_the_command_line_are_in_plain_digits(word, refused):
    for words in (["compare", "two-bumps", "--noise", word], ["simulate", "a.nc", "--particles", word]):
        lines = refused(*words)
        assert any("in plain digits" in line for line in lines)


def test_the_name_of_a_file_is_shown_without_what_a_terminal_obeys(tmp_path):
    name = "a\u202eb\x9b.yaml"
    Path(tmp_path / name).write_text("[]")
    with pytest.raises(ProblemError) as refusal:
        load_problem(tmp_path / name)
    assert "a\\u202eb\\x9b.yaml:1:1: a problem must be a mapping" in refusal.value.messages[0]


def test_all_faults_are_told_at_once_each_on_a_line_of_its_own(refused):
    Path("bad.yaml").write_text(changed("horizon: 1.5", "horizon: -1") + "nosie: 1\nnetwork: {width: 0}\n")
    lines = refused("solve", "bad.yaml")
    places = [line.split(" ")[0] for line in lines]
    assert places == ["bad.yaml:4:12:", "bad.yaml:7:1:", "bad.yaml:8:18:"]


@pytest.mark.parametrize("command", only(["solve"], ["solve", "compare", "check"]))
@pytest.mark.parametrize("case", SIZES)
def test_an_absurd_size_is_refused_before_anything_is_built(case, command, refused, monkeypatch):
    def built(*_):
        raise AssertionError("something was built")

    monkeypatch.setattr("controlsde.tracking.posed.build_reference", built)
    monkeypatch.setattr("controlsde.reference.build_reference", built)
    Path("large.yaml").write_text(GOOD)
    overrides, part = SIZES[case]
    lines = refused(command, "large.yaml", *(word for override in overrides for word in ("--set", override)))
    assert any(part in line for line in lines), lines
    assert all(line.startswith("large.yaml: ") for line in lines)


def test_an_absurd_size_is_refused_by_evaluate_too(refused, monkeypatch):
    monkeypatch.setattr("controlsde.tracking.posed.build_reference", lambda *_: pytest.fail("something was built"))
    Path("large.yaml").write_text(GOOD + "drift: exact\n")
    for override in ("mesh.elements=[200000]", "monte_carlo.particles=1000000000000"):
        (line,) = refused("evaluate", "large.yaml", "--set", override)[:1]
        assert override.partition("=")[0] in line


@pytest.mark.parametrize("content", [b"", b"not tensors" * 20], ids=["empty", "text"])
def test_controls_from_a_bad_safetensors_file_are_refused_in_one_line(content, refused):
    Path("good.yaml").write_text(GOOD)
    Path("bad.safetensors").write_bytes(content)
    (line,) = refused("evaluate", "good.yaml", "--controls", "bad.safetensors")
    assert line == "bad.safetensors: not a readable safetensors file (cut short, or of another kind)"
    (line,) = refused("evaluate", "good.yaml", "--controls", "none.safetensors")
    assert line.startswith("none.safetensors: no such file; give a result")
