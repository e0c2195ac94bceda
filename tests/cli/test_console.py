"""What a person reads on stderr: tables that fit, commands that can be pasted, progress that says what runs."""

import dataclasses
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from controlsde.cli.console import Console, describe
from controlsde.diagnosis import Diagnosis, Remedy
from controlsde.distances import BoxTransport
from controlsde.foundation.progress import Step
from controlsde.problem import parse_problem
from controlsde.result.retry import Retry
from controlsde.solvers.shooting.options import Shooting
from controlsde.verification.certificate import Check
from controlsde.workflow.comparison import Comparison, at_noise, note
from controlsde.workflow.expectation import expected_time
from controlsde.workflow.prediction import predict
from controlsde.workflow.solving import solve

PROBLEM = """\
name: small
domain: {box: [[0, 1]]}
reference:
  kind: reversed-diffusion
  forward: heat
  horizon: 0.2
  data: {kind: formula, expression: "1 + 0.5*cos(pi*x)"}
controls: {pieces: 2}
mesh: {elements: [4], degree: 6, steps_per_piece: 2}
solver: {kind: shooting, starts: 1, iterations: 3}
monte_carlo: {particles: 500, steps_per_piece: 8}
"""


@pytest.fixture(scope="module")
def result():
    return solve(parse_problem(PROBLEM))


@pytest.fixture
def shown(monkeypatch, capsys):
    """What a console of 80 columns, without a terminal, prints."""
    monkeypatch.setenv("COLUMNS", "80")

    def show(draw, **options):
        draw(Console(**options))
        out, err = capsys.readouterr()
        assert out == ""
        return err

    return show


def with_checks(result, *checks):
    return dataclasses.replace(result, certificate=dataclasses.replace(result.certificate, checks=checks))


def test_a_step_says_what_runs_how_far_it_is_and_the_objective_there():
    assert describe(Step("shooting, start 2/16", 12, 0.0123456789)) == (
        "shooting, start 2/16, iteration 12, objective 0.0123457"
    )
    assert describe(Step("verifying: particles", fraction=0.25)) == "verifying: particles, 25 %"


def test_tables_fit_in_80_columns(result, shown):
    results = tuple(dataclasses.replace(result, problem=at_noise(result.problem, level)) for level in (0, 0.25, 1))
    comparison = Comparison(result.problem, results, np.full((3, 3), 12345.678), "a note")
    texts = [
        shown(lambda console: console.result(result, None)),
        shown(lambda console: console.comparison(comparison, Path("out"))),
        shown(
            lambda console: console.prediction(result.problem, predict(result.problem), expected_time(result.problem))
        ),
    ]
    for text in texts:
        tables = [line for line in text.splitlines() if not line.startswith(("small, noise", "small carries", "  "))]
        assert max(map(len, tables)) <= 80
        assert "…" not in text


def test_tables_fit_in_60_columns_and_leave_nothing_out(result, capsys, monkeypatch):
    results = tuple(dataclasses.replace(result, problem=at_noise(result.problem, level)) for level in (0, 0.25, 1))
    comparison = Comparison(result.problem, results, np.full((3, 3), 12345.678), "a note")
    for draw in (lambda console: console.result(result, None), lambda c: c.comparison(comparison, Path("out"))):
        letters = []
        for columns in (60, 200):
            monkeypatch.setenv("COLUMNS", str(columns))
            draw(Console())
            text = capsys.readouterr().err
            assert "…" not in text
            assert max(len(line) for line in text.splitlines() if "─" in line) <= columns
            letters.append(sorted("".join(text.replace("─", "").split())))
        assert letters[0] == letters[1]  # also where a cell goes on in the next line


def test_the_table_shows_verified_numbers_beside_the_solvers(result, shown):
    text = shown(lambda console: console.result(result, Path("out")))
    row = next(line for line in text.splitlines() if line.startswith("L² error at T  "))
    assert row.split()[-2:] == [f"{result.tracking.l2_final:.4g}", f"{result.discrete.l2_final:.4g}"]


@pytest.mark.parametrize(
    ("error", "spread", "text"),
    [
        (0.39291, 0.00538, "0.3929 ± 0.0054"),
        (12.34, 1.23, "12.3 ± 1.2"),
        (0.1, 0.0, "0.1"),
        (0.0, 0.02, "0.000 ± 0.020"),
    ],
)
def test_particles_are_shown_with_two_digits_of_their_standard_error(result, shown, error, spread, text):
    evidence = dataclasses.replace(result.certificate.monte_carlo, l2_final=error, l2_final_se=spread)
    one = dataclasses.replace(result, certificate=dataclasses.replace(result.certificate, monte_carlo=evidence))
    row = next(line for line in shown(lambda c: c.result(one, None)).splitlines() if "particles" in line)
    assert re.sub(r"^.*particles\s+", "", row).strip() == text


