"""The fifteen packets (MQTT 5 chapter 3), one module for each or for a small family.

Each module has the packet as a frozen value, `decode_…(flags, body, version)`, `encode_…(packet, version)` and a
`check…` of the rules that bind both directions. What MQTT 3.1.1 cannot say (properties, most reason codes) is left
out when a packet is encoded for it.
"""

from __future__ import annotations

from allthings.mqtt.packets.acknowledgements import Puback, Pubcomp, Pubrec, Pubrel
from allthings.mqtt.packets.auth import Auth
from allthings.mqtt.packets.connack import Connack
from allthings.mqtt.packets.connect import Connect, Will
from allthings.mqtt.packets.disconnect import Disconnect
from allthings.mqtt.packets.ping import Pingreq, Pingresp
from allthings.mqtt.packets.publish import Publish
from allthings.mqtt.packets.subscribe import Suback, Subscribe, Subscription
from allthings.mqtt.packets.unsubscribe import Unsuback, Unsubscribe

Packet = (
    Connect
    | Connack
    | Publish
    | Puback
    | Pubrec
    | Pubrel
    | Pubcomp
    | Subscribe
    | Suback
    | Unsubscribe
    | Unsuback
    | Pingreq
    | Pingresp
    | Disconnect
    | Auth
)

__all__ = [
    "Auth",
    "Connack",
    "Connect",
    "Disconnect",
    "Packet",
    "Pingreq",
    "Pingresp",
    "Puback",
    "Pubcomp",
    "Publish",
    "Pubrec",
    "Pubrel",
    "Suback",
    "Subscribe",
    "Subscription",
    "Unsuback",
    "Unsubscribe",
    "Will",
]
