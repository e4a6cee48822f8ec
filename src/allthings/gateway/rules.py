"""What the access rules allow one client: its own topic filters, and whether they cover what it asks for.

Everything here is done when a client connects, subscribes, or publishes to a topic for the first time; a connection
remembers the verdicts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from allthings.mqtt.filters import split_share
from allthings.registry.access import PLACEHOLDER, AccessRule
from allthings.registry.credentials import Standing
from allthings.registry.subjects import ANONYMOUS, AUTHENTICATED, DEVICES, USERS

Levels = tuple[str, ...]
#: Whoever has a name with one of these in it gets nothing from a rule with that placeholder: a client that calls
#: itself `#` must not be allowed everything, and one called `a/b` not another one's topics.
_NEVER_IN_A_LEVEL: Final = frozenset("+#/\x00")


class Grant(NamedTuple):
    """One rule with its placeholders filled in. `levels` are those of its filter."""

    levels: Levels
    publish: bool
    subscribe: bool
    rule: AccessRule


_OF_THE_SERVER: Final = ("$SYS/", "$share/")
#: But for this: a bridge of mosquitto tells there, retained and in its will, whether it is up.
_OF_BRIDGES: Final = ("$SYS/broker/connection/", "/state")


class Grants(NamedTuple):
    """All that a client may do. `unbound`: whatever the grants say, it may do everything (open mode)."""

    grants: tuple[Grant, ...]
    unbound: bool = False

    def publishing(self, topic: str) -> Grant | None:
        """What allows to publish there, None if nothing does. What the server tells itself is its own."""
        if topic.startswith(_OF_THE_SERVER) and not (
            topic.startswith(_OF_BRIDGES[0]) and topic.endswith(_OF_BRIDGES[1])
        ):
            return None
        if self.unbound:
            return self.grants[0]
        asked = tuple(topic.split("/"))
        return next((each for each in self.grants if each.publish and covers(each.levels, asked)), None)

    def subscribing(self, topic_filter: str) -> Grant | None:
        """What allows to subscribe to all of a filter (also `$share/name/filter`), None if no single rule does."""
        if self.unbound:
            return self.grants[0]
        asked = tuple(split_share(topic_filter)[1].split("/"))
        return next((each for each in self.grants if each.subscribe and covers(each.levels, asked)), None)


class Rules:
    """All rules at one moment."""

    def __init__(self, rules: Iterable[AccessRule] = ()) -> None:
        # A crowd that connects must not have its rules taken apart for each client anew.
        self._by_subject: dict[str, list[Grant | _Template]] = {}
        for rule in rules:
            self._by_subject.setdefault(rule.subject, []).append(_prepared(rule))
        #: Whether clients without credentials may come in.
        self.anonymous = ANONYMOUS in self._by_subject

    def grants(self, standing: Standing | None, client: str) -> Grants:
        """What a client may do; `standing` None is one without credentials."""
        values = _values(standing, client)
        found: list[Grant] = []
        for subject in _subjects(standing):
            for prepared in self._by_subject.get(subject, ()):
                grant = prepared if isinstance(prepared, Grant) else prepared.fill(values)
                if grant is not None:
                    found.append(grant)
        return Grants(tuple(found))


class _Template(NamedTuple):
    """A rule whose filter has placeholders: what stands between them, and in every second place the name of one."""

    parts: list[str]
    rule: AccessRule

    def fill(self, values: Mapping[str, str]) -> Grant | None:
        """The rule with the placeholders' values, None when one has no value or one that is not safe."""
        parts = self.parts.copy()
        for number in range(1, len(parts), 2):
            value = values.get(parts[number], "")
            if not value or value.startswith("$") or not _NEVER_IN_A_LEVEL.isdisjoint(value):
                return None
            # The level a+ with a = "" would be a wildcard; values are never empty, and filters have + and # only alone.
            parts[number] = value
        return Grant(tuple("".join(parts).split("/")), self.rule.publish, self.rule.subscribe, self.rule)


def _prepared(rule: AccessRule) -> Grant | _Template:
    parts = PLACEHOLDER.split(rule.filter)
    if len(parts) > 1:
        return _Template(parts, rule)
    return Grant(tuple(rule.filter.split("/")), rule.publish, rule.subscribe, rule)


#: In open mode: anyone may do anything.
_ALL: Final = AccessRule(ANONYMOUS, "#", True, True, "authentication is off", id="open", created_ns=0)
EVERYTHING: Final = Grants((Grant(("#",), True, True, _ALL),), unbound=True)
NOTHING: Final = Grants(())


def covers(allowed: Sequence[str], asked: Sequence[str]) -> bool:
    """Whether every topic that the filter (or topic) `asked` can match is matched by the filter `allowed`.

    [MQTT-4.7.2-1]: a wildcard as the first level covers nothing that begins with `$`.
    """
    if asked[0] == "#":
        # The same topics: each has a first level.
        asked = ("+", "#")
    last = len(asked)
    for depth, level in enumerate(allowed):
        if level == "#":
            return depth > 0 or not asked[0].startswith("$")
        if depth == last or asked[depth] == "#":
            return False
        if level == "+":
            if depth == 0 and asked[0].startswith("$"):
                return False
        elif level != asked[depth]:
            return False
    return len(allowed) == last


def _subjects(standing: Standing | None) -> tuple[str, ...]:
    if standing is None:
        return (ANONYMOUS,)
    tenant = f"tenant:{standing.tenant}"
    if standing.kind == "device":
        return (f"thing:{standing.name}", DEVICES, tenant, AUTHENTICATED)
    return (f"user:{standing.name}", f"role:{standing.role}", USERS, tenant, AUTHENTICATED)


def _values(standing: Standing | None, client: str) -> dict[str, str]:
    values = {"client": client}
    if standing is not None:
        values["thing" if standing.kind == "device" else "user"] = standing.name
    return values
