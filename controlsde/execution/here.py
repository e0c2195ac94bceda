"""The executor that has nobody: work is done where it is given, before `submit` returns.

Comes in: nothing. Goes out: `Here`. It is what a task is given that itself runs beside others, so that it starts no
more processes on a processor that is its own.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

T = TypeVar("T")


class Here(Executor):
    """Work is done as it is given; an interruption is the caller's."""

    def submit(self, function: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        """The future, with its result, of function(*arguments, **named)."""
        future: Future[T] = Future()
        try:
            future.set_result(function(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - it is told to whoever asks the future
            future.set_exception(error)
        return future
