"""What a topic of the native convention is about."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from allthings.readings.settings import SHOWN_CHARS_MAX
from allthings.things.names import valid_property_name, valid_thing_name


class Target(IntEnum):
    """What the payloads on a topic are."""

    UNCLAIMED = 0
    #: A JSON object of property: value, or an array of such objects.
    OBJECT = 1
    #: One value of one property.
    VALUE = 2
    EVENT = 3
    #: The topic is of the native convention, but no reading can come of it.
    REFUSED = 4


class Topic(NamedTuple):
    """A parsed topic. `name` is the property's or event's name, or for REFUSED the reason."""

    target: Target
    thing: str = ""
    name: str = ""


PREFIX: Final = "things/"
_UNCLAIMED: Final = Topic(Target.UNCLAIMED)
_NAMED: Final = {"properties": Target.VALUE, "events": Target.EVENT}


def parse_topic(topic: str) -> Topic:
    """Parse one topic.

    `things/{thing}/properties`, `things/{thing}/properties/{name}` and `things/{thing}/events/{name}` are claimed;
    everything else (other conventions, actions, desired state, free use of the broker) is not. A claimed topic with
    a name that the rules forbid is REFUSED, so that its messages show up as rejects rather than vanish.
    """
    if not topic.startswith(PREFIX):
        return _UNCLAIMED
    thing, _, rest = topic[len(PREFIX) :].partition("/")
    kind, slash, name = rest.partition("/")
    if kind not in _NAMED or (kind == "events" and not slash):
        return _UNCLAIMED
    if not valid_thing_name(thing):
        return Topic(Target.REFUSED, name=bad_thing(thing))
    if not slash:
        return Topic(Target.OBJECT, thing)
    if not valid_property_name(name):
        return Topic(Target.REFUSED, thing, bad_name(name))
    return Topic(_NAMED[kind], thing, name)


def bad_thing(name: object) -> str:
    """The reason why a thing's name is refused."""
    return f"{_shown(name)} is no thing name: letters, digits and . _ : - only, 1 to 128"


def bad_name(name: object) -> str:
    """The reason why a property's or event's name is refused."""
    return f"{_shown(name)} is no property name: 1 to 128 characters, no '/', no control characters"


def _shown(name: object) -> str:
    return repr(name[:SHOWN_CHARS_MAX]) if isinstance(name, str) else "no text"
