"""Of 03/04/2026, which is the day: what a whole column tells."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.readings.files import forms
from allthings.readings.files.settings import TIMES_SHARE
from allthings.things.times import NS_PER_DAY

#: Of rows that read as times under an order at least this part must fit: a few damaged rows are no month 13.
_FITTING: Final = 0.995
#: From one day to the next under the right order, in days; under a wrong one months or years lie between.
_NEXT_DAYS: Final = 3
#: It takes so many changes of the day, and so many rows a day: one row a day may as well be one a month.
_CHANGES_MIN: Final = 2
_ROWS_A_DAY_MIN: Final = 4


class Orders(NamedTuple):
    """The order that is taken, why, and a text that leaves it open, "" when it is decided."""

    order: str
    said: str = ""
    example: str = ""


def order_of(texts: pa.Array, pattern: str, day_first: bool | None) -> Orders | None:
    """The order of the parts of dates with a year of two or four digits at their end; None when none fits."""
    # A line of totals at the end is no date of any order.
    there = texts.filter(pa.array(forms.matches(texts, pattern)))
    if day_first is not None:
        order = "dmy" if day_first else "mdy"
        return Orders(order) if _fitting(there, pattern, order) >= TIMES_SHARE else None
    fits = {order: _fitting(there, pattern, order) for order in ("dmy", "mdy", "ymd")}
    valid = [order for order in ("dmy", "mdy") if fits[order] >= _FITTING]
    short = _all_short(there, pattern)
    if (
        short
        and fits["ymd"] >= _FITTING
        and _steady(there, pattern, "ymd")
        and not any(_steady(there, pattern, order) for order in valid)
    ):
        return Orders("ymd", "two-digit years stand first, since days then follow one another")
    if len(valid) == 2:
        steady = [order for order in valid if _steady(there, pattern, order)]
        if len(steady) == 1:
            return Orders(steady[0], f"{_NAMES[steady[0]]}, since days then follow one another")
        if _dotted(there):
            return Orders("dmy", "dates with points have the day first")
        return Orders("dmy", example=there[0].as_py()[:40])
    if valid:
        return Orders(valid[0], f"{_NAMES[valid[0]]}, since the other order has a month above 12")
    best = max(fits, key=lambda order: fits[order])
    return Orders(best) if fits[best] >= TIMES_SHARE else None


_NAMES: Final = {"dmy": "the day stands first", "mdy": "the month stands first", "ymd": "the year stands first"}


def _fitting(texts: pa.Array, pattern: str, order: str) -> float:
    return float(forms.read(texts, pattern, order).fine.mean()) if len(texts) else 0.0


def _all_short(texts: pa.Array, pattern: str) -> bool:
    years = pc.extract_regex(texts, pattern)
    place = [field.name for field in years.type].index("c")
    return bool(pc.max(pc.utf8_length(years.field(place))).as_py() == 2)


def _dotted(texts: pa.Array) -> bool:
    return bool(forms.matches(texts, r"^(?:\pL{2,10}\.?,?\s+)?\d{1,2}\.\s?\d{1,2}\.").all())


def _steady(texts: pa.Array, pattern: str, order: str) -> bool:
    """Whether, with several rows a day, each day is followed by the next one or nearly so."""
    parsed = forms.read(texts, pattern, order)
    days = parsed.local[parsed.fine] // NS_PER_DAY
    if not len(days):
        return False
    steps = np.abs(np.diff(days))
    changes = steps[steps > 0]
    if len(changes) < _CHANGES_MIN or len(days) < _ROWS_A_DAY_MIN * len(changes):
        return False
    return bool(np.mean(changes <= _NEXT_DAYS) >= 0.8)
