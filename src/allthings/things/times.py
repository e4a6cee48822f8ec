"""Time: nanoseconds since the epoch in UTC inside, RFC 3339 outside.

Pure functions; `now_ns` is the one place where the clock is read, and it is called only at the edges (sockets,
command line, supervisor), which pass the result on as an argument.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Final

from allthings.things.errors import BadInputError

NS_PER_S: Final = 1_000_000_000
#: What ClickHouse's DateTime64(9) and Arrow's timestamp[ns] can both hold, rounded to whole years.
TIME_NS_MIN: Final = -2_208_988_800 * NS_PER_S  # 1900-01-01
TIME_NS_MAX: Final = 9_214_646_400 * NS_PER_S  # 2262-01-01
#: An epoch number from this size on is milliseconds (as seconds it would be the year 5138).
_EPOCH_MS_FROM: Final = 100_000_000_000


def now_ns() -> int:
    """Nanoseconds since the epoch, UTC. For edges only."""
    return time.time_ns()  # noqa: TID251 - the one reading of the clock


def parse_time(value: object) -> int:
    """Nanoseconds from RFC 3339 text, or from epoch seconds or milliseconds.

    A text without an offset is UTC. Numbers from 1e11 on are milliseconds. Raises BadInputError.
    """
    if isinstance(value, str):
        ns = _parse_text(value)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInputError(f"a time is RFC 3339 text or epoch seconds or milliseconds, not {_shown(value)}")
    elif isinstance(value, int):
        ns = value * (1_000_000 if abs(value) >= _EPOCH_MS_FROM else NS_PER_S)
    else:
        if value != value or value in (float("inf"), float("-inf")):
            raise BadInputError(f"{value!r} is no time")
        # Split so that a float of seconds keeps its microseconds.
        scale = 1_000_000 if abs(value) >= _EPOCH_MS_FROM else NS_PER_S
        whole = int(value)
        ns = whole * scale + round((value - whole) * 1_000_000) * (scale // 1_000_000)
    if not TIME_NS_MIN <= ns <= TIME_NS_MAX:
        raise BadInputError(f"the time {_shown(value)} is outside 1900 to 2262")
    return ns


def _shown(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 256:  # Python refuses to print very long integers
        return f"of {value.bit_length()} bits"
    return repr(value)[:64]


def _parse_text(text: str) -> int:
    match = _TIME_TEXT.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        parsed = datetime.fromisoformat(text.upper())
        if parsed.tzinfo is None:
            parsed = parsed.replace(tzinfo=UTC)
        delta = parsed.astimezone(UTC) - _EPOCH
    except (ValueError, OverflowError):  # 31 February; the year 1 east of Greenwich
        raise BadInputError(f"{text[:64]!r} is no RFC 3339 time, such as 2026-11-22T08:30:00Z") from None
    # datetime keeps six digits of the fraction, nine are kept here.
    fraction = int(match[1][:9].ljust(9, "0")) if match[1] else 0
    return (delta.days * 86_400 + delta.seconds) * NS_PER_S + fraction


#: RFC 3339, and as many people write it: a date alone, no seconds, a blank for the T, a comma in the fraction.
_TIME_TEXT: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:[.,](\d{1,32}))?)?(?:[Zz]|[+-]\d\d:?\d\d)?)?", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


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
