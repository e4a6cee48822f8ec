"""Decoding off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from allthings.readings.decode import Block, decode_all, open_size
from allthings.readings.decoded import Decoded
from allthings.readings.model import Model
from allthings.readings.settings import AT_ONCE_BYTES_MAX, AT_ONCE_STORED_BYTES_MAX


class Decoder:
    """Decodes with the newest model: little at once, much in one worker thread.

    A thread that works in Python must be waited for until it gives the interpreter up, so that handing a millisecond
    of work to another one costs more than it saves.
    """

    def __init__(self, model_source: Callable[[], Model]) -> None:
        """`model_source` gives the newest snapshot and is called from any thread, once per call."""
        self._source = model_source
        self._given: Model | None = None
        self._model = Model()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="decode")
        self._working = 0

    async def decode(self, entry: Block) -> Decoded:
        """The block, decoded. Never raises for what it holds: damage becomes a reject."""
        (decoded,) = await self.decode_all([entry])
        return decoded

    async def decode_all(self, entries: Sequence[Block]) -> list[Decoded]:
        """Blocks that follow one another, small ones together (`decode.decode_all`)."""
        if not self._working and self._source() is self._given and _is_little(entries):
            return self._decode(entries)
        self._working += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, self._decode, entries)
        finally:
            self._working -= 1

    def _decode(self, entries: Sequence[Block]) -> list[Decoded]:
        given = self._source()
        if given is not self._given:
            self._model = self._model.renewed(given.types)
            self._given = given
        return decode_all(entries, self._model)

    async def close(self) -> None:
        """Wait for the blocks under way and stop the worker."""
        await asyncio.to_thread(self._worker.shutdown, cancel_futures=True)


def _is_little(entries: Sequence[Block]) -> bool:
    stored = sum(len(entry.data) for entry in entries)
    return stored <= AT_ONCE_STORED_BYTES_MAX and sum(map(open_size, entries)) <= AT_ONCE_BYTES_MAX
