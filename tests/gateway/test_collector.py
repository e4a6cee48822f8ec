"""Blocks keep order and limits; acknowledgements come only behind the whole of what they acknowledge."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from allthings.gateway import settings
from allthings.gateway.changes import Taken, Unsubscribed, decode
from allthings.gateway.collector import Collector
from allthings.gateway.gathering import Run
from allthings.log import block
from allthings.log.stream import Log
from tests.log.test_stream import take

_numbers = itertools.count()


class Device:
    client = "device"

    def __init__(self) -> None:
        self.acknowledged: list[bytes] = []

    def acknowledge(self, pubacks: bytes) -> None:
        self.acknowledged += [pubacks[at + 2 : at + 4] for at in range(0, len(pubacks), 4)]


async def collect(log: Log, fill: object) -> tuple[Collector, list[tuple[list[Run], list[bytes]]], list[bool]]:
    stored: list[tuple[list[Run], list[bytes]]] = []
    pressed: list[bool] = []
    collector = Collector(
        log,
        f"collector{next(_numbers)}",
        lambda: 5,
        lambda runs, payloads, *_: stored.append((runs, payloads)),
        pressed.append,
        print,
    )
    fill(collector)  # type: ignore[operator]
    running = asyncio.create_task(collector.run())
    collector.stop()
    await asyncio.wait_for(running, 60)
    return collector, stored, pressed


async def test_a_large_gathering_is_divided_and_acknowledged_at_its_end(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "BLOCK_MESSAGES_MAX", 7)
    device = Device()
    payloads = [b"%d" % number for number in range(20)]
    before = (await log.status()).last

    def fill(collector: Collector) -> None:
        collector.add_run("a", payloads[:10], 1, device, [b"%02d" % n for n in range(10)])
        collector.add("b", payloads[10], 0, "other", b"\x01\x00")
        collector.add_run("c", payloads[11:], 1, device, [b"%02d" % n for n in range(11, 20)])

    collector, stored, _ = await collect(log, fill)
    entries = await take(log, before, 3)
    assert [entry.batch.num_rows for entry in entries] == [7, 7, 6]
    columns = {
        name: [v for e in entries for v in e.batch.column(name).to_pylist()] for name in entries[0].batch.schema.names
    }
    assert columns["payload"] == payloads == [p for _, some in stored for p in some]
    assert columns["topic"] == ["a"] * 10 + ["b"] + ["c"] * 9
    assert columns["client"] == ["device"] * 10 + ["other"] + ["device"] * 9
    assert columns["properties"] == [None] * 10 + [b"\x01\x00"] + [None] * 9
    received = [v for e in entries for v in e.batch.column("received").cast("int64").to_pylist()]
    assert received == list(range(5, 25)), "a clock that stands still must not give a time twice"
    assert device.acknowledged == [b"%02d" % n for n in range(20) if n != 10]
    assert collector.messages == 20


async def test_pressure_is_told_once_and_released(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "WAITING_MESSAGES_MAX", 5)

    def fill(collector: Collector) -> None:
        for _ in range(3):
            collector.add_run("a", [b"x"] * 4, 0, Device(), [])

    _, _, pressed = await collect(log, fill)
    assert pressed == [True, False]


async def test_changes_are_divided_like_messages_and_stay_with_them(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a stalled log lets pile up must fit into blocks; a QoS 2 message and its change are stored as one."""
    monkeypatch.setattr(settings, "BLOCK_BYTES_MAX", 2000)
    before = (await log.status()).last
    done: list[str] = []

    def fill(collector: Collector) -> None:
        for number in range(100):
            collector.change(Unsubscribed("early", f"filter/{number}"))
        for number in range(50):
            collector.add("t", b"x" * 100, 2, "device")
            collector.change(Taken("device", number + 1))
        for number in range(100):
            collector.change(Unsubscribed("late", f"filter/{number}"))
        collector.then(lambda: done.append("all"))

    collector, _, _ = await collect(log, fill)
    entries = await take(log, before, 3)
    assert done == ["all"]
    assert collector.messages == 50
    taken, order = 0, []
    for entry in entries:
        assert entry.size < 2 * 2000 + 4000
        changes = decode(block.changes(entry.batch))
        order += [each.topic_filter for each in changes if isinstance(each, Unsubscribed)]
        identifiers = [each.packet_id for each in changes if isinstance(each, Taken)]
        assert identifiers == list(range(taken + 1, taken + 1 + entry.batch.num_rows))
        taken += entry.batch.num_rows
    assert taken == 50
    assert order == [f"filter/{number}" for number in range(100)] * 2


async def test_changes_alone_make_pressure(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "WAITING_BYTES_MAX", 1000)

    def fill(collector: Collector) -> None:
        for number in range(100):
            collector.change(Unsubscribed("a", f"filter/{number}"))

    _, _, pressed = await collect(log, fill)
    assert pressed == [True, False]


async def test_turns_keep_their_place_among_messages_that_are_divided(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "BLOCK_MESSAGES_MAX", 4)
    order: list[object] = []

    def stored(runs: list[Run], payloads: list[bytes], *more: object) -> None:
        turns = dict(more[-1])  # type: ignore[call-overload]
        for row, payload in enumerate(payloads):
            if row in turns:
                turns.pop(row)()
            order.append(int(payload))
        for call in turns.values():
            call()

    collector = Collector(log, f"collector{next(_numbers)}", lambda: 5, stored, lambda _: None, print)
    collector.in_turn(lambda: order.append("at once"))
    for number in range(10):
        collector.add("t", b"%d" % number, 0, "device")
        if number % 4 in (1, 3):
            collector.in_turn(lambda number=number: order.append(f"after {number}"))  # type: ignore[misc]
    collector.add_run("t", [b"10", b"11"], 0, Device(), [])
    collector.in_turn(lambda: order.append("last"))
    assert order == ["at once"]
    running = asyncio.create_task(collector.run())
    collector.stop()
    await asyncio.wait_for(running, 60)
    assert order == [
        *("at once", 0, 1, "after 1", 2, 3, "after 3", 4, 5, "after 5", 6, 7, "after 7", 8, 9, "after 9", 10, 11),
        "last",
    ]
