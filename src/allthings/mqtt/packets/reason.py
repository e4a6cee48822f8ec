"""Reading a reason code that the packet may carry."""

from __future__ import annotations

from collections.abc import Set

from allthings.mqtt.errors import ProtocolError
from allthings.mqtt.reasons import ReasonCode


def check_reason(code: int, allowed: Set[ReasonCode], packet: str, section: str) -> ReasonCode:
    """The code as a ReasonCode; ProtocolError when the packet may not carry it."""
    if code not in allowed:
        raise ProtocolError(f"{packet} has the reason code 0x{code:02X}, which it may not have", section)
    return ReasonCode(code)
