"""The gateway as a role: its listener, its appending, its report, its start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from allthings.gateway import settings, system
from allthings.gateway.access import Credentials
from allthings.gateway.audit import AuditTrail
from allthings.gateway.broker import Broker
from allthings.gateway.collector import warm_up
from allthings.gateway.connection import Connection
from allthings.gateway.control import Control
from allthings.gateway.elsewhere import follow_others
from allthings.gateway.flow import Lag
from allthings.gateway.following import Following
from allthings.gateway.handover import Handover
from allthings.gateway.keeper import Keeper
from allthings.gateway.lane import Lane
from allthings.gateway.listeners import Listener, Listeners
from allthings.gateway.shard import ALONE, Shard
from allthings.gateway.shares import SHARES_NOTE
from allthings.gateway.sockets import Poller
from allthings.gateway.statistics import GatewayReport
from allthings.log.errors import LogUnavailableError
from allthings.log.reserve import Reserve
from allthings.log.stream import Log

if TYPE_CHECKING:
    from allthings.registry.registry import Registry

_LOGGER = logging.getLogger(__name__)
#: The note on which the historian tells the sequence that it has finished.
HISTORIAN_NOTE = "position.historian"


async def run_gateway(
    log: Log,
    registry: Registry | None,
    listeners: Sequence[Listener],
    *,
    open_mode: bool = False,
    family: str = "gateway",
    shard: Shard = ALONE,
    handover: Sequence[socket.socket] = (),
    keepalive_s_max: int = settings.KEEPALIVE_S_MAX,
    control_characters: bool = False,
    now_ns: Callable[[], int],
    reserve: Reserve | None,
    data: Path | None = None,
    ready: Callable[[], None],
    stop: asyncio.Event,
) -> None:
    """Serve MQTT on `listeners` until `stop`; then say goodbye to clients and append what is left.

    `shard`: which one of several gateways of a family it is, and `handover` the sockets between them (first the one
    from which it takes connections, then one to each of them).
    `control_characters`: let them through in topics, filters, client ids and user names.
    In open mode, or without a registry, anyone may do anything. `reserve`: what is kept free of the disk, None when
    nobody needs to look. `data`: the data directory, where it is noted who has sessions.
    """
    audit = AuditTrail(registry, now_ns)
    source = shard.source(family)
    broker = Broker(log, source, now_ns, Credentials(registry, open_mode=open_mode), audit, shard, data)
    broker.entrance.keepalive_s_max = keepalive_s_max
    if control_characters:
        broker.let_control_characters_through()
    lag = Lag(lambda on: broker.hold("waiting for the historian", on))
    warm_up()
    keeper = Keeper(log, broker, family, data)
    await keeper.load()
    async with asyncio.TaskGroup() as tasks:
        appending = tasks.create_task(broker.collector.run())
        beside = [
            tasks.create_task(keeper.run()),
            tasks.create_task(follow_others(log, broker, family)),
            tasks.create_task(system.publish(broker)),
            tasks.create_task(Control(broker).run(log)),
            tasks.create_task(_follow_historian(log, lag)),
            tasks.create_task(_decide(broker, lag)),
            tasks.create_task(_report(log, broker, source)),
            tasks.create_task(broker.entrance.admission.run()),
            tasks.create_task(broker.entrance.attempts.share(log, now_ns)),
            tasks.create_task(audit.run()),
        ]
        if registry is not None:
            following = Following(registry, broker)
            if not open_mode:
                await following.begin(stop)
            beside.append(tasks.create_task(following.run()))
        if reserve is not None:
            beside.append(tasks.create_task(_watch_disk(broker, reserve)))
        broker.lane = Lane.open(broker.collector, broker.time, broker.flush)
        poller = Poller(asyncio.get_running_loop(), broker.lane)
        doors = Listeners(poller, listeners, lambda: Connection(broker))
        if shard.count > 1:
            beside += [
                tasks.create_task(_hear_shares(log, broker)),
                tasks.create_task(_tell_shares(log, broker)),
                tasks.create_task(_answer_shares(log, broker)),
            ]
            await _ask_shares(log, broker, shard.count, stop)
            broker.handover = Handover(shard, handover[0], handover[1:], poller, lambda: Connection(broker))
            broker.handover.open()
        doors.open()
        beside.append(tasks.create_task(doors.follow_certificates(broker.entrance.look_at_certificates)))
        ready()
        await stop.wait()
        doors.stop_listening()
        broker.shut_down()
        broker.collector.stop()
        with contextlib.suppress(TimeoutError, LogUnavailableError):
            async with asyncio.timeout(settings.STOP_WITHIN_S):
                await asyncio.shield(appending)
                await keeper.keep()
        broker.refill.close()
        broker.deadlines.close()
        if broker.handover is not None:
            broker.handover.close()
        doors.close()
        poller.close()
        if broker.lane is not None:
            broker.lane.close()
        for task in (appending, *beside):
            task.cancel()
    await audit.write(last=True)


async def _follow_historian(log: Log, lag: Lag) -> None:
    loop = asyncio.get_running_loop()
    async for note in log.notes(HISTORIAN_NOTE):
        lag.told(int(note), loop.time())


async def _hear_shares(log: Log, broker: Broker) -> None:
    async for note in log.notes(SHARES_NOTE):
        if broker.shares is not None:
            broker.shares.hear(note)


async def _tell_shares(log: Log, broker: Broker) -> None:
    """Tell at once what has changed, and everything now and then for who has just started."""
    loop = asyncio.get_running_loop()
    told, told_s = b"", 0.0
    while broker.shares is not None:
        members = broker.shares.members()
        if members != told or loop.time() - told_s > settings.SHARES_EVERY_S:
            told, told_s = members, loop.time()
            await log.publish_note(SHARES_NOTE, members)
        await asyncio.sleep(settings.SHARES_LOOK_S)


async def _answer_shares(log: Log, broker: Broker) -> None:
    async def answer(_: bytes) -> bytes:
        return broker.shares.members() if broker.shares is not None else b""

    await log.answers(SHARES_NOTE, answer)


async def _ask_shares(log: Log, broker: Broker, count: int, stop: asyncio.Event) -> None:
    """Learn what members the others have before anybody is let in: they would miss what we take without."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.SHARES_WITHIN_S
    while broker.shares is not None and broker.shares.unheard and not stop.is_set():
        if loop.time() > deadline:
            _LOGGER.warning("gateways %s do not tell their shared subscriptions", broker.shares.unheard)
            return
        with contextlib.suppress(LogUnavailableError):
            for answer in await log.ask(SHARES_NOTE, b"", within_s=settings.SHARES_ANSWER_S, replies=count):
                broker.shares.hear(answer)
        if broker.shares.unheard:
            await asyncio.sleep(settings.SHARES_LOOK_S)


