"""The error of a number that stopped being finite on the way."""

from __future__ import annotations


class NonFiniteError(ArithmeticError):
    """A number stopped being finite; `piece` says in which control piece (counted from 0)."""

    def __init__(self, piece: int, what: str) -> None:
        super().__init__(f"{what} is not finite in piece {piece}")
        self.piece = piece
        self.what = what
