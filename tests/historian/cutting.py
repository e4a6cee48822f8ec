"""Work of the history that stops in the middle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from allthings.historian.history import History


class _CutOffError(OSError):
    pass


def rolled_up(history: History, position: int, statements: int) -> bool:
    """Roll up, but be cut off after so many statements; whether it came to its end before."""
    return ended(history, statements, lambda: history.rollup(position))


def ended(history: History, statements: int, work: Callable[[], object]) -> bool:
    """Do a piece of work, but be cut off after so many statements; whether it came to its end before."""
    engine = history._engine.work
    real, left = engine.run, statements

    def run(statement: str, parameters: Any = None) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise _CutOffError
        real(statement, parameters)

    with patch.object(engine, "run", run):
        try:
            work()
        except _CutOffError:
            return False
    return True
