"""What docs/extending.md says of extensions, done: its package is installed beside this one, and used."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")


def block(language):
    return re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL).group(1)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that holds the page's package with its metadata, as pip leaves them."""
    folder = tmp_path_factory.mktemp("site")
    for found in re.finditer(r"```python\n# (\S+)\n(.*?)```", PAGE, re.DOTALL):
        path = folder / found.group(1)
        path.parent.mkdir(exist_ok=True)
        path.write_text(found.group(2), encoding="utf-8")
    declared = tomllib.loads(block("toml"))["project"]
    metadata = folder / f"my_extensions-{declared['version']}.dist-info"
    metadata.mkdir()
    lines = [f"Metadata-Version: 2.1\nName: {declared['name']}\nVersion: {declared['version']}\n"]
    (metadata / "METADATA").write_text("".join(lines), encoding="utf-8")
    groups = [
        "\n".join([f"[{group}]", *(f"{name} = {place}" for name, place in names.items())])
        for group, names in declared["entry-points"].items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(groups), encoding="utf-8")
    (folder / "problem.yaml").write_text(block("text"), encoding="utf-8")
    return folder


def run(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (folder, ROOT)))}
    command = [sys.executable, "-m", "controlsde", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)


ONE_AFTER_THE_OTHER = """
import contextlib, io, json, sys
from controlsde.cli.commands import main
from controlsde.result.result import Result
answers = []
for words in json.loads(sys.argv[1]):
    sys.argv = ["controlsde", *words]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            code = main() or 0
        except SystemExit as left:
            code = left.code or 0
    answers.append((code, out.getvalue(), said.getvalue()))
print(json.dumps((answers, Result.load("out/result.nc").tracking.others)))
"""


def one_after_the_other(folder, *commands):
    """Exit codes, stdout and stderr of commands in one process that has the package; other distances of the result."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (folder, ROOT)))}
    command = [sys.executable, "-c", ONE_AFTER_THE_OTHER, json.dumps(commands)]
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=True)
    return json.loads(answer.stdout)


@pytest.fixture(scope="module")
def told(installed):
    """The answers of all commands, by their first words, and the distances that the result's file knows."""
    commands = {
        "solve": ["solve", "problem.yaml", "--json", "-o", "out"],
        "evaluate": ["evaluate", "problem.yaml", "--controls", "out/result.nc"],
        "right": ["check", "problem.yaml"],
        "wide": ["check", "problem.yaml", "--set", "reference.data.width=4"],
        "unknown": ["check", "problem.yaml", "--set", "solver.kind=random-serach"],
    }
    answers, distances = one_after_the_other(installed, *commands.values())
    return dict(zip(commands, answers, strict=True)), distances


@pytest.fixture(scope="module")
def solved(told):
    """What `solve` printed of the page's problem; its result is in `out`."""
    code, out, err = told[0]["solve"]
    assert code == 3, err  # random search never converges, and says so
    return json.loads(out)


def test_a_problem_with_parts_of_a_package_is_solved(solved):
    assert solved["solver"] == "random-search"
    assert solved["message"].startswith("the best of 40 random weights")
    assert len(solved["starts"]) == 40
    assert solved["objective"] == min(value for value in solved["starts"] if value is not None)
    assert solved["tracking"]["sup_final"] > 0
    (norm,) = (check for check in solved["certificate"]["checks"] if check["name"] == "target_norm")
    assert norm["value"] < 1e-3  # the grid against 3 / (4 width)


def test_tables_and_result_files_know_the_distance(told, solved):
    answers, distances = told
    (row,) = (line.split() for line in answers["evaluate"][2].splitlines() if "largest difference at T" in line)
    assert row[-1] == f"{solved['tracking']['sup_final']:.4g}"
    assert distances["sup"] == pytest.approx(solved["tracking"]["sup_final"])


def test_check_and_mistakes_are_told_as_for_any_other(told):
    right, wide, unknown = (told[0][words] for words in ("right", "wide", "unknown"))
    assert right[0] == 0
    assert wide[0] == 2
    assert "must keep centre ± width inside the box [-3, 3]" in wide[2]
    assert unknown[0] == 2
    assert "did you mean 'random-search'?" in unknown[2]


@pytest.mark.slow
def test_a_claim_of_a_package_runs_and_is_confirmed(installed):
    answer = run(installed, "claims", "run", "cosine-variance", "--json")
    assert answer.returncode == 0, answer.stderr
    (claim,) = json.loads(answer.stdout)
    assert claim["verdict"] == "confirmed"
    assert "cosine-variance" in run(installed, "claims", "list").stdout


def test_without_the_package_its_names_are_unknown(installed):
    answer = subprocess.run(
        [sys.executable, "-m", "controlsde", "check", str(installed / "problem.yaml")],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT, check=False,
    )  # fmt: skip
    assert answer.returncode == 2
    assert "raised-cosine" in answer.stderr


def test_a_package_that_cannot_be_loaded_is_named_in_one_line(tmp_path):
    metadata = tmp_path / "broken-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text("[controlsde.solvers]\nbad = nowhere.to:FIND\n", encoding="utf-8")
    answer = run(tmp_path, "check", "two-bumps")
    assert answer.returncode == 2
    (line,) = answer.stderr.strip().splitlines()
    assert line.startswith("bad, of the package broken, cannot be loaded (ModuleNotFoundError: No module named")
    assert line.endswith("update or remove that package")
