"""What is said while something runs, and before it does: no long silence, plain words, lines that fit the terminal."""

import io
import json
import re
import time
from pathlib import Path

import pytest
from rich.console import Console as RichConsole

from controlsde.cli import console as consoles
from controlsde.cli import plain_words
from controlsde.cli.console import Console
from controlsde.cli.plain_words import of_comparison
from controlsde.cli.shipped import problems_table, shipped_problems
from controlsde.foundation.progress import Step
from controlsde.problem import list_problems, load_problem
from controlsde.problem.loading import nearest_shipped
from controlsde.workflow.expectation import Expected, expected_time, spoken
from controlsde.workflow.prediction import predict

from .commands import loaded_by
from .test_console import PROBLEM


@pytest.fixture
def on_terminal(monkeypatch):
    """A console that takes its stderr for a terminal of so many columns, and what it has printed."""

    def made(columns, **options):
        console, stream = Console(**options), io.StringIO()
        monkeypatch.setattr(
            console, "_rich", RichConsole(file=stream, force_terminal=True, width=columns, color_system=None)
        )
        return console, stream

    return made


def test_without_a_terminal_what_still_runs_is_said_again_while_nothing_is_reported(monkeypatch, capsys):
    monkeypatch.setattr(consoles, "QUIET_SECONDS", 0.15)
    with Console().progress("loading the libraries") as progress:
        time.sleep(0.25)
        progress(Step("building the reference"))
        time.sleep(0.4)
    lines = [re.sub(r"^ *[\d.]+ s  ", "", line) for line in capsys.readouterr().err.splitlines()]
    assert lines[:2] == ["loading the libraries", "building the reference"]
    assert 3 <= len(lines) <= 6
    assert set(lines[1:]) == {"building the reference"}


def test_what_is_over_soon_says_nothing_of_its_own(capsys):
    with Console().progress("loading the libraries"):
        pass
    assert capsys.readouterr().err == ""


def test_nothing_is_said_after_the_end_or_in_quiet(monkeypatch, capsys):
    monkeypatch.setattr(consoles, "QUIET_SECONDS", 0.05)
    with Console().progress():
        pass
    with Console(quiet=True).progress() as progress:
        progress(Step("solving"))
        time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_on_a_terminal_the_clock_moves_while_nothing_is_reported(on_terminal):
    console, stream = on_terminal(60)
    with console.progress("loading the libraries"):
        time.sleep(0.5)
    assert stream.getvalue().count("loading the libraries") >= 2


def test_the_clock_goes_on_from_one_part_of_a_command_to_the_next(capsys, monkeypatch):
    console = Console(verbose=True)
    monkeypatch.setattr(console, "_began", console._began - 100.0)
    with console.progress() as progress:
        progress(Step("drawing"))
    assert float(capsys.readouterr().err.split()[0]) >= 100.0


LONG = (
    "the final L² error is least at noise 0 (0.01) and largest at noise 1 (0.5); the best starts reached the same; " * 2
)


def test_on_a_narrow_terminal_words_stay_whole_and_commands_in_one_line(on_terminal):
    console, stream = on_terminal(60)
    command = "  try --set 'mesh.elements=[8,8]' and, where that is not enough, --set mesh.degree=12 as well"
    console.message(LONG)
    console.message(command)
    *wrapped, last = stream.getvalue().splitlines()
    assert last == command
    assert max(map(len, wrapped)) <= 60
    assert " ".join(" ".join(wrapped).split()) == " ".join(LONG.split())


def test_without_a_terminal_a_line_is_one_line(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    Console().message(LONG)
    assert capsys.readouterr().err == LONG + "\n"


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_list_of_problems_fits_and_leaves_no_word_out(columns):
    stream = io.StringIO()
    shipped = shipped_problems()
    RichConsole(file=stream, width=columns).print(problems_table(shipped, pictures=columns >= 90))
    text = stream.getvalue()
    assert max(len(line) for line in text.splitlines()) <= columns
    assert "…" not in text
    for word in " ".join(one.description for one in shipped).split():
        assert word in text
    for one in shipped:
        assert re.search(rf"^{one.name} +{one.dimension} ", text, re.MULTILINE)


def test_every_shipped_problem_has_its_dimension_and_picture_and_known_times_are_of_problems():
    listed = {one.name: one for one in shipped_problems()}
    assert set(listed) == {problem.name for problem in list_problems()}
    for name, one in listed.items():
        assert one.dimension == load_problem(name).dimension
        assert one.picture == f"gallery/{name}.png"
        assert one.seconds is None or 1 < one.seconds < 3600
    from controlsde.cli.shipped import quick_times

    assert set(quick_times()) <= set(listed)
    measured = json.loads((Path(__file__).parents[2] / "docs/gallery/measured.json").read_text())
    gallery = {name: one["processor_seconds"] for name, one in measured.items()}
    assert quick_times() == gallery, "run `python docs/tools/gallery.py --page`"


def test_a_list_of_problems_that_is_piped_has_a_line_for_each(run, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = run("problems").out.splitlines()
    names = {one.name for one in shipped_problems()}
    assert sum(line.split(" ")[0] in names for line in lines) == len(list_problems())
    assert not any(line != line.rstrip() for line in lines)


def test_json_of_the_problems_has_what_it_had_and_more(run):
    for entry in run("problems", "--json").json:
        assert {"name", "description", "path"} < set(entry)
        assert entry["dimension"] in (1, 2, 4, 8, 13, 64)
        assert entry["picture"].endswith(".png")


def test_the_list_of_problems_loads_nothing_heavy(folder):
    assert loaded_by(folder, ["problems"], ("numpy", "scipy", "torch", "matplotlib")) == "[]"


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("two-bump", "two-bumps"),
        ("Two_Bumps", "two-bumps"),
        ("petals", "iris-petals"),
        ("bumps", "two-bumps"),
        ("mooons", "moons"),
        ("zz", None),
    ],
)
def test_a_word_is_nearest_to_the_name_that_it_is_like_or_part_of(word, name):
    found = nearest_shipped(word, [problem.name for problem in list_problems()])
    assert found == name or (word == "bumps" and found is not None and found.endswith("bumps"))


