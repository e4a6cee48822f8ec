"""Lists of what is kept besides readings: rejects and events."""

# ruff: noqa: S608 - statements are put together from constants; values are bound parameters.

from __future__ import annotations

import base64
from typing import Any, Final, Generic, NamedTuple, TypeVar

from allthings.historian import settings
from allthings.historian.buckets import times
from allthings.historian.engine import Handles
from allthings.historian.errors import QueryRefusedError
from allthings.readings.decoded import Event, Reject
from allthings.things.errors import NotFoundError

_REJECT: Final = "position, received, client, topic, reason, base64Encode(payload)"


T = TypeVar("T")


class Page(NamedTuple, Generic[T]):
    """Some of a list, newest first. `next` is what to pass as `after` for more, None when there is no more."""

    items: list[T]
    next: str | None


class Refused:
    """The rejects that nobody has resolved, newest first."""

    def __init__(self, handles: Handles) -> None:
        self._handles = handles

    def page(self, limit: int, after: str | None, topic: str | None, reason: str | None) -> Page[Reject]:
        """At most `limit` rejects before `after`; those of a topic or a reason only when these are given."""
        _check_limit(limit, settings.REJECTS_PER_PAGE_MAX)
        condition, parameters = _matching(topic, reason)
        if after is not None:
            condition += " AND position < {after:UInt64}"
            parameters["after"] = _position(after)
        rows = self._handles.rows(
            f"SELECT {_REJECT} FROM rejects FINAL WHERE {condition} ORDER BY position DESC LIMIT {limit + 1}",
            parameters,
        )
        rejects = [_reject(row) for row in rows[:limit]]
        return Page(rejects, str(rejects[-1].position) if len(rows) > limit else None)

    def one(self, position: int) -> Reject:
        """Raises NotFoundError when there is no such reject, or it was resolved."""
        rows = self._handles.rows(
            f"SELECT {_REJECT} FROM rejects FINAL WHERE position = {{position:UInt64}} AND NOT resolved",
            {"position": position},
        )
        if not rows:
            raise NotFoundError(f"there is no reject {position}; it may have been replayed")
        return _reject(rows[0])

    def count(self, topic: str | None, reason: str | None) -> int:
        condition, parameters = _matching(topic, reason)
        return int(self._handles.value(f"SELECT count() FROM rejects FINAL WHERE {condition}", parameters))


def events(
    handles: Handles, thing: str | None, start_ns: int | None, end_ns: int | None, limit: int, after: str | None
) -> Page[Event]:
    """Events of a thing (None: of all), newest first."""
    _check_limit(limit, settings.EVENTS_PER_PAGE_MAX)
    condition = " AND ".join(["1", *times("time", start_ns, end_ns)])
    parameters: dict[str, Any] = {}
    if thing is not None:
        condition += " AND thing = {thing:String}"
        parameters["thing"] = thing
    if after is not None:
        time, _, position = after.partition("-")
        condition += " AND (time, position) < (fromUnixTimestamp64Nano({time:Int64}, 'UTC'), {position:UInt64})"
        parameters.update(time=_number(time), position=_position(position))
    rows = handles.rows(
        "SELECT position, time, received, thing, name, data FROM events FINAL "
        f"WHERE {condition} ORDER BY time DESC, position DESC LIMIT {limit + 1}",
        parameters,
    )
    found = [Event(*row) for row in rows[:limit]]
    return Page(found, f"{found[-1].time_ns}-{found[-1].position}" if len(rows) > limit else None)


def _matching(topic: str | None, reason: str | None) -> tuple[str, dict[str, Any]]:
    condition, parameters = "NOT resolved", dict[str, Any]()
    for name, value in (("topic", topic), ("reason", reason)):
        if value is not None:
            condition += f" AND {name} = {{{name}:String}}"
            parameters[name] = value
    return condition, parameters


def _reject(row: tuple[Any, ...]) -> Reject:
    # The payload is bytes of any kind; the engine's strings are answered as UTF-8.
    position, received_ns, client, topic, reason, payload = row
    return Reject(position, received_ns, client, topic, reason, base64.b64decode(payload))


def _position(text: str) -> int:
    number = _number(text)
    if not 0 <= number < 1 << 64:
        raise QueryRefusedError("`next` is not from an answer of ours")
    return number


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise QueryRefusedError("`next` is not from an answer of ours") from None


def _check_limit(limit: int, most: int) -> None:
    if not 1 <= limit <= most:
        raise QueryRefusedError(f"a limit is 1 to {most}")
