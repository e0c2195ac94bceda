"""Thousands of broken problem files: all of them told in words and places; those that are accepted, built and run."""

import importlib.util
import sys
from pathlib import Path

import pytest

from controlsde.problem import load_problem, parse_override

pytestmark = pytest.mark.slow

FILES = 4000
EVERY = 8  # accepted one is evaluated, too


@pytest.fixture(scope="module")
def fuzzing():
    """The maker of broken files, which the quick tests use, too."""
    path = Path(__file__).resolve().parents[1] / "problem" / "fuzzing.py"
    spec = importlib.util.spec_from_file_location("problem_fuzzing", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_thousands_of_problem_files_are_refused_in_words_or_can_be_built(fuzzing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    faults, accepted = [], 0
    for seed in range(FILES):
        case = fuzzing.Maker(10_000 + seed).case()
        fuzzing.lay(case, tmp_path)
        lines, seconds = fuzzing.read(case)
        found = fuzzing.objections(lines) + ([f"{seconds:.1f} s"] if seconds > fuzzing.LIMIT_S else [])
        if not lines:
            accepted += 1
            found += run_all(fuzzing, case, evaluated=accepted % EVERY == 0)
        faults += [(10_000 + seed, one) for one in found]
    assert accepted > FILES / 20
    assert faults == []


def run_all(fuzzing, case, *, evaluated):
    """Check an accepted case, and evaluate it with few particles; what is wrong with how that ends."""
    words = [word for one in case.overrides for word in ("--set", one)]
    found = ended(*fuzzing.run("check", "fuzz.yaml", *words))
    if evaluated:
        problem = load_problem("fuzz.yaml", set=dict(parse_override(one) for one in case.overrides))
        few = ["--set", "monte_carlo.particles=50", "--set", "monte_carlo.steps_per_piece=2"]
        drift = [] if problem.drift else ["--set", "drift=exact"]
        found += ended(*fuzzing.run("evaluate", "-q", "fuzz.yaml", *words, *few, *drift))
    return found


def ended(code, lines):
    """What is wrong with the end of a command: none but these exit codes, no trace, a refusal with its place."""
    if code not in (0, 2, 4):
        return [f"exit {code}: {lines[-3:]}"]
    placed = lines and lines[-1].startswith(("fuzz.yaml:", "--set "))
    return [f"no place: {lines[-1:]}"] if code == 2 and not placed else []
