"""Server-sent events (WHATWG HTML, section 9.2) of the live feed, read line by line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Event(NamedTuple):
    """One event. `id` is the last one given, also when this event has none of its own.

    One without data says only where to go on.
    """

    name: str
    id: str
    data: str


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines of a stream, as the platform ends them. Other separators of Unicode are part of a device's text."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode() for line in whole)


def events(lines: Iterable[str], last_id: str = "") -> Iterator[Event]:
    """Events from lines without their ends; comments are passed over, and what is cut off at the end is dropped."""
    name, told = "", last_id
    data: list[str] = []
    for line in lines:
        if not line:
            if data or last_id != told:
                yield Event(name or "message", last_id, "\n".join(data))
            name, data, told = "", [], last_id
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id" and "\0" not in value:
            last_id = value
