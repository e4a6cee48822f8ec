"""Time: nanoseconds since the epoch in UTC inside, RFC 3339 outside.

One rule for every door (MQTT, uploads, queries, files) says what a time may look like: `parse_time`. Pure functions;
`now_ns` is the one place where the clock is read, and it is called only at the edges (sockets, command line,
supervisor), which pass the result on as an argument.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime
from typing import Final

from allthings.things.errors import BadInputError

NS_PER_S: Final = 1_000_000_000
NS_PER_DAY: Final = 86_400 * NS_PER_S
#: What ClickHouse's DateTime64(9) and Arrow's timestamp[ns] can both hold, rounded to whole years.
TIME_NS_MIN: Final = -2_208_988_800 * NS_PER_S  # 1900-01-01
TIME_NS_MAX: Final = 9_214_646_400 * NS_PER_S  # 2262-01-01
#: An epoch number is in the first unit whose bound it stays below; as seconds each bound is the year 5138.
EPOCH_UNITS: Final = ((10**11, NS_PER_S), (10**14, 1_000_000), (10**17, 1_000), (10**19, 1))
#: Whole numbers of these ranges are dates (YYYYMMDD, with hhmm, hhmmss or milliseconds) if they can be: as epochs
#: they would be a few months of 1970 and 1976, or no time at all.
COMPACT_RANGES: Final = tuple(
    (19_000_101 * 10**more, 22_620_101 * 10**more + (10**more - 1), more) for more in (0, 4, 6, 9)
)


def now_ns() -> int:
    """Nanoseconds since the epoch, UTC. For edges only."""
    return time.time_ns()  # noqa: TID251 - the one reading of the clock


def parse_time(value: object) -> int:
    """Nanoseconds from a text of ISO 8601 or RFC 3339, or from a number since the epoch.

    Texts: calendar, week and ordinal dates, extended and basic (`2026-11-22T08:30:00.5+01:00`, `20261122T083000Z`,
    `2026-W47-7`, `2026-326`); without an offset UTC; second 60 is the second after 59. Numbers, also as text: seconds,
    from 1e11 on milliseconds, from 1e14 on microseconds, from 1e17 on nanoseconds; whole numbers that read as a date
    (`20261122`, also with hhmm, hhmmss, hhmmssfff) are that date. Raises BadInputError.
    """
    if isinstance(value, str):
        ns = _parse_text(value)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInputError(f"a time is RFC 3339 or ISO 8601 text, or a number since the epoch, not {_shown(value)}")
    elif isinstance(value, int):
        ns = _whole(value)
    else:
        if value != value or value in (float("inf"), float("-inf")):
            raise BadInputError(f"{value!r} is no time")
        # Split so that a float of seconds keeps its microseconds.
        scale = epoch_scale(abs(value))
        whole = int(value)
        ns = whole * scale + round((value - whole) * min(scale, 1_000_000)) * max(scale // 1_000_000, 1)
    if not TIME_NS_MIN <= ns <= TIME_NS_MAX:
        raise BadInputError(f"the time {_shown(value)} is outside 1900 to 2262")
    return ns


def epoch_scale(size: float) -> int:
    """Nanoseconds in the unit of an epoch number of this size (not negative)."""
    for below, scale in EPOCH_UNITS:
        if size < below:
            return scale
    return 1


def _whole(number: int) -> int:
    for low, high, more in COMPACT_RANGES:
        if low <= number <= high:
            day, rest = divmod(number, 10**more)
            try:
                midnight = date(day // 10_000, day // 100 % 100, day % 100).toordinal() - _EPOCH_DAY
                digits = f"{rest:0{more}d}"
                return midnight * NS_PER_DAY + _of_day(digits[:2], digits[2:4], digits[4:6], digits[6:])
            except ValueError:  # not a date, so it is an epoch
                break
    return number * epoch_scale(abs(number))


def _of_day(hour: str, minute: str, second: str, fraction: str) -> int:
    """Nanoseconds since midnight. Raises ValueError. 24:00 is the end of the day, second 60 a leap second."""
    h, m, s = int(hour or 0), int(minute or 0), int(second or 0)
    if h > 24 or m > 59 or s > 60 or (h == 24 and (m or s or int(fraction or 0))):
        raise ValueError
    return ((h * 60 + m) * 60 + s) * NS_PER_S + int((fraction or "0")[:9].ljust(9, "0"))


def _shown(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 256:  # Python refuses to print very long integers
        return f"of {value.bit_length()} bits"
    return repr(value)[:64]


def _parse_text(text: str) -> int:
    if number := _NUMBER.fullmatch(text):
        return parse_time(float(text)) if number[1] else _whole(int(text))
    match = _TIME_TEXT.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        ns = (_day(match) - _EPOCH_DAY) * NS_PER_DAY
        ns += _of_day(match["h"], match["mi"], match["s"], match["f"])
        if sign := match["sign"]:
            hours, minutes = int(match["zh"]), int(match["zm"] or 0)
            if hours > 23 or minutes > 59:
                raise ValueError
            ns -= (hours * 60 + minutes) * 60 * NS_PER_S * (1 if sign == "+" else -1)
    except ValueError:  # 31 February, week 54
        raise BadInputError(f"{text[:64]!r} is no RFC 3339 or ISO 8601 time, such as 2026-11-22T08:30:00Z") from None
    return ns


def _day(match: re.Match[str]) -> int:
    """The ordinal of a date. Raises ValueError."""
    year = int(match["y"])
    if match["week"]:
        return date.fromisocalendar(year, int(match["week"]), int(match["weekday"])).toordinal()
    if match["yday"]:
        day = date(year, 1, 1).toordinal() + int(match["yday"]) - 1
        if date.fromordinal(day).year != year:
            raise ValueError
        return day
    return date(year, int(match["mo"] or match["bmo"]), int(match["d"] or match["bd"])).toordinal()


_NUMBER: Final = re.compile(r"[+-]?\d{1,20}(\.\d{1,20})?", re.ASCII)
#: ISO 8601, and as many people write it: a date alone, no seconds, a blank for the T, a comma in the fraction.
_TIME_TEXT: Final = re.compile(
    r"""(?P<y>\d{4})(?:-(?P<mo>\d\d)-(?P<d>\d\d)|(?P<bmo>\d\d)(?P<bd>\d\d)
        |-?W(?P<week>\d\d)-?(?P<weekday>\d)|-(?P<yday>\d{3}))
        (?:[Tt ](?P<h>\d\d)(?::?(?P<mi>\d\d)(?::?(?P<s>\d\d)(?:[.,](?P<f>\d{1,32}))?)?)?
        (?:[Zz]|(?P<sign>[+-])(?P<zh>\d\d)(?::?(?P<zm>\d\d))?)?)?""",
    re.ASCII | re.VERBOSE,
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = _EPOCH.toordinal()


def format_time(ns: int) -> str:
    """RFC 3339 in UTC with as many digits of the second as it needs (0, 3, 6 or 9)."""
    seconds, fraction = divmod(ns, NS_PER_S)
    days, second = divmod(seconds, 86_400)
    text = datetime.fromordinal(_EPOCH.toordinal() + days).strftime("%Y-%m-%d").rjust(10, "0")
    text += f"T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    if fraction:
        digits = f"{fraction:09d}"
        while digits.endswith("000"):
            digits = digits[:-3]
        text += f".{digits}"
    return text + "Z"
