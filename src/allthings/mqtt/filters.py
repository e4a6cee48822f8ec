"""Topic names and topic filters (MQTT 5 section 4.7): their rules, what matches what, and trees that find it fast."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Final, Generic, TypeVar, cast

from allthings.mqtt.errors import ProtocolError
from allthings.mqtt.reasons import ReasonCode
from allthings.mqtt.trie import Node, Trie
from allthings.mqtt.wire import decode_string

T = TypeVar("T")

#: The most levels of a topic or filter: as many as mosquitto takes. The standard sets no limit below 65,535 bytes
#: (section 4.7.3); a server may refuse (0x8F, 0x90), and each level of a stored filter costs memory.
LEVELS_MAX: Final = 201
#: What a SubscriptionTree's memo may hold, in bytes, roughly: topics and references.
MEMO_BYTES_MAX: Final = 16 << 20
_MEMO_ENTRY_BYTES = 160

_SHARE = "$share/"


def check_topic_name(topic: str, what: str = "the topic name") -> None:
    """Raise ProtocolError (0x90) when no message can be published to `topic`.

    [MQTT-3.3.2-2], [MQTT-4.7.3-1]: no wildcards, not empty. Characters and length are the string's own rules.
    """
    if "+" in topic or "#" in topic:
        raise _name_error(f"{what} {topic[:64]!r} has a wildcard", "MQTT-3.3.2-2")
    if not topic:
        raise _name_error(f"{what} is empty", "MQTT-4.7.3-1")
    if topic.count("/") >= LEVELS_MAX:
        raise _name_error(f"{what} has more than {LEVELS_MAX} levels", "4.7.3")


def _name_error(hint: str, section: str) -> ProtocolError:
    return ProtocolError(hint, section, ReasonCode.TOPIC_NAME_INVALID)


def decode_topic_name(data: bytes) -> str:
    """The checked topic name from its bytes on the wire. Raises MalformedPacketError or ProtocolError."""
    topic = decode_string(data, "the topic name")
    check_topic_name(topic)
    return topic


def check_topic_filter(topic_filter: str, *, shared: bool = True) -> None:
    """Raise ProtocolError (0x8F) when `topic_filter` is none.

    [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.3-1]; with `shared` (MQTT 5, section 4.8.2) `$share/{name}/{filter}` too:
    [MQTT-4.8.2-1], [MQTT-4.8.2-2].
    """
    shown = repr(topic_filter[:64])
    if not topic_filter:
        raise _filter_error("a topic filter is empty", "MQTT-4.7.3-1")
    if topic_filter.count("/") >= LEVELS_MAX:
        raise _filter_error(f"the topic filter {shown} has more than {LEVELS_MAX} levels", "4.7.3")
    rest = topic_filter
    if shared and topic_filter.startswith(_SHARE):
        name, slash, rest = topic_filter[len(_SHARE) :].partition("/")
        if not name:
            raise _filter_error(f"the share name of {shown} is empty", "MQTT-4.8.2-1")
        if not slash or not rest or "+" in name or "#" in name:
            raise _filter_error(f"{shown} is not $share/name/filter", "MQTT-4.8.2-2")
    if "#" in rest[:-1] or (rest[-1:] == "#" and rest[-2:] not in ("#", "/#")):
        raise _filter_error(f"# is not the whole last level of {shown}", "MQTT-4.7.1-1")
    if "+" in rest and any("+" in level and level != "+" for level in rest.split("/")):
        raise _filter_error(f"+ is not a whole level of {shown}", "MQTT-4.7.1-2")


def _filter_error(hint: str, section: str) -> ProtocolError:
    return ProtocolError(hint, section, ReasonCode.TOPIC_FILTER_INVALID)


def split_share(topic_filter: str) -> tuple[str, str]:
    """The share name ("" for a subscription of one's own) and the filter that topics are matched with."""
    if not topic_filter.startswith(_SHARE):
        return "", topic_filter
    name, _, rest = topic_filter[len(_SHARE) :].partition("/")
    return name, rest


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a valid filter (without `$share`) matches a valid topic; section 4.7.

    [MQTT-4.7.2-1]: a wildcard as the first level matches no topic that begins with `$`.
    """
    if topic[:1] == "$" and topic_filter[:1] in ("+", "#"):
        return False
    return _match_levels(topic_filter.split("/"), 0, topic.split("/"), 0)


def _match_levels(wanted: Sequence[str], at: int, levels: Sequence[str], depth: int) -> bool:
    """Whether the filter's levels from `at` on match the topic's from `depth` on."""
    for level in wanted[at:]:
        if level == "#":  # also stands for no level at all: sport/# matches sport
            return True
        if depth == len(levels) or (level != "+" and level != levels[depth]):
            return False
        depth += 1
    return depth == len(levels)


class SubscriptionTree(Generic[T]):
    """Who subscribed to what. Each (filter, key) has one value; topics find the values of all filters that match.

    Filters are valid ones without `$share`. What a topic found is remembered until a filter that could concern it
    comes or goes, within MEMO_BYTES_MAX. Not for several threads at once.
    """

    def __init__(self, memo_bytes_max: int = MEMO_BYTES_MAX) -> None:
        # One subscriber of a filter is a (key, value), several are a dict: most filters have one.
        self._trie: Trie[tuple[Hashable, T] | dict[Hashable, T]] = Trie()
        self._size = 0
        self._memo: dict[str, tuple[T, ...]] = {}
        self._memo_bytes = 0
        self._memo_bytes_max = memo_bytes_max

    def __len__(self) -> int:
        """The number of (filter, key) pairs."""
        return self._size

    def add(self, topic_filter: str, key: Hashable, value: T) -> bool:
        """Add or replace [MQTT-3.8.4-3]; return whether it is new."""
        self._forget(topic_filter)
        there = self._trie.get(topic_filter)
        if isinstance(there, dict):
            new = key not in there
            there[key] = value
        elif there is None or there[0] == key:
            new = there is None
            self._trie.set(topic_filter, (key, value))
        else:
            new = True
            self._trie.set(topic_filter, {there[0]: there[1], key: value})
        self._size += new
        return new

    def remove(self, topic_filter: str, key: Hashable) -> bool:
        """Remove; return whether it was there (else 0x11 answers an UNSUBSCRIBE)."""
        there = self._trie.get(topic_filter)
        if there is None or (key not in there if isinstance(there, dict) else key != there[0]):
            return False
        self._forget(topic_filter)
        self._size -= 1
        if isinstance(there, dict):
            del there[key]
            if len(there) == 1:
                self._trie.set(topic_filter, next(iter(there.items())))
        else:
            self._trie.pop(topic_filter)
        return True

    def match(self, topic: str) -> tuple[T, ...]:
        """The values of all filters that match. A key with several such filters is there with each of them."""
        if not self._size:
            return ()
        found = self._memo.get(topic)
        if found is None:
            found = self._search(topic)
            self._remember(topic, found)
        return found

    def _remember(self, topic: str, found: tuple[T, ...]) -> None:
        cost = _MEMO_ENTRY_BYTES + len(topic) + 8 * len(found)
        if self._memo_bytes + cost > self._memo_bytes_max:
            self._clear_memo()
        if cost <= self._memo_bytes_max:
            self._memo[topic] = found
            self._memo_bytes += cost

    def _forget(self, topic_filter: str) -> None:
        """Drop what a change of this filter makes wrong: everything, or only the one topic that it can match."""
        if "+" in topic_filter or "#" in topic_filter:
            self._clear_memo()
        else:
            found = self._memo.pop(topic_filter, None)
            if found is not None:
                self._memo_bytes -= _MEMO_ENTRY_BYTES + len(topic_filter) + 8 * len(found)

    def _clear_memo(self) -> None:
        self._memo = {}
        self._memo_bytes = 0

    def _search(self, topic: str) -> tuple[T, ...]:
        levels = topic.split("/")
        last = len(levels)
        found: list[tuple[Hashable, T] | dict[Hashable, T] | None] = []
        # At most two ways on from each node, so the work is bounded by the nodes that there are.
        stack: list[tuple[Node[Any], int]] = [(self._trie.root, 0)]
        while stack:
            node, depth = stack.pop()
            if node.tail is not None:
                if _match_levels(node.tail.split("/"), 0, levels, depth):
                    found.append(node.value)
                continue
            if depth == last:
                found.append(node.value)
            children = node.children
            if not children:
                continue
            wild = depth > 0 or topic[:1] != "$"  # [MQTT-4.7.2-1]
            if wild and (child := children.get("#")):
                found.append(child.value)
            if depth < last:
                if wild and (child := children.get("+")):
                    stack.append((child, depth + 1))
                if child := children.get(levels[depth]):
                    stack.append((child, depth + 1))
        values: list[T] = []
        for subscribers in found:
            if isinstance(subscribers, dict):
                values += subscribers.values()
            elif subscribers is not None:
                values.append(subscribers[1])
        return tuple(values)


class RetainedTree(Generic[T]):
    """The inverse: one value (never None) a topic; a filter finds the topics that it matches."""

    def __init__(self) -> None:
        self._trie: Trie[T] = Trie()

    def __len__(self) -> int:
        return len(self._trie)

    def get(self, topic: str) -> T | None:
        """The value of exactly this topic."""
        return self._trie.get(topic)

    def set(self, topic: str, value: T) -> T | None:
        """Store or replace; return the value before."""
        return self._trie.set(topic, value)

    def remove(self, topic: str) -> T | None:
        """Remove; return the value that was there."""
        return self._trie.pop(topic)

    def match(self, topic_filter: str) -> list[tuple[str, T]]:
        """The topics that a valid filter (without `$share`) matches, with their values, in no particular order."""
        wanted = topic_filter.split("/")
        found: list[tuple[str, T]] = []
        stack: list[tuple[Node[T], int, str]] = [(self._trie.root, 0, "")]
        while stack:
            node, at, prefix = stack.pop()
            if node.tail is not None:
                if _match_levels(wanted, at, node.tail.split("/"), 0):
                    found.append((prefix + node.tail, cast("T", node.value)))
                continue
            level = wanted[at] if at < len(wanted) else None
            if level in (None, "#") and node.value is not None:
                found.append((prefix[:-1], node.value))
            children = node.children
            if level is None or not children:
                continue
            if level not in ("+", "#"):
                if child := children.get(level):
                    stack.append((child, at + 1, f"{prefix}{level}/"))
                continue
            step = at if level == "#" else at + 1
            for name, child in children.items():
                if node is not self._trie.root or name[:1] != "$":  # [MQTT-4.7.2-1]
                    stack.append((child, step, f"{prefix}{name}/"))
        return found
