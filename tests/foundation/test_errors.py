"""One base error: what the user is told, how a command ends, and that it survives the way from another process."""

import copy

import pytest

import controlsde
from controlsde.cli.exits import explain
from controlsde.foundation.errors import EXIT_INVALID, EXIT_NOT_CONVERGED, ControlsdeError


@pytest.mark.parametrize("name", [name for name in controlsde.__all__ if name.endswith("Error")])
def test_every_public_error_is_one_that_the_command_line_explains(name, capsys):
    kind = getattr(controlsde, name)
    assert issubclass(kind, ControlsdeError)
    error = kind("it is wrong here: mend it")
    assert explain(error) == error.exit_code == (EXIT_NOT_CONVERGED if name == "SolveError" else EXIT_INVALID)
    assert capsys.readouterr().err == "it is wrong here: mend it\n"


def test_a_problem_error_has_a_line_for_everything_that_is_wrong(capsys):
    assert explain(controlsde.ProblemError("a: one", "b: two")) == EXIT_INVALID
    assert capsys.readouterr().err == "a: one\nb: two\n"


def test_an_error_with_a_line_break_from_a_file_stays_one_line(capsys):
    explain(controlsde.ResultError("column 'a\nb' is missing"))
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_key_it_is_about_comes_along_from_another_process():
    error = copy.copy(controlsde.ReferenceError("too narrow", ("reference", "data")))  # the way that workers take, too
    assert (str(error), error.where) == ("too narrow", ("reference", "data"))
    assert controlsde.ReferenceError("too narrow").where == ()
