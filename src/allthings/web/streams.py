"""Answers that leave in pieces."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

from allthings.web.pools import Pool


async def streamed(pool: Pool, pieces: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Each piece made in a thread when the one before has left, so that a slow reader costs no memory."""
    while True:
        piece = await pool.run(next, pieces, None)
        if piece is None:
            return
        if piece:
            yield piece
