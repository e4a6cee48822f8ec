"""What the gateway counts, told each second to whoever shows it."""

from __future__ import annotations

from typing import Final

import msgspec

#: A reason to make devices wait.
DISK: Final = "the disk is nearly full"


class Statistics(msgspec.Struct):
    """Counters since the start; `holding` names why devices are being made to wait, if they are."""

    sockets: int = 0
    connects: int = 0
    refusals: int = 0
    refused_messages: int = 0
    delivered: int = 0
    #: Topics and payloads of what was delivered.
    delivered_bytes: int = 0
    #: Seconds that clients over their quota were not read, all together; messages of them that were refused.
    slowed_s: float = 0.0
    over_quota: int = 0
    holding: list[str] = []
    trouble: str = ""


class GatewayReport(msgspec.Struct, frozen=True):
    """A gateway's note, each second, on `stats.<source>` (JSON)."""

    source: str
    connections: int
    subscriptions: int
    retained: int
    messages: int
    bytes: int
    waiting: int
    sequence: int
    statistics: Statistics
