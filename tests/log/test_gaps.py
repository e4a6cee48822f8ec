"""A log that lost its end goes on behind any number, and knows what it lacks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest

from allthings.log.entry import Entry
from allthings.log.gaps import gaps
from allthings.log.stream import Log
from tests.log.test_block import messages
from tests.servers import NatsServer


async def filled(server: NatsServer, blocks: int) -> Log:
    log = await Log.connect(server.url)
    for number in range(blocks):
        await log.append_batch(messages([f"t/{number}"], [b"x"]), "gateway")
    return log


@pytest.mark.parametrize("blocks", [0, 3])
async def test_a_log_goes_on_behind_a_number_with_all_that_it_has(own_nats_server: NatsServer, blocks: int) -> None:
    log = await filled(own_nats_server, blocks)
    await log.skip_to(5003)
    await log.skip_to(100)
    status = await log.status()
    assert (status.last, status.blocks) == (5003, blocks + 1)
    assert [(gap.first, gap.last) for gap in await gaps(log)] == ([(4, 5002)] if blocks else [])
    assert await log.append_batch(messages(["t"], [b"x"]), "gateway") == 5004
    read = [entry async for entries in _up_to(log, 5004) for entry in entries]
    assert [entry.batch.num_rows for entry in read] == [1] * blocks + [0, 1]
    present = await log.present()
    asked = np.array([1, 3, 4, 5002, 5003, 5004, 5005], np.uint64)
    expected = [not blocks, not blocks, True, True, False, False, True]
    assert present.lacks(asked).tolist() == expected
    await log.close()
    # However it ends and starts again.
    own_nats_server.kill()
    own_nats_server.start()
    log = await Log.connect(own_nats_server.url)
    assert (await log.status()).last == 5004
    await log.close()


async def _up_to(log: Log, last: int) -> AsyncIterator[list[Entry]]:
    async for entries in log.read(0):
        yield entries
        if entries[-1].sequence == last:
            return


async def test_gaps_have_the_times_of_the_blocks_around_them(own_nats_server: NatsServer) -> None:
    log = await filled(own_nats_server, 9)
    for sequence in (1, 4, 5, 9):
        await log._js.delete_msg("allthings", sequence)
    found = await gaps(log)
    assert [(gap.first, gap.last) for gap in found] == [(4, 5), (9, 9)]
    third, sixth = await log.get(3), await log.get(6)
    assert third is not None
    assert sixth is not None
    assert abs(found[0].after_ns - third.stored_ns) < 2_000
    assert abs(found[0].before_ns - sixth.stored_ns) < 2_000
    assert found[1].before_ns == 0
    await log.close()


async def test_what_was_trimmed_is_known(own_nats_server: NatsServer) -> None:
    log = await filled(own_nats_server, 5)
    assert await log.trimmed() == 0
    assert await log.trim(3, 2**62, keep_age_s=0, keep_bytes=1) == 3
    assert await log.trimmed() == 3
    assert (await log.status()).positions == {}
    await log.close()