async def _decide(broker: Broker, lag: Lag) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(settings.DECIDE_EVERY_S)
        lag.appended(broker.collector.sequence, broker.collector.messages)
        lag.decide(loop.time())


async def _watch_disk(broker: Broker, reserve: Reserve) -> None:
    """Stop appending before the disk is full, since a log that runs into it stops."""
    last = reserve.part(settings.LAST_SHARE)
    while True:
        short = await asyncio.to_thread(reserve.shortage)
        full = bool(short and await asyncio.to_thread(last.shortage))
        if short and not broker.withholding:
            _LOGGER.warning("devices wait, and nothing they publish is acknowledged: %s", short)
        elif broker.withholding and not short:
            _LOGGER.info("there is room on the disk again: devices go on")
        broker.withhold(messages=bool(short), notes=full)
        await asyncio.sleep(settings.DISK_EVERY_S)


async def _report(log: Log, broker: Broker, source: str) -> None:
    while True:
        collector = broker.collector
        report = GatewayReport(
            source=source,
            connections=len(broker.clients),
            subscriptions=len(broker.routing),
            retained=len(broker.retained),
            messages=collector.messages,
            bytes=collector.bytes,
            waiting=collector.waiting,
            sequence=collector.sequence,
            statistics=broker.statistics,
        )
        await log.publish_note(f"stats.{source}", msgspec.json.encode(report))
        await asyncio.sleep(settings.REPORT_EVERY_S)
