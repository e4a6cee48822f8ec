"""Something that is tried when somebody asks, at most so often however many do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Pulse:
    """`attempt` finds out what is wrong, in words; "" when nothing is."""

    def __init__(self, attempt: Callable[[], Awaitable[str]], every_s: float) -> None:
        self._attempt = attempt
        self._every_s = every_s
        self._running: asyncio.Task[None] | None = None
        self._begun = float("-inf")
        self._found = ""

    async def trouble(self, age_s_max: float = 0.0) -> str:
        """What the newest attempt found that began at most so long before this call; waits for one if there is none."""
        since = asyncio.get_running_loop().time() - age_s_max
        while self._begun < since:
            if self._running is None:
                self._running = asyncio.create_task(self._try(), name="pulse")
            await asyncio.shield(self._running)
        return self._found

    async def _try(self) -> None:
        time = asyncio.get_running_loop().time
        try:
            await asyncio.sleep(self._begun + self._every_s - time())
            begun = time()
            self._found = await self._attempt()
            self._begun = begun
        finally:
            self._running = None
