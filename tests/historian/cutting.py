"""Rollups that stop in the middle."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from allthings.historian.history import History


class _CutOffError(OSError):
    pass


def rolled_up(history: History, position: int, statements: int) -> bool:
    """Roll up, but be cut off after so many statements; whether it came to its end before."""
    work = history._engine.work
    real, left = work.run, statements

    def run(statement: str, parameters: Any = None) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise _CutOffError
        real(statement, parameters)

    with patch.object(work, "run", run):
        try:
            history.rollup(position)
        except _CutOffError:
            return False
    return True
