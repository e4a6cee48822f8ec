"""Times and durations as queries write them: `2026-11-22T08:30:00Z`, `1763800000`, `now`, `-7d`, `5m`."""

from __future__ import annotations

import re
from typing import Final

from allthings.things.errors import BadInputError
from allthings.things.times import NS_PER_S, TIME_NS_MAX, TIME_NS_MIN, parse_time

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
_NUMBER: Final = re.compile(r"-?\d{1,20}(\.\d{1,9})?")
EVERY_NS_MIN: Final = 1_000_000
EVERY_NS_MAX: Final = 366 * 86_400 * NS_PER_S


def parse_moment(text: str, now_ns: int, name: str) -> int:
    """Nanoseconds of a time in a query.

    RFC 3339; epoch seconds or milliseconds; `now`; or relative to now: `-90m`, `now-7d`, `now+1h`. A relative time
    needs its sign. Raises BadInputError that names the parameter.
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
        if _NUMBER.fullmatch(given):
            return parse_time(float(given) if "." in given else int(given))
        return parse_time(_restore_offset(given))
    except BadInputError as error:
        raise BadInputError(f"{name}: {error.detail}; also epoch seconds or milliseconds, now, -15m, -7d") from None


def _restore_offset(text: str) -> str:
    """An unescaped `+01:00` arrives as ` 01:00`."""
    return re.sub(r"(T[\d:.]+) (\d\d:?\d\d)$", r"\1+\2", text)


def parse_every(text: str) -> int:
    """Nanoseconds of a bucket's width: `100ms`, `5s`, `1m`, `1h`, `1d`. Raises BadInputError."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise BadInputError(f"every: {text[:32]!r} is no duration, such as 10s, 5m, 1h, 1d")
    every = int(match[1]) * _UNITS_NS[match[2]]
    if not EVERY_NS_MIN <= every <= EVERY_NS_MAX:
        raise BadInputError(f"every: {text[:32]!r} is outside 1ms to 366d")
    return every