def test_w2_stands_over_its_lower_bound_and_says_if_it_did_not_converge(result, shown):
    transport = BoxTransport(0.25, 0.125, False, 40, 0.1, 0.0, (64, 64))
    tracking = dataclasses.replace(result.tracking, w2_final=0.25)
    estimated = dataclasses.replace(result, tracking=tracking, transport=transport)
    text = shown(lambda console: console.result(estimated, None))
    assert re.search(r"Wasserstein-2 at T +0\.25 *\n +certified lower bound +0\.125, W₂ NOT CONVERGED", text)
    converged = dataclasses.replace(estimated, transport=dataclasses.replace(transport, converged=True))
    assert "W₂ NOT" not in shown(lambda console: console.result(converged, None))
    assert "lower bound" not in shown(lambda console: console.result(result, None))


def test_what_failed_why_and_one_thing_to_try_that_a_shell_takes(result, shown):
    one = with_checks(result, Check("mass_error", 1e-14, 1e-9, True), Check("refined_l2_change", 0.2345, 0.03, False))
    causes = (
        Diagnosis("scheme", "nothing can be set"),
        Diagnosis("mesh", "too coarse " * 20 + "indeed", Remedy("mesh.elements", (8, 8))),
        Diagnosis("bounds", "held", Remedy("controls.bounds", 5.0)),
    )
    lines = shown(lambda console: console.result(dataclasses.replace(one, diagnosis=causes), None)).splitlines()
    at = lines.index("small, noise 1: NOT VERIFIED")
    assert lines[at + 1 :] == [
        "  refined_l2_change is 0.23, limit 0.03",
        "  scheme: nothing can be set",
        f"  mesh: {'too coarse ' * 20}indeed",
        "  bounds: held",
        "  try --set 'mesh.elements=[8,8]'",
    ]


def test_a_second_attempt_says_what_was_changed_and_which_answer_this_is(result, shown):
    remedy = Remedy("mesh.elements", (8,))
    cases = {
        "this is the new answer; the first was converged, not verified, with an L² error at T of 0.5": Retry(
            "mesh", remedy, True, False, "converged", False, 0.5
        ),
        "this is the first answer; the new one was not converged, verified, with an L² error at T of not finite": Retry(
            "mesh", remedy, False, False, "not-converged", True, float("nan")
        ),
        "before, no start could be evaluated": Retry("mesh", remedy, True),
        "no start could be evaluated then, so this is the first answer": Retry("mesh", remedy, False),
    }
    for words, retry in cases.items():
        one = dataclasses.replace(result, retry=retry)
        text = shown(lambda console, one=one: console.result(one, None))
        assert f"small, noise 1: solved once more with --set 'mesh.elements=[8]'; {words}\n" in text


def test_a_value_that_is_not_finite_is_called_so(result, shown):
    one = with_checks(result, Check("refinement", float("inf"), 0.01, False))
    assert "refinement is not finite, limit 0.01" in shown(lambda console: console.result(one, None))


def test_a_solve_that_did_not_converge_gives_its_message_whole_on_one_line(result, shown):
    message = "stopped; " + "many words " * 20 + "at last"
    one = dataclasses.replace(result, status="not-converged", message=message)
    lines = shown(lambda console: console.result(one, None)).splitlines()
    assert lines[lines.index("small, noise 1: NOT CONVERGED") + 1] == f"  {message}"


def test_quiet_prints_only_trouble(result, shown):
    sound = dataclasses.replace(with_checks(result, Check("refinement", 0.001, 0.01, True)), status="converged")
    assert shown(lambda console: console.result(sound, Path("out")), quiet=True) == ""
    unsound = with_checks(sound, Check("refinement", 0.1, 0.01, False))
    assert shown(lambda console: console.result(unsound, Path("out")), quiet=True).startswith("small, noise 1: NOT")


HOSTILE = "\x1b[31mred\x07\x9b2J\u202e"


def test_a_terminal_obeys_nothing_that_stands_in_tables_messages_or_progress(result, shown):
    check = Check(HOSTILE, 0.5, 0.1, False)
    named = dataclasses.replace(
        with_checks(result, check),
        problem=result.problem.model_copy(update={"name": HOSTILE}),
        diagnosis=(Diagnosis(HOSTILE, HOSTILE, Remedy("mesh.elements", (8,))),),
        message=HOSTILE,
        status="not-converged",
    )
    prediction = dataclasses.replace(predict(result.problem), reference=HOSTILE, warnings=(HOSTILE,))
    texts = [
        shown(lambda console: console.result(named, Path(HOSTILE))),
        shown(lambda console: console.prediction(named.problem, prediction, expected_time(named.problem))),
        shown(report([Step(HOSTILE)])),
        shown(lambda console: console.message(HOSTILE)),
    ]
    for text in texts:
        assert "\\x1b[31mred\\x07\\x9b2J\\u202e" in text.replace("\n", "")
        assert text.replace("\n", "").isprintable()


def report(steps):
    def draw(console):
        with console.progress() as progress:
            for step in steps:
                progress(step)

    return draw


