"""A connection to the log that can be bad in a chosen way: answers that are lost, blocks that are late."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Relay:
    """Between a `Log` and its server. What is sent while `late` is set arrives when it is cleared, also when the
    connection is gone by then; what the server answers while `deaf` is lost.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.deaf = False
        self.late = False
        self._on_time = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None] | None] = set()
        self.url = ""

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Relay]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            self.hurry()
            self.cut()
            await asyncio.gather(*filter(None, self._serving))

    def cut(self) -> None:
        """End the connections on the client's side; new ones are taken."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    def hurry(self) -> None:
        """Now what was late arrives."""
        self.late = False
        self._on_time.set()
        self._on_time = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.current_task())
        self._writers.add(writer)
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            there, to = await asyncio.open_connection("127.0.0.1", self._port)
            with contextlib.closing(to):
                asking = asyncio.create_task(self._ask(reader, to))
                while data := await there.read(65536):
                    if not self.deaf:
                        writer.write(data)
            asking.cancel()

    async def _ask(self, reader: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if self.late:
                    await self._on_time.wait()
                to.write(data)
                await to.drain()
        to.write_eof()
