"""Trouble that is met again and again, told once: a registry that cannot be read is asked several times a second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from allthings.things.errors import AllthingsError

#: The same trouble is told again after so long.
_AGAIN_S: Final = 600.0


class Trouble:
    """Of one piece of work that is tried again. `what` says what does not work: "readings cannot be …"."""

    def __init__(self, logger: logging.Logger, what: str, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._what = what
        self._clock_s = clock_s
        self._told: dict[str, float] = {}

    def tell(self, error: Exception) -> None:
        """An error of ours in one line, any other one with its traceback; either once in ten minutes."""
        now_s = self._clock_s()
        self._told = {text: at_s for text, at_s in self._told.items() if now_s - at_s < _AGAIN_S}
        text = error.detail if isinstance(error, AllthingsError) else f"{type(error).__name__}: {error}"
        if text in self._told:
            return
        self._told[text] = now_s
        if isinstance(error, AllthingsError):
            self._logger.warning("%s: %s", self._what, text)
        else:
            self._logger.error("%s: %s", self._what, text, exc_info=error)
