"""Sessions against a model of them: any order of what clients, time, other sources and crashes do.

The gateway runs whole but for its sockets, on a real log. A step ends when nothing moves any more, except that a crash
comes in the middle of things.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import os
import tempfile
import traceback
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import hypothesis
import nats.js.errors
import pyarrow as pa
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from allthings.gateway import settings
from allthings.log import losses
from allthings.log.stream import Log
from allthings.mqtt.packets import Will
from allthings.mqtt.properties import Properties
from allthings.mqtt.versions import V3, V5
from tests.gateway.session_model import FOREVER_S, Client, Model, Note, Sub
from tests.gateway.station import NS_PER_S, Clock, Disconnect, Publish, Station, connect, subscribe, unsubscribe
from tests.log.test_block import messages
from tests.servers import NatsServer

_numbers = itertools.count()
_SOURCE = "model"
CLIENTS = {"three": V3, "five": V5, "six": V5, "drei": V3}
TOPICS = ("a/x", "a/y", "b", "s/x", "u/x")
FILTERS = ("a/x", "a/+", "a/#", "+/y/#", "b")
#: All members of a shared subscription have the same QoS here, so that what is promised is plain.
SHARES = {"$share/two/{}/s/#": 2, "$share/one/{}/u/x": 1}

names = st.sampled_from(sorted(CLIENTS))
topics = st.sampled_from(TOPICS)
qos = st.integers(0, 2)


class BrokenPromiseError(BaseException):
    """Steps that led there. A crash comes a little earlier or later each time, so Hypothesis, which would run the same
    steps again to make them fewer, is not told as of an ordinary error.
    """


class SessionMachine(RuleBasedStateMachine):
    """`url` is that of the log's server."""

    url = ""

    @initialize()
    def start(self) -> None:
        self.runner = asyncio.Runner()
        self.clock = Clock()
        self.data = tempfile.TemporaryDirectory()
        self.number = 0
        self.steps: list[str] = []
        self.model = Model()
        self.clients = {name: Client(name, version) for name, version in CLIENTS.items()}
        self.prefix = f"m{next(_numbers)}"
        self._run(self._start())

    async def _start(self) -> None:
        self.log = await Log.connect(self.url)
        for table in (f"sessions-{_SOURCE}", "retained"):
            await self._clear(table)
        self.station = await Station(self.log, _SOURCE, self.clock, data=Path(self.data.name)).start(fresh=True)
        # Something to lose from the first step on.
        for name, wanted, qos in (("three", "a/#", 2), ("five", "a/+", 1), ("six", "b", 2), ("six", "a/x", 2)):
            if not self.clients[name].connected:
                await self._connect(name, True, FOREVER_S, 65535, None, True)
            await self._subscribe(name, f"{self.prefix}/{wanted}", Sub(qos), 0)
        for name in ("five", "six"):
            for share, qos in SHARES.items():
                await self._subscribe(name, share.format(self.prefix), Sub(qos), 2)

    async def _clear(self, table: str) -> None:
        with contextlib.suppress(nats.js.errors.NotFoundError):
            await self.log._js.purge_stream(f"KV_allthings-table-{table}")

    def do(self, work: Any) -> None:
        frame = inspect.currentframe()
        if frame is not None and frame.f_back is not None:
            told = {
                name: value for name, value in frame.f_back.f_locals.items() if name not in ("self", "data", "work")
            }
            self.steps.append(f"{frame.f_back.f_code.co_name} {told}")

        async def whole() -> None:
            await work
            await self._calm()
            self._check(complete=False)

        self._run(whole())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            self.runner.run(work)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the test
            traceback.print_exc()
            raise BrokenPromiseError("\n".join([*self.steps, str(error)])) from None

    async def _calm(self) -> None:
        await self.station.settle()
        # Each takes what it has, not only the first one that has something.
        while sum(client.take() for client in self.clients.values()):
            await self.station.settle()
        for client in self.clients.values():
            for number in client.acknowledged:
                self.model.acknowledged(self.model.notes[number])
            client.acknowledged.clear()

    def _check(self, *, complete: bool) -> None:
        # Nothing is damaged, so nothing may be told to be lost.
        assert losses.read(Path(self.data.name)) == []
        everyone = [session for client in self.clients.values() for session in client.past]
        for client in self.clients.values():
            for session in client.past:
                there = session is client.session and client.connected and client.answering
                self.model.check(session, complete=complete or there)
        self.model.check_shared(everyone, complete=complete)

    def note(self, topic: str, qos: int, publisher: str, **more: Any) -> Note:
        self.number += 1
        return Note(self.number, f"{self.prefix}/{topic}", qos, publisher, **more)

    # Connections

    @rule(
        name=names,
        clean=st.booleans(),
        expiry_s=st.sampled_from([0, 10, FOREVER_S]),
        window=st.sampled_from([1, 2, 3, 65535]),
        will=st.none() | st.tuples(topics, qos, st.sampled_from([0, 0, 5])),
        answering=st.booleans(),
    )
    def connect(self, name: str, clean: bool, expiry_s: int, window: int, will: Any, answering: bool) -> None:
        self.do(self._connect(name, clean, expiry_s, window, will, answering))

    async def _connect(self, name: str, clean: bool, expiry_s: int, window: int, will: Any, answering: bool) -> None:
        client = self.clients[name]
        version = CLIENTS[name]
        if version == V3:
            clean = clean and expiry_s == 0
            expiry_s, window = (0 if clean else FOREVER_S), 65535
        said = None
        if will is not None:
            topic, will_qos, delay_s = will
            delay_s = delay_s if version == V5 else 0
            note = self.note(topic, will_qos, name, will=True)
            said = Will(
                note.topic, b"%d" % note.number, will_qos, properties=Properties(will_delay_interval=delay_s or None)
            )
        before = client.peer
        new = self.station.peer(version)
        new.send(connect(name, version, clean=clean, expiry_s=expiry_s, receive_maximum=window, will=said))
        await self.station.settle()
        if before is not None:
            assert before.closed
            client.gone()
        client.peer, client.window, client.answering = new, window, answering
        # CONNACK tells which session what follows belongs to.
        (connack, *rest) = new.take()
        client._take(connack)
        assert client.present is not None
        session = self.model.open(name, expiry_s, clean, self.clock.now_ns, client.present)
        if session is not client.session:
            client.session = session
            client.past.append(session)
        if said is not None:
            session.will, session.will_delay_s = note, delay_s
        for packet in rest:
            client._take(packet)
        client.resume()

    def connected(self) -> list[str]:
        return [name for name, client in self.clients.items() if client.connected]

    @precondition(lambda self: self.connected())
    @rule(data=st.data(), polite=st.booleans())
    def leave(self, data: st.DataObject, polite: bool) -> None:
        name = data.draw(st.sampled_from(self.connected()))
        self.do(self._leave(name, polite))

    async def _leave(self, name: str, polite: bool) -> None:
        client = self.clients[name]
        assert client.peer is not None
        if polite:
            client.peer.send(Disconnect())
        else:
            client.peer.vanish()
        await self.station.settle()
        client.gone()
        self.model.leave(name, self.clock.now_ns, polite=polite)

    # Subscriptions

    @precondition(lambda self: self.connected())
    @rule(
        data=st.data(),
        topic_filter=st.sampled_from(FILTERS),
        qos=qos,
        no_local=st.booleans(),
        as_published=st.booleans(),
        identifier=st.integers(0, 3),
        handling=st.integers(0, 2),
    )
    def subscribe(self, data: st.DataObject, topic_filter: str, qos: int, handling: int, **options: Any) -> None:
        name = data.draw(st.sampled_from(self.connected()))
        self.do(self._subscribe(name, f"{self.prefix}/{topic_filter}", Sub(qos, **options), handling))

    @precondition(lambda self: self.connected())
    @rule(data=st.data(), share=st.sampled_from(sorted(SHARES)))
    def share(self, data: st.DataObject, share: str) -> None:
        name = data.draw(st.sampled_from(self.connected()))
        self.do(self._subscribe(name, share.format(self.prefix), Sub(SHARES[share]), 2))

    async def _subscribe(self, name: str, topic_filter: str, sub: Sub, handling: int) -> None:
        client = self.clients[name]
        assert client.peer is not None
        if CLIENTS[name] == V3:
            sub, handling = Sub(sub.qos), 0
        client.subacks.clear()
        # Retained messages come behind SUBACK; the model has to know of them first.
        self.model.subscribed(name, topic_filter, sub, handling)
        client.peer.send(
            subscribe(
                *(topic_filter, sub.qos, client.packet_id(), sub.identifier),
                no_local=sub.no_local,
                retain_as_published=sub.as_published,
                retain_handling=handling,
            )
        )
        await self._calm()
        assert [suback.reason_codes for suback in client.subacks] == [(sub.qos,)]

    @precondition(lambda self: self.connected())
    @rule(data=st.data())
    def unsubscribe(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.connected()))
        session = self.model.sessions[name]
        if not session.subs:
            return
        topic_filter = data.draw(st.sampled_from(sorted(session.subs)))

        async def work() -> None:
            client = self.clients[name]
            assert client.peer is not None
            client.peer.send(unsubscribe(topic_filter, client.packet_id()))
            await self.station.settle()
            self.model.unsubscribed(name, topic_filter)

        self.do(work())

    # Messages

    def _publish(self, name: str, topic: str, qos: int, retain: bool, expiry_s: int, *, surely: bool) -> None:
        client = self.clients[name]
        expires_ns = self.clock.now_ns + expiry_s * NS_PER_S if expiry_s and CLIENTS[name] == V5 else 0
        note = self.note(topic, qos, name, retain=retain, expires_ns=expires_ns)
        self.model.route(note, surely=surely)
        properties = Properties(message_expiry_interval=expiry_s if expires_ns else None)
        packet_id = client.packet_id() if qos else 0
        client.publish(
            note, Publish(note.topic, b"%d" % note.number, qos, retain, packet_id=packet_id, properties=properties)
        )

    @precondition(lambda self: self.connected())
    @rule(
        data=st.data(),
        sent=st.lists(st.tuples(topics, qos, st.sampled_from([False, False, True])), min_size=1, max_size=6),
        expiry_s=st.sampled_from([0, 0, 5]),
    )
    def publish(self, data: st.DataObject, sent: list[tuple[str, int, bool]], expiry_s: int) -> None:
        name = data.draw(st.sampled_from(self.connected()))

        async def work() -> None:
            for topic, qos, retain in sent:
                self._publish(name, topic, qos, retain and not expiry_s, expiry_s, surely=True)

        self.do(work())

    @rule(topic=topics, qos=qos)
    def another_source(self, topic: str, qos: int) -> None:
        """A bridge, or another gateway, appends."""

        async def work() -> None:
            note = self.note(topic, qos, "client")
            self.model.route(note)
            batch = _with_qos(messages([note.topic], [b"%d" % note.number]), qos)
            sequence = await self.log.append_batch(batch, "bridge")
            await self.station.settle(others=sequence)

        self.do(work())

    @precondition(lambda self: self.connected())
    @rule(data=st.data(), answering=st.booleans())
    def answer(self, data: st.DataObject, answering: bool) -> None:
        """Acknowledge what was withheld, and go on so or not."""
        client = self.clients[data.draw(st.sampled_from(self.connected()))]

        async def work() -> None:
            client.answering = True
            client.answer()
            client.answering = answering

        self.do(work())

    # Time and crashes

    @rule(seconds=st.sampled_from([1, 6, 11]))
    def forward(self, seconds: int) -> None:
        async def work() -> None:
            self.clock.forward(seconds)
            self.model.forward(self.clock.now_ns)
            await self.station.look()

        self.do(work())

    @rule()
    def keep(self) -> None:
        self.do(self.station.keeper.keep())

    @rule()
    def stop_and_start(self) -> None:
        async def work() -> None:
            await self.station.stop()
            await self._restarted()

        self.do(work())

    @rule(
        data=st.data(),
        sent=st.lists(st.tuples(names, topics, qos, st.integers(0, 12)), max_size=6),
        keeping=st.none() | st.integers(0, 5),
        turns=st.integers(0, 40),
        again=st.none() | st.integers(0, 40),
    )
    def crash(
        self,
        data: st.DataObject,
        sent: list[tuple[str, str, int, int]],
        keeping: int | None,
        turns: int,
        again: int | None,
    ) -> None:
        """In the midst of messages, and perhaps of keeping what has changed, and perhaps again just after the start."""

        async def work() -> None:
            tasks = []
            for number, (name, topic, qos, pause) in enumerate(sent):
                if self.clients[name].connected:
                    self._publish(name, topic, qos, False, 0, surely=False)
                await self._turns(pause)
                if number == keeping:
                    tasks.append(asyncio.create_task(self.station.keeper.keep()))
            await self._turns(turns)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.station.crash()
            await self._restarted(again)

        self.do(work())

    async def _turns(self, turns: int) -> None:
        """Let a little happen, and clients answer."""
        for number in range(turns):
            await asyncio.sleep(0 if number % 4 else 0.001)
            for client in self.clients.values():
                client.take()

    async def _restarted(self, again: int | None = None) -> None:
        windows = {}
        for name, client in self.clients.items():
            if client.peer is not None:
                windows[name] = client.window
                client.gone()
        for client in self.clients.values():
            for number in client.acknowledged:
                self.model.acknowledged(self.model.notes[number])
            client.acknowledged.clear()
        self.model.crash(self.clock.now_ns)
        await self.station.start()
        if again is not None:
            await self._turns(again)
            await self.station.crash()
            await self.station.start()
        await self.station.settle()
        for name, window in windows.items():
            # Who was there comes back at once if it has a session, and sends again what was not acknowledged.
            session = self.clients[name].session
            if session is not None and session.expiry_s and self.model.sessions.get(name) is session:
                await self._connect(name, False, session.expiry_s, window, None, self.clients[name].answering)

    def teardown(self) -> None:
        if not hasattr(self, "station"):
            return
        try:
            self._run(self._finish())
        finally:
            self.runner.run(self._close())
            self.runner.close()
            self.data.cleanup()

    async def _finish(self) -> None:
        """Everybody comes back once more: now nothing may be missing."""
        for name, client in self.clients.items():
            session = self.model.sessions.get(name)
            if session is not None:
                await self._connect(name, False, session.expiry_s or 10, 65535, None, True)
                await self._calm()
            elif client.connected:
                client.answering = True
        await self._calm()
        self._check(complete=True)

    async def _close(self) -> None:
        await self.station.crash()
        await self.log.close()


def _with_qos(batch: Any, qos: int) -> Any:
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    columns["flags"] = pa.array([qos] * batch.num_rows, pa.uint8())
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=batch.schema)


def test_sessions_are_as_the_model_says(nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    # Small, so that little is enough for queues to reach into the log and to come back from there.
    monkeypatch.setattr(settings, "SESSION_MEMORY_MESSAGES_MAX", 2)
    monkeypatch.setattr(settings, "REFILL_MESSAGES", 3)
    monkeypatch.setattr(settings, "SMALL_BLOCK_EVERY_S", 0.0)
    monkeypatch.setattr(SessionMachine, "url", nats_server.url)
    run_state_machine_as_test(
        SessionMachine,
        settings=hypothesis.settings(
            max_examples=int(os.environ.get("MODEL_EXAMPLES", "60")),
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )
