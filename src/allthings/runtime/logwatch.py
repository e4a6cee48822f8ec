"""Sees to it that the log takes appends, not only that its server answers.

A stream that could not write or sync once takes nothing any more until the server is started anew (log.probe), also
when there is room again. Whoever has trouble with a write says so; then it is tried here, and a server of ours that
answers and does not take appends is replaced, as soon as its disk takes writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from allthings.log.connecting import shown
from allthings.log.errors import LogUnavailableError
from allthings.log.probe import Suspicion
from allthings.runtime.child import Child
from allthings.runtime.logstorage import LogStorage

#: Roles that are not ready may wait for the log without being able to say so: then it is looked at this often.
_LOOK_EVERY_S: Final = 2.0
_AGAIN_S: Final = 0.5
#: Pauses between new starts of a server that does not take appends then either. The longest one, a start and an append
#: together take less than ten seconds.
_PAUSE_S_MIN: Final = 0.5
_PAUSE_S_MAX: Final = 3.0
_READY_WITHIN_S: Final = 60.0
#: A server that is slow in everything is given the time of so many more tries.
_UNSURE_MAX: Final = 3
#: What goes on is said again after this long.
_SAY_EVERY_S: Final = 60.0


class LogWatch:
    """`server` and `storage` are None when the log's server is somebody else's. `uneasy`: a role is not ready."""

    def __init__(
        self,
        url: str,
        say: Callable[[str], None],
        uneasy: Callable[[], bool],
        server: Child | None,
        storage: LogStorage | None,
    ) -> None:
        self._url = url
        self._say = say
        self._uneasy = uneasy
        self._server = server
        self._storage = storage
        self._said = ""
        self._said_s = 0.0

    async def run(self) -> None:
        """Watch until cancelled."""
        suspicion = await self._open()
        try:
            while True:
                if await suspicion.raised(_LOOK_EVERY_S) or self._uneasy():
                    await self._clear_up(suspicion)
        finally:
            await suspicion.close()

    async def _open(self) -> Suspicion:
        while True:
            try:
                return await Suspicion.open(self._url)
            except LogUnavailableError:
                await asyncio.sleep(_AGAIN_S)

    async def _clear_up(self, suspicion: Suspicion) -> None:
        """Find out whether the log takes appends, and do what there is to do until it does."""
        pause_s = 0.0
        unsure = 0
        while True:
            if self._storage and (obstacle := await asyncio.to_thread(self._storage.obstacle)):
                self._tell(f"the log's disk takes no writes ({obstacle}); nothing is acknowledged until it does")
                await asyncio.sleep(_AGAIN_S)
                continue
            verdict = await suspicion.look()
            if not verdict.detail:
                break
            if not verdict.answers:
                await asyncio.sleep(_AGAIN_S)
            elif verdict.full:
                self._tell(f"{verdict.detail}; it goes on when its consumers have caught up: see log_keep_gb")
                await asyncio.sleep(_AGAIN_S)
            elif self._server is None or self._storage is None:
                self._tell(
                    f"{verdict.detail} though its server at {shown(self._url)} answers; nothing is acknowledged. "
                    "See to its disk, then start it again: after a failed write nats-server takes nothing until then"
                )
                await asyncio.sleep(_AGAIN_S)
            elif not verdict.prompt and unsure < _UNSURE_MAX:
                # The machine may have no time for anything.
                unsure += 1
            else:
                unsure = 0
                await asyncio.sleep(pause_s)
                pause_s = min(max(pause_s * 2, _PAUSE_S_MIN), _PAUSE_S_MAX)
                self._tell(f"{verdict.detail} though its server answers; the server is started again")
                self._storage.suspect()
                await self._server.replace(_READY_WITHIN_S)
        if self._said:
            self._say("the log takes appends again")
            self._said = ""

    def _tell(self, text: str) -> None:
        """Say it, but not the same again and again."""
        now = asyncio.get_running_loop().time()
        if text != self._said or now - self._said_s > _SAY_EVERY_S:
            self._say(text)
            self._said, self._said_s = text, now