ITERATIONS = [Step("solving", number, 1.0) for number in range(50)]


def test_without_a_terminal_progress_is_a_line_a_task_not_a_step(shown):
    lines = shown(report([*ITERATIONS, Step("verifying")])).splitlines()
    assert [re.sub(r"^ *[\d.]+ s  ", "", line) for line in lines] == ["solving, iteration 0, objective 1", "verifying"]


def test_a_long_task_prints_another_line_every_few_seconds(shown, monkeypatch):
    clock = iter(np.arange(0.0, 1000.0, 2.0))
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    assert len(shown(report(ITERATIONS)).splitlines()) == pytest.approx(2 * 50 / 6, abs=1)


def test_verbose_prints_every_step_and_quiet_none(shown):
    assert len(shown(report(ITERATIONS), verbose=True).splitlines()) == 50
    assert shown(report(ITERATIONS), quiet=True) == ""


def test_on_a_terminal_progress_is_one_line_that_disappears(shown, monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    text = shown(report([Step("solving [fast]", 7, 1.0)]))
    assert "solving [fast], iteration 7, objective 1" in text
    assert text.endswith("\x1b[1A\x1b[2K")  # back up, and the line is cleared


def test_the_spread_of_the_starts_is_told(result, shown):
    def told(*starts):
        text = shown(lambda console: console.result(replace(result, starts=starts), None))
        return [line for line in text.splitlines() if "starts reached" in line]

    assert told(3.0, 1.0, 2.0, 4.0, 8.0, 5.0, 6.0, 7.0) == ["8 starts reached 1, the best quarter 2 or less, half 4"]
    (line,) = told(2.0, float("nan"), 1.5)
    assert line.startswith("3 starts reached 1.5")
    assert "1 broke down" in line
    assert told(1.0) == []
    hopping = result.problem.model_copy(update={"solver": Shooting(starts=2, hops=9)})
    result = replace(result, problem=hopping)
    assert told(2.0, 1.0) == ["2 starts reached 1 and 2, after at most 9 hops from the best"]


@pytest.mark.parametrize(
    ("starts", "words"),
    [
        ((2.0, 1.0), "2 starts reached 1 and 2"),
        ((2.0, 1.0, 3.0), "3 starts reached 1, 2 and 3"),
        ((2.0, 1.0, 4.0, 3.0), "4 starts reached 1, half 2"),
        ((2.0, 1.0, 4.0, 3.0, 5.0, 7.0, 6.0), "7 starts reached 1, half 4"),
        (tuple(range(1, 13)), "12 starts reached 1, the best quarter 3 or less, half 6"),
        ((float("nan"), 1.0), "2 starts reached 1; 1 broke down"),
    ],
)
def test_the_words_for_the_spread_fit_the_number_of_starts(result, shown, starts, words):
    one = replace(result, starts=starts, objective=1.0)
    text = shown(lambda console: console.result(one, None))
    assert [line for line in text.splitlines() if "starts reached" in line] == [words]


def test_a_lower_start_is_not_what_was_reached_and_the_message_says_why(result, shown):
    why = "converged; a start with a lower objective was set aside: 0.5, whose density moves"
    one = replace(result, starts=(0.5, 1.0, 2.0), objective=1.0, status="converged", message=why)
    lines = shown(lambda console: console.result(one, None)).splitlines()
    place = lines.index("3 starts reached 1 and 2; 1 with a lower objective was set aside")
    assert lines[place + 1] == why
    stopped = replace(one, status="not-converged", message="stopped; " + why)
    lines = shown(lambda console: console.result(stopped, None)).splitlines()
    assert sum(why in line for line in lines) == 1


def test_a_comparison_counts_no_start_that_was_set_aside(result):
    results = [replace(result, starts=(0.5, 1.0, 2.0), objective=1.0)] * 2
    assert "the best starts reached objectives of 1 to 2 at noise" in note(results)


def test_starts_that_did_not_go_on_to_a_limit_did_not_break_down(result, shown):
    limits = result.problem.objective.model_copy(update={"terminal_error": 0.1})
    limited = result.problem.model_copy(update={"objective": limits})
    one = replace(result, problem=limited, starts=(float("nan"), 1.0, float("nan")), objective=1.0)
    assert "3 starts reached 1; 2 did not go on to the limit at T" in shown(lambda console: console.result(one, None))


def test_a_value_beside_its_limit_has_the_digits_that_tell_them_apart(result, shown):
    missed = with_checks(result, Check("terminal_error", 0.0020004, 0.002, passed=False))
    text = shown(lambda console: console.result(missed, None))
    assert "terminal_error is 0.0020004, limit 0.002" in text
    assert "0.0020004" in next(line for line in text.splitlines() if line.startswith("terminal_error"))
    lost = with_checks(result, Check("refinement", float("nan"), 0.01, passed=False))
    assert "refinement is not finite, limit 0.01" in shown(lambda console: console.result(lost, None))
