"""How much work a question makes, told from the question alone.

Quick ones have a way of their own, so that a chart never waits behind somebody who asks for years of seconds. A guess
that was wrong costs little: what turns out to be more work than a quick question may make is asked again as a long one.
"""

from __future__ import annotations

from typing import Final

from allthings.historian import settings
from allthings.historian.aggregates import ROLLED
from allthings.historian.query import HistoryQuery
from allthings.historian.settings import NS_PER_MINUTE

#: Series that a thing is taken to have, when a question asks for all of them.
_PROPERTIES: Final = 10


def is_quick(query: HistoryQuery, now_ns: int) -> bool:
    """Whether it can be expected to be answered soon."""
    series = sum(_PROPERTIES if name is None else 1 for _, name in query.series)
    if query.points is not None:
        return series <= settings.QUICK_PLOTS_MAX
    start, end = query.span()
    end = now_ns if end is None else end
    span_ns = None if start is None else max(0, end - start)
    if not query.aggregates:
        # Readings of one series are read in their order, up to the limit. Those of several are all read.
        short = series == 1 or (span_ns is not None and span_ns <= settings.QUICK_READINGS_NS_MAX)
        return short and series * query.limit <= settings.QUICK_ROWS_MAX
    of_readings = any(name not in ROLLED for name in query.aggregates)
    if query.every is None:
        return series <= settings.QUICK_SERIES_MAX and not of_readings
    if span_ns is None:
        return False
    # Buckets of less than a minute, or of parts of one, are made of the readings, as some aggregates are.
    rolled_up = query.every.nominal_ns % NS_PER_MINUTE == 0 and not of_readings
    count = span_ns // query.every.nominal_ns + 1
    return count * series <= settings.QUICK_ROWS_MAX and (rolled_up or span_ns <= settings.QUICK_READINGS_NS_MAX)
