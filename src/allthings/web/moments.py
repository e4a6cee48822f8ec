"""Times and durations as queries write them: `2026-11-22T08:30:00Z`, `1763800000`, `now`, `-7d`, `5m`, `1mo`."""

from __future__ import annotations

import re
from typing import Final, cast
from zoneinfo import ZoneInfo

from allthings.things.calendar import Every, Unit
from allthings.things.errors import BadInputError
from allthings.things.times import NS_PER_S, TIME_NS_MAX, TIME_NS_MIN, epoch_scale, parse_time
from allthings.things.zones import instant

_UNITS_NS: Final = {
    "ms": 1_000_000,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
    "d": 86_400 * NS_PER_S,
    "w": 7 * 86_400 * NS_PER_S,
    "y": 365 * 86_400 * NS_PER_S,
}
_DURATION: Final = re.compile(r"(\d{1,9})(ms|s|m|h|d|w|y)")
_EVERY: Final = re.compile(r"(\d{1,9})(ms|s|m|h|d|w|mo|y)")
#: Units of a calendar; the others are durations.
_CALENDAR: Final = frozenset({"d", "w", "mo", "y"})
_OFFSET: Final = re.compile(r"[Tt ]\S*(?:[Zz]|[+-]\d\d(?::?\d\d)?)$")
_NUMBER: Final = re.compile(r"[+-]?\d{1,20}(\.\d{1,20})?")
EVERY_NS_MIN: Final = 1_000_000
EVERY_NS_MAX: Final = 100 * 366 * 86_400 * NS_PER_S


def parse_moment(text: str, now_ns: int, name: str, zone: ZoneInfo | None = None) -> int:
    """Nanoseconds of a time in a query.

    What `parse_time` takes (ISO 8601, a number since the epoch, a date such as 20261122); `now`; or relative to now:
    `-90m`, `now-7d`, `now+1h`. A relative time needs its sign. A text without an offset is what clocks of the zone
    show; without a zone it is UTC. Raises BadInputError that names the parameter.
    """
    given = text.strip()
    if given == "now":
        return now_ns
    relative = given.removeprefix("now").strip()
    # In a query string an unescaped + arrives as a space: "now 1h" was "now+1h".
    if given.startswith("now") and relative[:1].isdigit():
        relative = "+" + relative
    if relative[:1] in ("-", "+") and (match := _DURATION.fullmatch(relative[1:])):
        step = int(match[1]) * _UNITS_NS[match[2]]
        return max(TIME_NS_MIN, min(TIME_NS_MAX, now_ns + (step if relative[0] == "+" else -step)))
    try:
        whole = _restore_offset(given)
        ns = parse_time(whole)
        return ns if zone is None or _OFFSET.search(whole) or _since_epoch(whole, ns) else instant(zone, ns)
    except BadInputError as error:
        raise BadInputError(f"{name}: {error.detail}; also a number since the epoch, now, -15m, -7d") from None


def _since_epoch(text: str, ns: int) -> bool:
    """Whether a text was read as a number since the epoch, not as the date that its digits are."""
    number = _NUMBER.fullmatch(text)
    return number is not None and (number[1] is not None or ns == int(text) * epoch_scale(abs(int(text))))


def _restore_offset(text: str) -> str:
    """An unescaped `+01:00` arrives as ` 01:00`."""
    return re.sub(r"(T[\d:.]+) (\d\d(?::?\d\d)?)$", r"\1+\2", text)


def parse_every(text: str) -> Every:
    """A bucket's width: `100ms`, `5s`, `1m`, `1h`, and of a calendar `1d`, `1w`, `1mo`, `1y`. Raises BadInputError."""
    match = _EVERY.fullmatch(text.strip())
    if match is None:
        raise BadInputError(f"every: {text[:32]!r} is no duration, such as 10s, 5m, 1h, 1d, 1w, 1mo, 1y")
    count, unit = int(match[1]), match[2]
    every = Every(count, cast(Unit, unit)) if unit in _CALENDAR else Every(count * _UNITS_NS[unit])
    if not EVERY_NS_MIN <= every.nominal_ns <= EVERY_NS_MAX:
        raise BadInputError(f"every: {text[:32]!r} is outside 1ms to 100y")
    return every


def parse_duration(text: str, name: str) -> int:
    """Nanoseconds of a duration: `90s`, `15m`, `2h`, `7d`. Raises BadInputError that names the parameter."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not int(match[1]):
        raise BadInputError(f"{name}: {text[:32]!r} is no duration, such as 90s, 15m, 2h, 7d")
    return int(match[1]) * _UNITS_NS[match[2]]
