"""The `$SYS` topics: what the gateway tells of itself, under the names that clients know from mosquitto.

The standard leaves them open (MQTT 5 section 4.7.2). They are sent with QoS 0 to who subscribes, and are not kept in
the log.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import math
from typing import TYPE_CHECKING, Final

from allthings.gateway import settings
from allthings.gateway.retained import RetainedMessage
from allthings.gateway.routing import Messages

if TYPE_CHECKING:
    from allthings.gateway.broker import Broker

PREFIX: Final = "$SYS/broker/"
#: Behind every position of the log: nobody has seen these before.
_POSITION: Final = 1 << 63
_LOAD_MINUTES: Final = (1, 5, 15)


class Load:
    """How much of something there is in a minute, averaged over the last 1, 5 and 15 with weights that fade."""

    def __init__(self) -> None:
        self._count = 0.0
        self.averages = [0.0 for _ in _LOAD_MINUTES]

    def counted(self, count: float, seconds: float) -> None:
        """`count` in all by now, `seconds` after the last time."""
        per_minute = (count - self._count) * 60 / seconds
        self._count = count
        for number, minutes in enumerate(_LOAD_MINUTES):
            fresh = 1 - math.exp(-seconds / (60 * minutes))
            self.averages[number] += fresh * (per_minute - self.averages[number])


class System:
    """The values, and what they need to remember."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._started = self._measured = broker.time()
        self._clients_maximum = 0
        self._loads = {name: Load() for name in self._counted()}

    def values(self) -> dict[str, str]:
        """Each topic's end with its value as text."""
        broker, statistics, counted = self._broker, self._broker.statistics, self._counted()
        self._measure(counted)
        connected = len(broker.clients)
        away = queued = in_flight = 0
        for session in broker.sessions.by_client.values():
            away += session.connection is None
            queued += session.queued
            in_flight += len(session.outbox.flights)
        total = len(broker.sessions.by_client)
        self._clients_maximum = max(self._clients_maximum, total)
        stored = queued + len(broker.retained)
        told: dict[str, object] = {
            "version": f"allthings {importlib.metadata.version('allthings')}",
            # 1: what is published waits.
            "disk/nearly full": int(broker.withholding),
            "uptime": f"{self._measured - self._started:.0f} seconds",
            "clients/connected": connected,
            "clients/active": connected,
            "clients/disconnected": away,
            "clients/inactive": away,
            "clients/total": total,
            "clients/maximum": self._clients_maximum,
            "clients/expired": broker.sessions.expired,
            "clients/slowed seconds": int(statistics.slowed_s),
            "messages/received": counted["messages/received"],
            "messages/sent": counted["messages/sent"],
            "messages/dropped": counted["publish/dropped"],
            "messages/inflight": in_flight,
            "messages/stored": stored,
            "messages/refused": statistics.refused_messages,
            "messages/over quota": statistics.over_quota,
            "publish/messages/received": counted["publish/received"],
            "publish/messages/sent": counted["publish/sent"],
            "publish/messages/dropped": counted["publish/dropped"],
            "publish/bytes/received": counted["bytes/received"],
            "publish/bytes/sent": counted["bytes/sent"],
            "bytes/received": counted["bytes/received"],
            "bytes/sent": counted["bytes/sent"],
            "store/messages/count": stored,
            "subscriptions/count": len(broker.routing),
            "shared_subscriptions/count": sum(len(group.members) for group in broker.routing.groups.values()),
            "retained messages/count": len(broker.retained),
        }
        for name, load in self._loads.items():
            for minutes, average in zip(_LOAD_MINUTES, load.averages, strict=True):
                told[f"load/{name}/{minutes}min"] = f"{average:.2f}"
        return {name: str(value) for name, value in told.items()}

    def _counted(self) -> dict[str, int]:
        """What is counted since the start, by the name of its load. Messages are those of PUBLISH packets."""
        broker, statistics = self._broker, self._broker.statistics
        received, sent = broker.collector.messages, statistics.delivered
        return {
            "messages/received": received,
            "messages/sent": sent,
            "publish/received": received,
            "publish/sent": sent,
            "publish/dropped": broker.sessions.dropped_messages,
            "bytes/received": broker.collector.bytes,
            "bytes/sent": statistics.delivered_bytes,
            "connections": statistics.connects,
            "sockets": statistics.sockets,
        }

    def _measure(self, counted: dict[str, int]) -> None:
        seconds, self._measured = self._broker.time() - self._measured, self._broker.time()
        if seconds > 0:
            for name, count in counted.items():
                self._loads[name].counted(count, seconds)


def _tell(broker: Broker, message: Messages, topic: str) -> None:
    broker.routing.deliver(topic, "", lambda: message)


async def publish(broker: Broker) -> None:
    """Tell who subscribed what has changed, every few seconds, until cancelled."""
    system = System(broker)
    told: dict[str, str] = {}
    while True:
        for name, value in system.values().items():
            if told.get(name) == value:
                continue
            told[name] = value
            topic, now_ns = PREFIX + name, broker.sessions.now_ns()
            broker.system.keep(topic, RetainedMessage(value.encode(), 0, None, now_ns, 0))
            _tell(broker, Messages(topic, [value.encode()], 0, False, None, _POSITION, now_ns, ""), topic)
        broker.flush()
        await asyncio.sleep(settings.SYSTEM_EVERY_S)
