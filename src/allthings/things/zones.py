"""Time zones by their names in the IANA database, and what their clocks show.

A clock is put forward and back, a zone may skip a day or have one twice, and before standard time its offset may be
any number of seconds. `periods` gives the stretches of time in which the offset is one; all else follows from them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from datetime import UTC as UTC_TIME
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from allthings.things.errors import BadInputError
from allthings.things.times import NS_PER_S, TIME_NS_MAX, TIME_NS_MIN

UTC: Final = "UTC"
_DAY_S: Final = 86_400
_YEAR_S: Final = 31_556_952
#: No zone has ever changed its offset twice within this time (the closest were four days apart).
_LOOK_EVERY_S: Final = 2 * _DAY_S
#: Clocks were never put back by more (23 hours, where a date was lived twice).
BACK_NS_MAX: Final = _DAY_S * NS_PER_S
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,3}")
#: Copies of the database with leap seconds or under another name, which some systems have.
_COPIES: Final = frozenset({"right", "posix", "posixrules", "localtime", "Factory"})
_OFFSET: Final = re.compile(r"(?:UTC|GMT)?\s*[+-]?\d\d?(?::?\d\d)?")


class Period(NamedTuple):
    """From `start_ns` on (inclusive) up to `end_ns` clocks show UTC and `offset_ns`."""

    start_ns: int
    end_ns: int
    offset_ns: int


def find_zone(name: str) -> ZoneInfo:
    """The zone of this name. Raises BadInputError, with names that are like it."""
    if _NAME.fullmatch(name) and name.split("/", 1)[0] not in _COPIES:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones
            pass
    if _OFFSET.fullmatch(name.strip()):
        raise BadInputError(f"{name[:64]!r} is an offset, no time zone; name a place, such as Europe/Berlin, or UTC")
    like = similar_zones(name)
    hint = f"did you mean {' or '.join(like)}?" if like else "name one of the IANA database, such as Europe/Berlin"
    raise BadInputError(f"{name[:64]!r} is no time zone; {hint}")


def similar_zones(name: str) -> list[str]:
    """Names of zones that may have been meant: with other capitals, the place alone, or misspelt."""
    given = name.strip().replace(" ", "_")[:64].lower()
    whole = {zone.lower(): zone for zone in sorted(available_timezones() - _COPIES)}
    if given in whole:
        return [whole[given]]
    place = given.rsplit("/", 1)[-1]
    # Of the old names for one place the one with a continent is the usual.
    found = [zone for lower, zone in whole.items() if place and place == lower.rsplit("/", 1)[-1] and "/" in lower]
    if found:
        return found[:3]
    close = difflib.get_close_matches(given, whole, 3, 0.75)
    if not close:
        places = {lower.rsplit("/", 1)[-1]: lower for lower in whole if "/" in lower}
        close = [places[one] for one in difflib.get_close_matches(place, places, 3, 0.75)]
    return [whole[one] for one in close]


def periods(zone: ZoneInfo, start_ns: int, end_ns: int) -> list[Period]:
    """The stretches of equal offset that cover a span of time, within 1900 to 2262; the first and the last reach
    beyond it, though perhaps not to where the offset really changes."""
    start_s = max(start_ns, TIME_NS_MIN - BACK_NS_MAX) // NS_PER_S
    end_s = min(end_ns, TIME_NS_MAX + BACK_NS_MAX) // NS_PER_S + 1
    first, last = start_s // _YEAR_S, end_s // _YEAR_S
    found: list[Period] = []
    for year in range(first, last + 1):
        for begin_s, until_s, offset_s in _of_year(zone, year):
            period = Period(begin_s * NS_PER_S, until_s * NS_PER_S, offset_s * NS_PER_S)
            if found and found[-1].offset_ns == period.offset_ns:
                period = period._replace(start_ns=found.pop().start_ns)
            found.append(period)
    return [one for one in found if one.start_ns < end_s * NS_PER_S and one.end_ns > start_s * NS_PER_S]


@lru_cache(maxsize=8192)
def _of_year(zone: ZoneInfo, year: int) -> tuple[tuple[int, int, int], ...]:
    """The same in seconds, of one of equal pieces of time, each about a year long."""
    start, end = year * _YEAR_S, (year + 1) * _YEAR_S
    changes = list(_changes(zone, start, end))
    starts = [start, *(at for at, _ in changes)]
    offsets = [_offset(zone, start), *(offset for _, offset in changes)]
    return tuple(zip(starts, [*starts[1:], end], offsets, strict=True))


def _changes(zone: ZoneInfo, start: int, end: int) -> Iterator[tuple[int, int]]:
    at, offset = start, _offset(zone, start)
    while at < end - 1:
        until = min(at + _LOOK_EVERY_S, end - 1)
        if (after := _offset(zone, until)) != offset:
            low, high = at, until
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if _offset(zone, middle) == offset else (low, middle)
            yield high, after
            offset = after
        at = until


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC_TIME)


def _offset(zone: ZoneInfo, second: int) -> int:
    """Seconds that a zone's clocks are ahead of UTC."""
    # `fromtimestamp` asks the operating system, and not all of those know times before 1970.
    utc = _EPOCH.replace(tzinfo=zone) + timedelta(seconds=second)
    offset = zone.fromutc(utc).utcoffset()
    assert offset is not None
    return offset.days * _DAY_S + offset.seconds


def instant(zone: ZoneInfo, wall_ns: int) -> int:
    """When a zone's clocks first show this time or a later one.

    `wall_ns` is what they show, as nanoseconds since 1970 as if in UTC. A time that is skipped is taken for the moment
    at which clocks are put forward, one that comes twice for the first time.
    """
    for period in periods(zone, wall_ns - 2 * BACK_NS_MAX, wall_ns + 2 * BACK_NS_MAX):
        if wall_ns < period.end_ns + period.offset_ns:
            return max(period.start_ns, wall_ns - period.offset_ns)
    raise BadInputError("times are from 1900 to 2262")
