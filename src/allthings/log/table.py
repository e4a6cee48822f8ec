"""Durable tables of bytes by key, beside the stream: what a consumer wants to find again when it starts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import blake2b
from typing import Any

import nats.errors
import nats.js.errors

from allthings.log.errors import LogUnavailableError
from allthings.log.heeding import heeding


def key_of(name: str) -> str:
    """A key for any text: the server allows few characters and little length. The value should hold the name too."""
    return blake2b(name.encode(), digest_size=20).hexdigest()


class Table:
    """Make it with `Log.table`. Keys are letters, digits and `-`; see `key_of`. Writes are on disk when they return."""

    def __init__(self, bucket: Any) -> None:
        self._bucket = bucket

    async def put(self, key: str, value: bytes) -> None:
        """Set a key's value. Raises LogUnavailableError."""
        try:
            await heeding(self._bucket.put(key, value))
        except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
            raise LogUnavailableError(f"a row cannot be kept: {error!r}") from error

    async def delete(self, key: str) -> None:
        """Remove a key, also one that is not there. Raises LogUnavailableError."""
        try:
            await heeding(self._bucket.purge(key))
        except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
            raise LogUnavailableError(f"a row cannot be removed: {error!r}") from error

    async def rows(self) -> AsyncIterator[tuple[str, bytes]]:
        """Each key with its value as they stand now, in no particular order. Raises LogUnavailableError."""
        try:
            watcher = await heeding(self._bucket.watchall(ignore_deletes=True))
            try:
                async for entry in watcher:
                    # The watcher says None once it has shown everything that was there.
                    if entry is None:
                        break
                    yield entry.key, entry.value or b""
            finally:
                await watcher.stop()
        except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
            raise LogUnavailableError(f"the rows cannot be read: {error!r}") from error
