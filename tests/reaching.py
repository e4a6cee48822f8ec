"""Property tests that say which cases they are for, and fail when they never came to one of them.

A property over random inputs holds vacuously when no input is of the kind that it is about. So a test names its cases
and says when it is in one:

    @must_reach("taken", "left")
    @given(...)
    def test_something(...):
        reach("taken" if ... else "left")
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

_reached: ContextVar[Counter[str] | None] = ContextVar("reached", default=None)


def reach(case: str, times: int = 1) -> None:
    """Say that the running test is in this case. Outside of `must_reach` nothing is counted."""
    counted = _reached.get()
    if counted is not None:
        counted[case] += times


def must_reach(*cases: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The test fails unless all its examples together came to each of these cases."""

    def around(test: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(test)
        def counting(*args: Any, **kwargs: Any) -> Any:
            counted: Counter[str] = Counter()
            token = _reached.set(counted)
            try:
                answer = test(*args, **kwargs)
            finally:
                _reached.reset(token)
            missed = [case for case in cases if not counted[case]]
            assert not missed, f"never came to: {', '.join(missed)}; came to {dict(counted)}"
            return answer

        return counting

    return around
