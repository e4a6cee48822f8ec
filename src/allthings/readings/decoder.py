"""Decoding off the event loop, once for all consumers of a process."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from allthings.readings.decode import Block, decode
from allthings.readings.decoded import Decoded
from allthings.readings.model import Model
from allthings.readings.settings import DECODED_BLOCKS_MAX, DECODED_ROWS_MAX


class Decoder:
    """One worker thread, and the last blocks decoded, so that historian and twin share the work.

    A block is decoded with the model that holds when it is first asked for.
    """

    def __init__(self, model_source: Callable[[], Model]) -> None:
        """`model_source` gives the newest snapshot and is called from the worker thread, once per block."""
        self._source = model_source
        self._given: Model | None = None
        self._model = Model()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="decode")
        self._cache: OrderedDict[int, asyncio.Task[Decoded]] = OrderedDict()
        self._rows = 0

    async def decode(self, entry: Block) -> Decoded:
        """The block, decoded. Never raises for what it holds: damage becomes a reject."""
        task = self._cache.get(entry.sequence)
        if task is None:
            task = asyncio.create_task(self._start(entry), name=f"decode block {entry.sequence}")
            self._cache[entry.sequence] = task
        else:
            self._cache.move_to_end(entry.sequence)
        # A caller that is cancelled must not take the block from the others.
        return await asyncio.shield(task)

    async def _start(self, entry: Block) -> Decoded:
        try:
            decoded = await asyncio.get_running_loop().run_in_executor(self._worker, self._decode, entry)
        except BaseException:
            self._cache.pop(entry.sequence, None)
            raise
        self._rows += decoded.readings.num_rows
        self._trim()
        return decoded

    def _decode(self, entry: Block) -> Decoded:
        given = self._source()
        if given is not self._given:
            self._model = self._model.renewed(given.types)
            self._given = given
        return decode(entry, self._model)

    def _trim(self) -> None:
        for sequence, task in list(self._cache.items()):
            if len(self._cache) <= DECODED_BLOCKS_MAX and self._rows <= DECODED_ROWS_MAX:
                return
            if task.done():
                self._rows -= task.result().readings.num_rows
                del self._cache[sequence]

    async def close(self) -> None:
        """Wait for the block under way and stop the worker."""
        await asyncio.to_thread(self._worker.shutdown, cancel_futures=True)
