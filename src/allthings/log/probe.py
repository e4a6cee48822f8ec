"""Whether the log takes appends, found out by appending.

Nothing else tells: a stream of nats-server that could not write or sync once answers questions, hands on what it has,
and does not take a message any more until the server is started anew. Each stream fails for itself, so each is tried:
the blocks with one that is empty, tables with a row that no reader of theirs sees and that replaces the one before.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, NamedTuple, Self

import nats.errors
import nats.js.errors
from nats.js.api import StreamInfo

from allthings.log import settings
from allthings.log.connecting import connected
from allthings.log.errors import LogUnavailableError
from allthings.log.heeding import heeding

#: What nats-server says of a stream at its limit; that it gets room is the consumers' part.
_AT_ITS_LIMIT = "maximum"


class Verdict(NamedTuple):
    """`answers`: the server does. `failing`: the streams that take nothing, each with why; `full`: all of these are at
    their limit, which no new start of the server would change; `prompt`: the server answers at once otherwise, so that
    it is not for want of time that they take nothing."""

    answers: bool
    failing: dict[str, str]
    full: bool = False
    prompt: bool = True

    @property
    def detail(self) -> str:
        """In words; "" when all is well."""
        if not self.answers:
            return "the log's server does not answer"
        each = "; ".join(f"{_shown(stream)}: {why}" for stream, why in sorted(self.failing.items()))
        return f"the log does not take appends ({each})" if each else ""


class Probe:
    """Tries over a connection of somebody's."""

    def __init__(self, connection: Any) -> None:
        self._nc = connection

    async def look(self, within_s: float = settings.PROBE_WITHIN_S) -> Verdict:
        """Append to each stream of ours that there is. Never raises for what the server does."""
        if not self._nc.is_connected:
            return Verdict(False, {})
        js = self._nc.jetstream(timeout=within_s)
        try:
            names = await self._streams(js)
        except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
            answers, prompt = await self._answers(within_s)
            return Verdict(answers, {"": f"JetStream does not answer: {_why(error)}"}, prompt=prompt)
        tried = await asyncio.gather(*(self._try(js, name) for name in names))
        failing = {name: why for name, why in zip(names, tried, strict=True) if why}
        if not failing:
            return Verdict(True, {})
        full = all(_AT_ITS_LIMIT in why for why in failing.values())
        answers, prompt = await self._answers(within_s)
        return Verdict(answers, failing, full, prompt)

    async def _streams(self, js: Any) -> list[str]:
        found: list[StreamInfo] = []
        while some := await heeding(js.streams_info(offset=len(found))):
            found += some
            if len(some) < settings.STREAMS_LISTED:
                break
        names = [str(info.config.name) for info in found]
        return [name for name in names if name == settings.STREAM or name.startswith(f"KV_{settings.STREAM}-")]

    async def _try(self, js: Any, stream: str) -> str:
        """Why a stream does not take an append; "" when it does."""
        if stream == settings.STREAM:
            subject = settings.subject_of(settings.PROBE)
        else:
            subject = f"$KV.{stream.removeprefix('KV_')}.{settings.PROBE}"
        try:
            await heeding(js.publish(subject, b"", headers={settings.RETAINED: "0"}))
        except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
            return _why(error)
        return ""

    async def _answers(self, within_s: float) -> tuple[bool, bool]:
        """Whether the server answers, and whether at once."""
        time = asyncio.get_running_loop().time
        begun = time()
        try:
            await heeding(self._nc.flush(max(1, round(within_s))))
        except (nats.errors.Error, OSError, TimeoutError):
            return False, False
        return bool(self._nc.is_connected), time() - begun < settings.PROMPT_S


class Suspicion:
    """For who looks after the server: waits until anybody's write fails, and finds out whether appends do."""

    def __init__(self, connection: Any) -> None:
        self._nc = connection
        self._told = asyncio.Event()

    @classmethod
    async def open(cls, url: str) -> Self:
        """Raises LogUnavailableError when no server answers."""
        connection = await connected(url, lambda: None)
        opened = cls(connection)
        try:
            await heeding(connection.subscribe(f"{settings.NOTES}.{settings.TROUBLE}", cb=opened._hear))
        except (nats.errors.Error, OSError) as error:
            raise LogUnavailableError(f"the log's notes cannot be heard: {error!r}") from error
        return opened

    async def _hear(self, _note: Any) -> None:
        self._told.set()

    async def raised(self, within_s: float) -> bool:
        """Wait until somebody has trouble with the log. False when nobody had within so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._told.wait()
        return self._told.is_set()

    async def look(self) -> Verdict:
        """Whether the log takes appends, whatever was told before."""
        self._told.clear()
        return await Probe(self._nc).look()

    async def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
            async with asyncio.timeout(1):
                await self._nc.close()


def _why(error: Exception) -> str:
    if isinstance(error, nats.js.errors.APIError):
        return error.description or f"error {error.err_code}"
    if isinstance(error, TimeoutError):
        return "an append was not answered"
    return str(error) or type(error).__name__


def _shown(stream: str) -> str:
    """What a stream holds, for people."""
    if stream == settings.STREAM:
        return "blocks"
    return stream.removeprefix(f"KV_{settings.STREAM}-").removeprefix("table-") or "all"
