"""The way that a message came: the bridges it crossed, so that it crosses none twice, in whichever direction.

Each bridge adds its id to a user property, on the way out and on the way in. MQTT 3.1.1 has no room for that: over it
only messages are sent that were born here, none that came over a bridge, and another allthings is not subscribed to.
So no circle of bridges goes round for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: The user property's name; its value is ids with commas between.
WAY: Final = "allthings-bridges"
#: What client ids begin with: of ours at other brokers, and of messages in our log that came over a bridge.
AWAY: Final = "allthings-bridge-"
HERE: Final = "bridge:"


def client_id(bridge_id: str) -> str:
    """What a bridge is called at the other broker."""
    return AWAY + bridge_id


def client_name(bridge: str) -> str:
    """The `client` of a message that came over the bridge of this name."""
    return HERE + bridge


def came_over_a_bridge(client: str) -> bool:
    """Whether a message of our log came over a bridge: one of ours, or one of theirs to us."""
    return client.startswith((HERE, AWAY))


def crossed(user_properties: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The ids of the bridges that a message crossed, first to last."""
    return tuple(part for name, value in user_properties if name == WAY for part in value.split(",") if part)


def with_step(user_properties: Iterable[tuple[str, str]], bridge_id: str) -> tuple[tuple[str, str], ...]:
    """The user properties of a message that is about to cross one more bridge."""
    kept = tuple(user_properties)
    others = tuple(pair for pair in kept if pair[0] != WAY)
    return (*others, (WAY, ",".join((*crossed(kept), bridge_id))))
