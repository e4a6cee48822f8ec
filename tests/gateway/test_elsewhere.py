"""What reaches the log in another way goes to subscribers as if it had come over this gateway."""

from __future__ import annotations

import pyarrow as pa
import pytest

from allthings.log import block
from tests.gateway.station import Publish, Station
from tests.log.test_block import messages


async def test_messages_of_others_are_handed_on_in_order(station: Station) -> None:
    peer = await station.session("a", "else/#")
    for number in range(5):
        batch = messages([f"else/{number}", "other"], [b"%d" % number, b""])
        sequence = await station.log.append_batch(batch, "bridge")
    await station.settle(others=sequence)
    assert [(each.topic, each.payload, each.qos) for each in peer.publishes()] == [
        (f"else/{number}", b"%d" % number, 1) for number in range(5)
    ]
    assert station.broker.followed == sequence


async def test_own_messages_come_once(station: Station) -> None:
    peer = await station.session("a", "else/#")
    peer.send(Publish("else/own", b"1", 1, packet_id=1))
    await station.settle()
    await station.settle(others=station.broker.collector.sequence)
    assert [each.payload for each in peer.publishes()] == [b"1"]


@pytest.mark.parametrize("source", ["upload", "replay"])
async def test_what_is_no_message_is_passed_over(station: Station, source: str) -> None:
    peer = await station.session("a", "#")
    sequence = await station.log.append_batch(messages(["else/no"], [b"1"]), source)
    await station.settle(others=sequence)
    assert peer.publishes() == []


async def test_readings_and_damage_are_passed_over(station: Station, caplog: pytest.LogCaptureFixture) -> None:
    peer = await station.session("a", "else/#")
    columns = [pa.array([], field.type) for field in block.READINGS]
    await station.log.append_batch(pa.RecordBatch.from_arrays(columns, schema=block.READINGS), "web")
    await station.log.append(b"no block", "bridge")
    sequence = await station.log.append_batch(messages(["else/yes"], [b"1"]), "bridge")
    await station.settle(others=sequence)
    assert "is damaged" in caplog.text
    assert [each.payload for each in peer.publishes()] == [b"1"]


async def test_retained_messages_of_others_are_kept_although_nobody_listens(station: Station) -> None:
    batch = messages(["else/kept"], [b"1"])
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    columns["flags"] = pa.array([1 | block.FLAG_RETAIN], pa.uint8())
    batch = pa.RecordBatch.from_arrays(list(columns.values()), schema=batch.schema)
    sequence = await station.log.append_batch(batch, "bridge")
    await station.settle(others=sequence)
    kept = station.broker.retained.get("else/kept")
    assert kept is not None
    assert kept.payload == b"1"
