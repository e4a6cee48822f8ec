"""What the log has lost is said by name: sessions, messages that waited, retained messages; and nothing else is."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from allthings.gateway import lost, roster, settings
from allthings.gateway.retained import RetainedMessage
from allthings.gateway.rows import Rows
from allthings.log import losses
from allthings.log.losses import Loss
from allthings.log.stream import Log
from allthings.log.table import key_of
from allthings.mqtt.packets import Will
from tests.gateway.station import Clock, Publish, Station, subscribe
from tests.gateway.test_keeper import again, publish, queued

_numbers = itertools.count()


@pytest.fixture
async def station(log: Log, tmp_path: Path) -> AsyncIterator[Station]:
    started = await Station(log, f"lost{next(_numbers)}", Clock(), data=tmp_path).start(fresh=True)
    yield started
    await started.crash()


def found(station: Station) -> list[tuple[str, str, int]]:
    assert station.data is not None
    return [(loss.what, loss.whose, loss.count) for loss in losses.read(station.data)]


async def retain(station: Station, topic: str, payload: bytes) -> None:
    peer = await station.connect("retainer")
    peer.send(Publish(topic, payload, 1, True, packet_id=1))
    await station.settle()
    peer.vanish()
    await station.settle()


def row_of(topic: str) -> str:
    return f"row-{Rows(1024)._row_of(topic)}"


async def test_a_session_whose_row_is_gone_is_named_once(station: Station, caplog: pytest.LogCaptureFixture) -> None:
    await queued(station, b"1", b"2")
    await station.session("b", "t")
    await station.keeper.keep()
    await station.crash()
    await station.keeper._sessions.delete(key_of("a"))
    await station.start()
    assert found(station) == [(losses.SESSION, "a", 2)]
    assert "the session of client 'a' is lost, with 2 messages that waited for it" in caplog.text
    assert list(station.broker.sessions.by_client) == ["b"]
    await station.session("c", "t")
    await station.keeper.keep()
    await station.restart()
    assert len(found(station)) == 1


async def test_a_session_of_which_an_older_row_is_left_is_as_it_was(
    station: Station, caplog: pytest.LogCaptureFixture
) -> None:
    """A table that was cut has rows again that later ones had replaced."""
    await queued(station, b"1")
    await station.keeper.keep()
    older = (await station.keeper._sessions._bucket.get(key_of("a"))).value
    await publish(station, b"2", b"3")
    await station.keeper.keep()
    await station.crash()
    await station.keeper._sessions.put(key_of("a"), older)
    await station.start()
    assert "older rows of 1 sessions (client 'a', …)" in caplog.text
    assert [each.payload for each in await again(station) if isinstance(each, Publish)] == [b"1", b"2", b"3"]
    assert found(station) == []


async def test_a_retained_message_of_which_an_older_one_is_left_comes_from_the_log(station: Station) -> None:
    topic = f"lost/{next(_numbers)}"
    await retain(station, topic, b"old")
    await station.keeper.keep()
    older = (await station.keeper._retained._bucket.get(row_of(topic))).value
    await retain(station, topic, b"new")
    await station.keeper.keep()
    await station.crash()
    await station.keeper._retained.put(row_of(topic), older)
    await station.start()
    message = station.broker.retained.get(topic)
    assert message is not None
    assert message.payload == b"new"
    assert found(station) == []


async def test_a_will_whose_row_is_gone_is_named(station: Station) -> None:
    for client in ("a", "b"):
        peer = await station.connect(client, expiry_s=1000, clean=False, will=Will(f"w/{client}", b"gone", 1))
        assert peer.received
    await station.keeper.keep()
    peer = await station.connect("b", clean=False, expiry_s=1000)
    await station.settle()
    await station.crash()
    rows = [key async for key, _ in station.keeper._wills.rows()]
    for key in rows:
        await station.keeper._wills.delete(key)
    await station.start()
    assert found(station) == [(losses.WILL, "a", 1)]


async def test_sessions_that_ended_are_not_missed(station: Station) -> None:
    for client in ("a", "b", "c"):
        (await station.session(client, "t")).vanish()
    await station.settle()
    await station.keeper.keep()
    # One ends and it is kept, one ends and that is only in the log, one is over by the time.
    for client in ("a", "b"):
        peer = await station.connect(client)
        peer.vanish()
        await station.settle()
        if client == "a":
            await station.keeper.keep()
    await station.restart()
    station.clock.forward(2000)  # type: ignore[attr-defined]
    await station.look()
    await station.keeper.keep()
    await station.restart()
    assert not station.broker.sessions.by_client
    assert found(station) == []


async def test_rosters_that_are_gone_or_damaged_miss_nobody(station: Station) -> None:
    assert station.data is not None
    await queued(station, b"1")
    await station.keeper.keep()
    folder = station.data / roster.FOLDER
    assert {name: noted.waiting for name, noted in roster.read(folder, "sessions").items()} == {"a": 1}
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:-2])
    await station.restart()
    assert found(station) == []
    shutil.rmtree(folder)
    await station.restart()
    (await station.session("b", "t")).vanish()
    await station.settle()
    await station.keeper.keep()
    assert {name: noted.waiting for name, noted in roster.read(folder, "sessions").items()} == {"a": 1, "b": 0}


async def test_messages_in_blocks_that_are_gone_are_counted_and_the_others_come(
    station: Station, monkeypatch: Any
) -> None:
    monkeypatch.setattr(settings, "SESSION_MEMORY_MESSAGES_MAX", 2)
    await queued(station)
    for number in range(6):
        await publish(station, b"%d" % number, qos=1)
    await station.keeper.keep()
    positions = station.broker.sessions.by_client["a"].queue.spilled.all().positions
    await station.crash()
    for position in positions[1:3]:
        await station.log._js.delete_msg("allthings", int(position) >> 20)
    await station.start()
    assert found(station) == [(losses.MESSAGES, "a", 2)]
    assert str(int(positions[1]) >> 20) in losses.read(station.data)[0].why  # type: ignore[arg-type]
    got = [each.payload for each in await again(station) if isinstance(each, Publish)]
    assert len(got) == 4
    await station.keeper.keep()
    await station.restart()
    assert len(found(station)) == 1


async def test_a_message_in_a_block_that_turns_out_to_be_damaged_is_counted(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    await queued(station, b"1", b"2")
    await station.keeper.keep()
    await station.restart()
    positions = station.broker.sessions.by_client["a"].queue.spilled.all().positions
    assert len(positions) == 2
    # The server finds a damaged block only when it is asked for, and then says that it has none.
    await station.log._js.delete_msg("allthings", int(positions[0]) >> 20)
    peer = await station.connect("a", clean=False, expiry_s=1000)
    await station.settle()
    assert found(station) == [(losses.MESSAGES, "a", 2 if positions[0] >> 20 == positions[1] >> 20 else 1)]
    assert peer.connection.session is not None


async def test_what_was_trimmed_for_its_age_is_no_loss(log: Log, own_nats_server: Any, tmp_path: Path) -> None:
    own = await Log.connect(own_nats_server.url)
    station = await Station(own, "trimmed", Clock(), data=tmp_path / "data").start(fresh=True)
    assert station.data is not None
    station.data.mkdir()
    await queued(station, b"1", b"2")
    await station.keeper.keep()
    await station.crash()
    last = (await own.status()).last
    assert await own.trim(last, 2**62, keep_age_s=0, keep_bytes=1) > 0
    await station.start()
    assert found(station) == []
    await again(station)
    assert station.broker.sessions.by_client["a"].expired == 2
    assert found(station) == []
    await station.crash()
    await own.close()


async def test_a_retained_message_whose_row_is_gone_comes_from_the_log(
    station: Station, caplog: pytest.LogCaptureFixture
) -> None:
    topic = f"lost/{next(_numbers)}"
    await retain(station, topic, b"old")
    await retain(station, topic, b"new")
    await station.keeper.keep()
    await station.crash()
    await station.keeper._retained.delete(row_of(topic))
    await station.start()
    assert found(station) == []
    assert "1 of them were found in the log" in caplog.text
    message = station.broker.retained.get(topic)
    assert isinstance(message, RetainedMessage)
    assert message.payload == b"new"
    await station.keeper.keep()
    assert await station.keeper._retained._bucket.get(row_of(topic)) is not None
    peer = await station.connect("late")
    peer.send(subscribe(topic, 1))
    await station.settle()
    assert [each.payload for each in peer.publishes()] == [b"new"]


async def test_a_retained_message_that_is_nowhere_any_more_is_named(station: Station) -> None:
    topic = f"lost/{next(_numbers)}"
    await retain(station, topic, b"x")
    await station.keeper.keep()
    message = station.broker.retained.get(topic)
    assert message is not None
    await station.crash()
    await station.keeper._retained.delete(row_of(topic))
    await station.log._js.delete_msg("allthings", message.position >> 20)
    await station.start()
    assert found(station) == [(losses.RETAINED, topic, 1)]
    await station.session("b", "t")
    await station.keeper.keep()
    await station.restart()
    assert len(found(station)) == 1


async def test_a_retained_message_that_was_removed_is_not_missed(station: Station) -> None:
    topic = f"lost/{next(_numbers)}"
    await retain(station, topic, b"x")
    await station.keeper.keep()
    await retain(station, topic, b"")
    await station.restart()
    assert found(station) == []
    await station.keeper.keep()
    await station.restart()
    assert found(station) == []


async def test_many_losses_are_said_in_few_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    several = lost.Lost(tmp_path, Clock())
    for number in range(50):
        several.add(losses.RETAINED, f"t/{number}", 1, "it was damaged")
    several.add(losses.BLOCKS, "7 to 9", 3, "nobody knows")
    await several.tell()
    await several.tell()
    assert len(losses.read(tmp_path)) == 51
    assert len(caplog.records) == 22
    assert "and 30 more: retained message; all of them stand in losses.jsonl" in caplog.text
    assert "blocks 7 to 9 of the log are lost: nobody knows" in caplog.text


def test_the_file_of_losses_is_bounded_and_survives_damage(tmp_path: Path) -> None:
    loss = Loss(time="2026-01-01T00:00:00Z", what=losses.SESSION, whose="x" * 1000, count=1, why="")
    for _ in range(12):
        losses.write(tmp_path, [loss] * 100)
    size = (tmp_path / losses.FILE).stat().st_size
    assert 0 < size < 1_000_000
    with (tmp_path / losses.FILE).open("ab") as file:
        file.write(b"{damaged\n")
    assert set(losses.read(tmp_path)) == {loss}
    assert losses.read(tmp_path / "nowhere") == []
    losses.write(tmp_path / "nowhere", [loss])
