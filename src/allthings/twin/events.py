"""Events that devices send, on their way to the registry: things that only send events are things as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from allthings.registry import SeenEvent
from allthings.twin.settings import EVENT_NAMES_MAX

#: Thing and event.
Key = tuple[str, str]


class EventNews:
    """Names of events that the registry is to hear of, and those that it has."""

    def __init__(self) -> None:
        #: What waits, and the position of the last of its name.
        self._new: dict[Key, int] = {}
        self._told: set[Key] = set()
        #: What of a report under way was not forgotten since.
        self._under_way: set[Key] = set()

    def note(self, thing: str, event: str, position: int) -> None:
        """See an event. Beyond EVENT_NAMES_MAX names further ones are in the history only."""
        key = thing, event
        if key in self._told or (key not in self._new and len(self._new) + len(self._told) >= EVENT_NAMES_MAX):
            return
        self._new[key] = max(position, self._new.get(key, 0))

    def waiting(self) -> list[Key]:
        """What the registry should hear of."""
        return list(self._new)

    def report(self, keys: Iterable[Key]) -> list[SeenEvent]:
        """Some of what waits, to be told now."""
        self._under_way = set(keys)
        return [SeenEvent(*key, self._new[key]) for key in sorted(self._under_way)]

    def confirm(self) -> None:
        """The registry has the report."""
        for key in self._under_way:
            self._new.pop(key, None)
        self._told |= self._under_way
        self._under_way = set()

    def forget(self, named: Callable[[Key], bool], position: int) -> None:
        """Events were removed, at a position: the next ones are news again."""
        self._told = {key for key in self._told if not named(key)}
        self._under_way = {key for key in self._under_way if not named(key)}
        self._new = {key: place for key, place in self._new.items() if place > position or not named(key)}