def test_a_command_without_its_problem_says_where_to_find_one(run):
    for command in ("solve", "compare", "check"):
        answer = run(command)
        assert answer.code == 2
        assert "`controlsde problems` lists all" in answer.err
    assert "controlsde problems" not in run("simulate").err  # which lacks a result


@pytest.fixture(scope="module")
def small():
    from controlsde.problem import parse_problem

    return parse_problem(PROBLEM)


def test_check_says_in_sentences_what_it_is_before_the_numbers(run):
    text = run("check", "small.yaml").err
    sentences, numbers = text.index("small carries a density in one dimension"), text.index("unknowns of a density")
    assert sentences < numbers
    assert "a network of 1 neuron whose weights stay constant on two pieces of time" in text
    assert re.search(r"It will run: `controlsde solve small` by shooting takes about \d+ s", text)
    assert "Nothing stands out" in text or "to watch" in text


def test_check_of_a_given_drift_says_that_there_is_nothing_to_solve(small):
    from controlsde.problem import parse_problem

    given = parse_problem(small.to_yaml(), set={"drift": {"kind": "exact"}})
    assert "by the exact drift, so that there is nothing to solve" in plain_words.of_problem(given)
    assert "`controlsde evaluate small`" in plain_words.of_running(given, predict(given), expected_time(given))


def test_a_comparison_says_what_it_will_do_before_it_starts(run):
    few = ("--set", "solver.iterations=2", "-o", "out")
    text = run("compare", "small.yaml", *few).err
    told = text.index("comparing small at noise 0 and 1: two solves by shooting, each verified")
    assert told < text.index("noise 0:")
    assert re.search(
        r"about \d+ s on this machine when nothing else runs \(\d+ s to \d+ s: iterations are guessed\)", text
    )
    assert "--noise η, repeated, chooses other noise levels" in text
    together = of_comparison(load_problem("two-bumps"), (0.0, 1.0), Expected(1, 1), "out", 2)
    assert "two solves by shooting, two at a time, each verified" in together
    chosen = run("compare", "small.yaml", "--noise", "0.5", *few).err
    assert "at noise 0.5: one solve by shooting" in chosen
    assert "--noise η, repeated" not in chosen
    assert "comparing" not in run("compare", "small.yaml", "--noise", "0.5", "-q", *few).err


def test_expected_times_grow_with_the_levels_and_the_effort_and_say_how_unsure_they_are(small):
    one, two = expected_time(small, speed=0.01), expected_time(small, 2, speed=0.01)
    assert two.whole == pytest.approx(2 * one.whole, rel=1e-12)
    slower = expected_time(small, speed=0.02)
    assert slower.whole == pytest.approx(2 * one.whole, rel=1e-12)  # a machine half as fast is told twice the time
    assert (one.least, one.most) == (one.whole / 2, one.whole * 2)
    more = small.model_copy(update={"solver": small.solver.model_copy(update={"starts": 32})})
    assert expected_time(more, speed=0.01).solver > 4 * one.solver
    controls = small.controls.model_copy(update={"lengths": "free"})
    free = expected_time(small.model_copy(update={"controls": controls}), speed=0.01)
    assert 2 * one.solver < free.solver < 6 * one.solver


def test_the_least_that_is_expected_is_what_comes_with_every_solve():
    assert Expected(1.0, 10.0).most == 20.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "5 s"), (12, "10 s"), (63, "65 s"), (95, "1.6 min"), (170, "2.8 min"), (600, "10 min"), (9000, "2.5 h")],
)
def test_a_guessed_time_has_no_digits_that_it_is_not_worth(seconds, text):
    assert spoken(seconds) == text
