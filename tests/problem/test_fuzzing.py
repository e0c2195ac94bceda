"""Broken problem files of every kind are refused in the user's words, with their places; sound ones are built."""

import pytest

from .fuzzing import LIMIT_S, Case, Maker, lay, objections, read, run

SEEDS = range(150)
FEW = range(40)


@pytest.fixture
def answer(tmp_path, monkeypatch):
    """A function of a seed: what reading its case says (lines, seconds), and the case."""
    monkeypatch.chdir(tmp_path)

    def answer(seed):
        case = Maker(seed).case()
        lay(case, tmp_path)
        return *read(case), case

    return answer


@pytest.mark.parametrize("seed", SEEDS)
def test_a_made_problem_file_is_read_or_refused_with_place_and_in_words(seed, answer):
    lines, seconds, _ = answer(seed)
    assert objections(lines) == []
    assert seconds < LIMIT_S


def test_of_made_files_most_are_refused_and_what_is_accepted_is_built(answer):
    built = 0
    for seed in FEW:
        lines, _, case = answer(seed)
        if not lines:
            built += 1
            code, said = run("check", "fuzz.yaml", *(word for one in case.overrides for word in ("--set", one)))
            assert code in (0, 2), (seed, said)
            assert not any("Traceback" in line or "should not have happened" in line for line in said), (seed, said)
    assert 0.05 < built / len(FEW) < 0.5


def test_the_objections_find_what_they_are_for():
    bad = ["reference must be a mapping", "fuzz.yaml:1:1: got NoneType", "fuzz.yaml:1:1: \x1b[31m", *["--set x"] * 20]
    found = " ".join(objections(bad))
    for words in ("no place", "Python's words", "a terminal obeys", "23 lines"):
        assert words in found
    assert objections(["fuzz.yaml:1:2: noise must be finite", "--set a=b: a", "and 7 more"]) == []


def test_the_same_seed_makes_the_same_case():
    assert Maker(7).case() == Maker(7).case()
    assert Maker(7).case() != Maker(8).case()
    assert isinstance(Maker(7).case(), Case)
