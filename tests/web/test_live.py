"""The live feed, over a real server: in-process transports do not stream."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn

from allthings.log import block
from allthings.twin import live as twin_live
from allthings.twin.live import Frame, Update
from allthings.web import live, settings
from allthings.web.errors import BusyError
from tests.twin.feed import block_of, said
from tests.web.conftest import Platform, until


@pytest.fixture(scope="module")
async def server(app: Any) -> AsyncIterator[str]:
    """The application on a port of its own."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    running = uvicorn.Server(
        uvicorn.Config(app, http="httptools", ws="none", lifespan="off", log_config=None, timeout_graceful_shutdown=2)
    )
    task = asyncio.create_task(running.serve(sockets=[listener]))
    await until(lambda: running.started)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    running.should_exit = True
    await task
    listener.close()


class Reader:
    """A client of the feed: parses events as the standard says."""

    def __init__(self, url: str, token: str, **parameters: Any) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=20)
        headers = {"Authorization": f"Bearer {token}"}
        if "last" in parameters:
            headers["Last-Event-ID"] = parameters.pop("last")
        self._request = self._client.build_request("GET", "/api/live", params=parameters, headers=headers)
        self.last_id = ""
        self.comments = 0

    async def __aenter__(self) -> Reader:
        self._response = await self._client.send(self._request, stream=True)
        assert self._response.status_code == 200, await self._response.aread()
        self._lines = self._response.aiter_lines()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._response.aclose()
        await self._client.aclose()

    async def event(self) -> tuple[str, Any]:
        """The next event's name and data."""
        name, data = "", ""
        async for line in self._lines:
            if line.startswith(":"):
                self.comments += 1
            elif line.startswith("id: "):
                self.last_id = line[4:]
            elif line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                data += line[6:]
            elif not line and data:
                return name, json.loads(data)
        raise AssertionError("the stream has ended")

    async def frame(self) -> list[str]:
        """The next lines up to an empty one."""
        found: list[str] = []
        async for line in self._lines:
            if not line:
                return found
            found.append(line)
        raise AssertionError("the stream has ended")

    async def started(self) -> None:
        """Until the server has subscribed."""
        async for line in self._lines:
            if line.startswith("id: "):
                self.last_id = line[4:]
                return

    async def values(self, count: int) -> list[tuple[str, str, Any]]:
        """The next values, of as many events as it takes."""
        found: list[tuple[str, str, Any]] = []
        while len(found) < count:
            name, data = await self.event()
            assert name == "values"
            found += [(one["thing"], one["property"], one["value"]) for one in data["values"]]
        return found


async def test_values_arrive(server: str, platform: Platform) -> None:
    async with Reader(server, platform.token, thing="l-1") as reader:
        await reader.started()
        await platform.publish("things/l-1/properties", b'{"a":1,"b":"x"}')
        await platform.publish("things/l-2/properties", b'{"a":1}')
        await platform.publish("things/l-1/properties/a", b"2")
        assert await reader.values(3) == [("l-1", "a", 1), ("l-1", "b", "x"), ("l-1", "a", 2)]


async def test_filter_by_property(server: str, platform: Platform) -> None:
    async with Reader(server, platform.token, property="only") as reader:
        await reader.started()
        await platform.publish("things/l-3/properties", b'{"other":1,"only":2}')
        assert await reader.values(1) == [("l-3", "only", 2)]


async def test_going_on_after_a_break(server: str, platform: Platform) -> None:
    async with Reader(server, platform.token, thing="l-4") as reader:
        await reader.started()
        await platform.publish("things/l-4/properties/a", b"1")
        await reader.values(1)
        place = reader.last_id
    await platform.publish("things/l-4/properties/a", b"2")
    await platform.caught_up()
    await platform.publish("things/l-4/properties/a", b"3")
    async with Reader(server, platform.token, thing="l-4", last=place) as again:
        assert await again.values(2) == [("l-4", "a", 2), ("l-4", "a", 3)]
        await platform.publish("things/l-4/properties/a", b"4")
        assert await again.values(1) == [("l-4", "a", 4)]
    async with Reader(server, platform.token, thing="l-4", after=place) as by_parameter:
        assert (await by_parameter.values(1))[0] == ("l-4", "a", 2)


async def test_a_place_that_this_log_never_gave_is_a_gap(server: str, platform: Platform) -> None:
    async with Reader(server, platform.token, thing="l-5", last=str((1 << 64) - 1)) as reader:
        name, data = await reader.event()
        assert name == "gap"
        assert data["before"] == reader.last_id
        await platform.publish("things/l-5/properties/a", b"1")
        assert await reader.values(1) == [("l-5", "a", 1)]


async def test_streams_end_when_the_client_leaves(server: str, platform: Platform) -> None:
    await until(lambda: platform.twin.hub.subscribers == 0)
    async with Reader(server, platform.token) as reader:
        await reader.started()
        await until(lambda: platform.twin.hub.subscribers == 1)
    await until(lambda: platform.twin.hub.subscribers == 0)


async def test_comments_keep_a_quiet_stream_alive(
    server: str, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "LIVE_KEEPALIVE_S", 0.05)
    async with Reader(server, platform.token, thing="l-quiet") as reader:
        await reader.started()
        waiting = asyncio.create_task(reader.event())
        await until(lambda: reader.comments >= 3)
        await platform.publish("things/l-quiet/properties/a", b"1")
        assert (await waiting)[0] == "values"


