"""The `$SYS` topics: what the gateway tells of itself, under the names that clients know from other brokers.

The standard leaves them open (MQTT 5 section 4.7.2). They are sent with QoS 0 to who subscribes, and are not kept in
the log.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
from typing import TYPE_CHECKING, Final

from allthings.gateway import settings
from allthings.gateway.retained import RetainedMessage
from allthings.gateway.routing import Messages

if TYPE_CHECKING:
    from allthings.gateway.broker import Broker

PREFIX: Final = "$SYS/broker/"
#: Behind every position of the log: nobody has seen these before.
_POSITION: Final = 1 << 63


def values(broker: Broker, uptime_s: float) -> dict[str, str]:
    """Each topic's end with its value as text."""
    collector, statistics = broker.collector, broker.statistics
    sessions = broker.sessions.by_client
    connected = len(broker.clients)
    return {
        "version": f"allthings {importlib.metadata.version('allthings')}",
        "uptime": f"{uptime_s:.0f} seconds",
        "clients/connected": str(connected),
        "clients/disconnected": str(sum(session.connection is None for session in sessions.values())),
        "clients/total": str(len(sessions)),
        "messages/received": str(collector.messages),
        "messages/sent": str(statistics.delivered),
        "messages/dropped": str(broker.sessions.dropped_messages),
        "messages/stored": str(sum(session.queued for session in sessions.values())),
        "messages/refused": str(statistics.refused_messages),
        "messages/over quota": str(statistics.over_quota),
        "clients/slowed seconds": f"{statistics.slowed_s:.0f}",
        "bytes/received": str(collector.bytes),
        "subscriptions/count": str(len(broker.routing)),
        "retained messages/count": str(len(broker.retained)),
    }


def _tell(broker: Broker, message: Messages, topic: str) -> None:
    broker.routing.deliver(topic, "", lambda: message)


async def publish(broker: Broker) -> None:
    """Tell who subscribed what has changed, every few seconds, until cancelled."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    told: dict[str, str] = {}
    while True:
        for name, value in values(broker, loop.time() - started).items():
            if told.get(name) == value:
                continue
            told[name] = value
            topic, now_ns = PREFIX + name, broker.sessions.now_ns()
            broker.system.keep(topic, RetainedMessage(value.encode(), 0, None, now_ns, 0))
            _tell(broker, Messages(topic, [value.encode()], 0, False, None, _POSITION, now_ns, ""), topic)
        broker.flush()
        await asyncio.sleep(settings.SYSTEM_EVERY_S)
