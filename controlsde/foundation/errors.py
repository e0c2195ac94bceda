"""The one base error: what a user can mend, in his words, and how a command ends that meets it.

Comes in: a line that says what is wrong, where, and the cure. Goes out: an exception that every part of the package may
raise and that the command line prints as it is, without a trace.
"""

from __future__ import annotations

from typing import ClassVar

EXIT_UNEXPECTED = 1
EXIT_INVALID = 2
EXIT_NOT_CONVERGED = 3
EXIT_NOT_VERIFIED = 4
EXIT_INTERRUPTED = 130


class ControlsdeError(Exception):
    """Something that a user can mend: one line with place and cure, or several.

    where: the key of the problem that it is about, from the top, such as ("reference", "data"); empty where it is about
    none, or about several. argument: the argument of a function that it is about, whose name stands before the message,
    so that a command can tell the option instead. exit_code: of a command that ends by it. of_problem: whether the
    message says what is wrong with a problem but not with which, so that a command names it.
    """

    exit_code: ClassVar[int] = EXIT_INVALID
    of_problem: ClassVar[bool] = False

    def __init__(self, message: str, where: tuple[str, ...] = (), argument: str = "") -> None:
        self.where = where
        self.argument = argument
        super().__init__(f"{argument} {message}" if argument else message)

    @property
    def lines(self) -> tuple[str, ...]:
        """The message, a line for everything that is wrong."""
        return (str(self),)
