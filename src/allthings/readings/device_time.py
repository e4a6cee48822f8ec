"""The time that a device gave to its readings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from allthings.readings.payload import RefusedError
from allthings.readings.plans import TIME_KEY
from allthings.readings.settings import AHEAD_NS_MAX
from allthings.things.errors import BadInputError
from allthings.things.times import NS_PER_S, TIME_NS_MIN, parse_time

_DAY_NS: Final = 86_400 * NS_PER_S
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: `2026-11-22T08:30:00.123456Z`: from a date of ten characters on, up to this length, the fraction has no digits that
#: datetime would drop.
_DATE_CHARS: Final = 10
_SHORT_TEXT: Final = 27


def device_time(value: Any, received_ns: int) -> int:
    """Nanoseconds from the value of `@time` (see `things.times.parse_time`).

    Raises RefusedError when it is no time, or more than 24 h ahead of the receive time: that would hide all later
    readings of the series. The past is not judged: 1970 is kept as it was sent.
    """
    try:
        time_ns = _quick(value) if type(value) is str else parse_time(value)
    except BadInputError as error:
        raise RefusedError(f"{TIME_KEY}: {error.detail}") from None
    ahead = time_ns - received_ns
    if ahead > AHEAD_NS_MAX:
        raise RefusedError(f"{TIME_KEY}: the device's clock is {ahead / _DAY_NS:,.1f} days ahead")
    return time_ns


def _quick(text: str) -> int:
    """parse_time for the usual form, with far fewer steps; every other text is left to it."""
    if len(text) <= _SHORT_TEXT and text[_DATE_CHARS : _DATE_CHARS + 1] == "T" and text.endswith("Z"):
        try:
            delta = datetime.fromisoformat(text) - _EPOCH
        except ValueError:
            return parse_time(text)
        time_ns = ((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) * 1_000
        if time_ns >= TIME_NS_MIN:
            return time_ns
    return parse_time(text)
