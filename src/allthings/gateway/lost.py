"""What sessions and retained messages have lost through damage of the log: said by name, and noted for the doctor."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from allthings.log import losses
from allthings.log.losses import Loss

_LOGGER = logging.getLogger(__name__)
#: So many of a kind are said one by one; all of them stand in the file.
_SAID_MAX: Final = 20


class Lost:
    """Collects losses, and says them. `data` is the data directory, None for none."""

    def __init__(self, data: Path | None, now_ns: Callable[[], int]) -> None:
        self._data = data
        self._now_ns = now_ns
        self._found: list[Loss] = []

    def add(self, what: str, whose: str, count: int, why: str) -> None:
        """`whose`: a client, a topic, or a span of blocks."""
        self._found.append(losses.found(self._now_ns(), what, whose, count, why))

    async def tell(self) -> None:
        """Say what was added since the last time."""
        found, self._found = self._found, []
        said: dict[str, int] = {}
        for loss in found:
            said[loss.what] = said.get(loss.what, 0) + 1
            if said[loss.what] <= _SAID_MAX:
                _LOGGER.error("%s", losses.sentence(loss))
        for what, count in said.items():
            if count > _SAID_MAX:
                _LOGGER.error("and %d more: %s; all of them stand in %s", count - _SAID_MAX, what, losses.FILE)
        if found:
            await asyncio.to_thread(losses.write, self._data, found)
