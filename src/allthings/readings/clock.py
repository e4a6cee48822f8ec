"""Clocks of devices that are wrong, and what that means for which reading is the newest.

A clock that was never set says a time before 2000; one that is ahead says a time after the receive time. Such a
reading is kept as it came, but it is never the current value of a series that has a better one.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from allthings.things.times import NS_PER_S

#: Values from before this come from a clock that was never set; those further ahead from one that is wrong.
CLOCK_NS_MIN: Final = 946_684_800 * NS_PER_S  # 2000-01-01
CLOCK_AHEAD_NS_MAX: Final = 300 * NS_PER_S


def wrong_clock(time_ns: Any, received_ns: Any) -> Any:
    """Whether values come from a device whose clock is wrong; for numbers or for arrays of them."""
    return (np.asarray(time_ns) < CLOCK_NS_MIN) | (np.asarray(time_ns) - np.asarray(received_ns) > CLOCK_AHEAD_NS_MAX)


def rank(time_ns: Any, received_ns: Any) -> Any:
    """What orders the readings of a series that have the same `wrong_clock`, for arrays: the time, but of a clock
    that is ahead the receive time. The reading with the greatest one is the newest."""
    return np.where(time_ns - received_ns > CLOCK_AHEAD_NS_MAX, received_ns, time_ns)
