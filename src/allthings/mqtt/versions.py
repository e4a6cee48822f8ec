"""The protocol versions that are spoken, and who sends what."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Final


class Version(IntEnum):
    """The Protocol Version byte of CONNECT (MQTT 5 section 3.1.2.2, MQTT 3.1.1 section 3.1.2.2).

    3.1 differs from 3.1.1 in CONNECT and CONNACK only, so what is not 5 is treated as 3.1.1 elsewhere.
    """

    V3_1 = 3  # MQTT 3.1, which calls itself MQIsdp
    V3 = 4  # MQTT 3.1.1
    V5 = 5  # MQTT 5.0


V3_1: Final = Version.V3_1
V3: Final = Version.V3
V5: Final = Version.V5


class Sender(Enum):
    """Who sent a packet: several rules bind one side only."""

    CLIENT = "client"
    SERVER = "server"
