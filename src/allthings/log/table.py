"""Durable tables of bytes by key, beside the stream: what a consumer wants to find again when it starts."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from hashlib import blake2b
from typing import Any

import nats.errors
import nats.js.errors
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from allthings.log import settings
from allthings.log.errors import LogUnavailableError
from allthings.log.heeding import heeding
from allthings.log.underway import Underway


class _StalledError(Exception):
    """A consumer's count of what is left is wrong, or what it sent was lost on the way."""


def key_of(name: str) -> str:
    """A key for any text: the server allows few characters and little length. The value should hold the name too."""
    return blake2b(name.encode(), digest_size=20).hexdigest()


class Table:
    """Make it with `Log.table`. Keys are letters, digits and `-`; see `key_of`. Writes are on disk when they return."""

    def __init__(self, js: Any, underway: Underway, bucket: Any, name: str) -> None:
        """`bucket` is the key-value bucket called `name`."""
        self._js = js
        self._underway = underway
        self._bucket = bucket
        self._stream = f"KV_{name}"
        self._prefix = f"$KV.{name}."

    async def put(self, key: str, value: bytes) -> None:
        """Set a key's value. Raises LogUnavailableError."""
        try:
            async with self._underway.one():
                await heeding(self._bucket.put(key, value))
        except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
            raise LogUnavailableError(f"a row cannot be kept: {error!r}") from error

    async def delete(self, key: str) -> None:
        """Remove a key, also one that is not there. Raises LogUnavailableError."""
        try:
            async with self._underway.one():
                await heeding(self._bucket.purge(key))
        except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
            raise LogUnavailableError(f"a row cannot be removed: {error!r}") from error

    async def rows(self) -> AsyncIterator[tuple[str, bytes]]:
        """Each key with its value as they stand now, in no particular order. Raises LogUnavailableError.

        A pull consumer of our own: nats-py's watcher takes rows that are still on their way for none at all.
        """
        deleted: list[tuple[str, int]] = []
        seen: set[int] = set()
        try:
            for attempt in itertools.count(1):
                try:
                    async with contextlib.aclosing(self._messages()) as messages:
                        async for message in messages:
                            sequence = message.metadata.sequence.stream
                            if sequence in seen:
                                continue
                            seen.add(sequence)
                            if message.subject == self._prefix + settings.PROBE:
                                continue
                            if "KV-Operation" in (message.header or {}):
                                deleted.append((message.subject, sequence))
                            else:
                                yield message.subject.removeprefix(self._prefix), message.data
                    break
                except _StalledError as error:
                    if attempt == settings.ROWS_ATTEMPTS:
                        raise LogUnavailableError(f"the rows of {self._stream} cannot be read: {error}") from error
            for subject, sequence in deleted[: settings.MARKS_SWEPT_MAX]:
                # The mark that it is deleted, but nothing newer.
                await heeding(self._js.purge_stream(self._stream, subject=subject, seq=sequence + 1))
        except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
            raise LogUnavailableError(f"the rows cannot be read: {error!r}") from error

    async def _messages(self) -> AsyncGenerator[Any, None]:
        """All rows once, from a consumer at the server. Raises _StalledError when it counts more than it sends."""
        config = ConsumerConfig(
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
            mem_storage=True,
            num_replicas=1,
            inactive_threshold=settings.READER_INACTIVE_S,
        )
        subscription = await heeding(self._js.pull_subscribe(f"{self._prefix}>", stream=self._stream, config=config))
        try:
            left = (await heeding(subscription.consumer_info())).num_pending
            while left:
                messages = await self._fetch(subscription, min(left, settings.ROWS_AT_ONCE))
                for message in messages:
                    left = message.metadata.num_pending
                    yield message
                if not messages:
                    # What was still to come is gone, or replaced by something newer that comes too.
                    before, left = left, (await heeding(subscription.consumer_info())).num_pending
                    if left == before:
                        raise _StalledError(f"the server counts {left} more, and sends none")
        finally:
            await self._forget(subscription)

    async def _fetch(self, subscription: Any, count: int) -> list[Any]:
        try:
            return list(await heeding(subscription.fetch(count, timeout=settings.ROWS_WITHIN_S)))
        except TimeoutError:
            return []

    async def _forget(self, subscription: Any) -> None:
        with contextlib.suppress(nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError):
            consumer = (await heeding(subscription.consumer_info())).name
            await heeding(subscription.unsubscribe())
            await heeding(self._js.delete_consumer(self._stream, consumer))