async def test_a_stream_ends_with_its_token(
    server: str, platform: Platform, monkeypatch: pytest.MonkeyPatch, http: httpx.AsyncClient
) -> None:
    monkeypatch.setattr(settings, "LIVE_KEEPALIVE_S", 0.05)
    made = (await http.post("/api/tokens", json={})).json()
    async with Reader(server, made["token"], thing="l-quiet-2") as reader:
        await reader.started()
        await http.delete(f"/api/tokens/{made['id']}")
        with pytest.raises(AssertionError, match="ended"):
            await reader.event()


async def test_who_comes_back_loses_nothing_wherever_the_connection_breaks(
    server: str, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Many small events, some from the log and some from memory.
    monkeypatch.setattr(twin_live, "RING_ROWS_MAX", 8)
    monkeypatch.setattr(twin_live, "UPDATE_VALUES_MAX", 2)
    monkeypatch.setattr(settings, "LIVE_EVENT_VALUES_MAX", 3)
    async with Reader(server, platform.token, thing="l-6") as reader:
        await reader.started()
        start = reader.last_id
    for number in range(10):
        messages = [("things/l-6/properties", b'{"a":%d,"b":%d}' % (2 * row, 2 * row)) for row in range(2)]
        await platform.publish_many([*messages, ("things/l-6/properties/c", b"%d" % number)])
    await platform.caught_up()
    values = 10 * 5
    uncut = await frames_until(server, platform, start, values)
    assert len(uncut) > 10
    for cut in range(len(uncut) + 1):
        before = uncut[:cut]
        place = next((id_ for id_, _ in reversed(before) if id_), start)
        told = sum(count for _, count in before)
        again = await frames_until(server, platform, place, values - told)
        assert sum(count for _, count in again) == values - told
        ids = [int(id_) for id_, _ in [*before, *again] if id_]
        assert ids == sorted(ids)


async def frames_until(server: str, platform: Platform, place: str, values: int) -> list[tuple[str, int]]:
    """The frames of the feed after a place, up to that with the last of so many values: id, number of values."""
    found: list[tuple[str, int]] = []
    async with Reader(server, platform.token, thing="l-6", last=place) as reader:
        while not found or sum(count for _, count in found) < values:
            lines = await reader.frame()
            data = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
            assert "event: gap" not in lines
            ids = [line[4:] for line in lines if line.startswith("id: ")]
            found.append((ids[0] if ids else "", sum(len(one["values"]) for one in data)))
    return found


@pytest.mark.parametrize("place", ["0", "1", "1048575", "1048576", "-1", "x", "1.5", "\u0663", "9" * 400, str(1 << 63)])
@pytest.mark.parametrize("header", [True, False])
async def test_odd_places_give_values_or_a_gap(server: str, platform: Platform, place: str, header: bool) -> None:
    await platform.caught_up(await platform.publish("things/l-7/properties/a", b"1"))
    if header and not place.isascii():
        return  # no header can say it
    given = {"last": place} if header else {"after": place}
    async with Reader(server, platform.token, thing="l-7", **given) as reader:
        name, data = await reader.event()
        if name == "gap" and data["before"] == reader.last_id:
            await platform.publish("things/l-7/properties/a", b"2")
            assert (await reader.values(1))[0][0] == "l-7"
        else:
            # What is still there follows; a gap before it if the log is longer than is looked through.
            assert place in ("0", "1", "1048575", "1048576")
            if name == "gap":
                name, data = await reader.event()
            assert (name, data["values"][0]["thing"]) == ("values", "l-7")
        assert int(reader.last_id) > 0


def test_streams_are_bounded() -> None:
    streams = live.LiveStreams()
    streams.check()
    streams.open = settings.LIVE_STREAMS_MAX
    with pytest.raises(BusyError):
        streams.check()


def update(number: int, *, gap: bool = False) -> Update:
    decoded = block_of(number, said("t", p=number))
    (made,) = Frame(decoded).whole()
    return made.after_gap() if gap else made


async def test_updates_that_wait_become_one_event() -> None:
    queue: asyncio.Queue[Update | None] = asyncio.Queue()
    after_gap = update(4, gap=True)
    for waiting in (update(2), update(3), after_gap):
        queue.put_nowait(waiting)
    gathered, ahead = live._gather(update(1), queue)
    assert [one.position for one in gathered] == [block.position(number, 0) for number in (1, 2, 3)]
    assert ahead is after_gap


async def test_the_end_comes_after_what_was_gathered() -> None:
    queue: asyncio.Queue[Update | None] = asyncio.Queue()
    for waiting in (update(2), None):
        queue.put_nowait(waiting)
    gathered, ahead = live._gather(update(1), queue)
    assert (len(gathered), ahead) == (2, None)
    assert queue.get_nowait() is None


def test_an_event_names_its_place() -> None:
    lost = Update.lost(7)
    assert live._event([lost]) == b'id: 7\nevent: gap\ndata: {"before":"7"}\n\n'
    assert live._event([lost, update(2)]).startswith(b'event: gap\ndata: {"before":"7"}\n\nid: 2097152\n')
    text = live._event([update(1, gap=True), update(2)]).decode()
    first, second = block.position(1, 0), block.position(2, 0)
    start = f'event: gap\ndata: {{"before":"{first}"}}\n\nid: {second}\nevent: values\ndata: {{"values":[{{"thing":"t"'
    assert text.startswith(start)
    assert text.endswith("}]}\n\n")
    assert [one["value"] for one in json.loads(text.splitlines()[-2][6:])["values"]] == [1, 2]
