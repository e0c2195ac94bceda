"""Bad input at the command line: exit 2, one line for each fault with its place and cure, nothing written."""

import sys
import time
from pathlib import Path

import pytest

import controlsde.cli

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
        began = time.perf_counter()
        with pytest.raises(SystemExit) as left:
            controlsde.cli.main()
        seconds = time.perf_counter() - began
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


@pytest.mark.parametrize("command", ["solve", "check"])
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
def test_a_missing_file_and_a_folder_are_refused_in_one_line_by_every_command(command, refused):
    Path("folder.yaml").mkdir()
    assert refused(command, "missing.yaml") == ["missing.yaml: no such file"]
    (line,) = refused(command, "folder.yaml")
    assert line.startswith("folder.yaml: is a folder")


def test_a_file_that_is_too_large_is_refused_before_it_is_read(refused):
    with Path("bad.yaml").open("wb") as file:
        file.truncate(10**11)  # takes no room on the disk
    (line,) = refused("solve", "bad.yaml")
    assert "larger than 1 MB" in line


def test_all_faults_are_told_at_once_each_on_a_line_of_its_own(refused):
    Path("bad.yaml").write_text(changed("horizon: 1.5", "horizon: -1") + "nosie: 1\nnetwork: {width: 0}\n")
    lines = refused("solve", "bad.yaml")
    places = [line.split(" ")[0] for line in lines]
    assert places == ["bad.yaml:4:12:", "bad.yaml:7:1:", "bad.yaml:8:18:"]


@pytest.mark.parametrize("command", ["solve", "compare", "check"])
@pytest.mark.parametrize("case", SIZES)
def test_an_absurd_size_is_refused_before_anything_is_built(case, command, refused, monkeypatch):
    def built(*_):
        raise AssertionError("something was built")

    monkeypatch.setattr("controlsde.pipeline.build_reference", built)
    monkeypatch.setattr("controlsde.reference.build_reference", built)
    Path("large.yaml").write_text(GOOD)
    overrides, part = SIZES[case]
    lines = refused(command, "large.yaml", *(word for override in overrides for word in ("--set", override)))
    assert any(part in line for line in lines), lines
    assert all(line.startswith("large.yaml: ") for line in lines)


def test_an_absurd_size_is_refused_by_evaluate_too(refused, monkeypatch):
    monkeypatch.setattr("controlsde.pipeline.build_reference", lambda *_: pytest.fail("something was built"))
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
