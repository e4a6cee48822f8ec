"""How a bridge is: what the API and people see of it."""

from __future__ import annotations

from typing import Literal

import msgspec

#: `waiting`: it lost the other broker, or never had it, and will try again.
Phase = Literal["connecting", "connected", "waiting", "off"]


class Incoming(msgspec.Struct):
    """Messages from the other broker since the start. Each is in one of these counts, and acknowledged when it is.

    `taken`: in our log; `echoes`: our own that came back; `circled`: had crossed this bridge before; `unmapped`:
    no map says where they belong; `unusable`: cannot be kept here (topic or payload too large).
    """

    taken: int = 0
    echoes: int = 0
    circled: int = 0
    unmapped: int = 0
    unusable: int = 0


class Outgoing(msgspec.Struct):
    """Our messages for the other broker since the start.

    `sent`: confirmed by it (QoS 0: written); `refused`: by it, for good; `expired`: too old when their turn came;
    `circled`: had crossed this bridge before, or (over MQTT 3.1.1) any, and stay here; `missed_blocks`: of our log,
    dropped from it before they were sent.
    """

    sent: int = 0
    refused: int = 0
    expired: int = 0
    circled: int = 0
    missed_blocks: int = 0


class BridgeState(msgspec.Struct):
    """`since_ns` is when the phase began; `trouble` says what went wrong last, "" when all is well."""

    phase: Phase = "connecting"
    since_ns: int = 0
    trouble: str = ""
    connects: int = 0
    incoming: Incoming = msgspec.field(default_factory=Incoming)
    outgoing: Outgoing = msgspec.field(default_factory=Outgoing)

    def enter(self, phase: Phase, now_ns: int, trouble: str | None = None) -> None:
        """A new phase; `trouble` None keeps what was said."""
        if phase != self.phase:
            self.phase, self.since_ns = phase, now_ns
        if trouble is not None:
            self.trouble = trouble
