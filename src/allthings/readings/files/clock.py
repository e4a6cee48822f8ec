"""The times of a file's rows, in nanoseconds UTC, by what was understood of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.readings.files import forms
from allthings.readings.files.piece import Cells, Ints, Mask
from allthings.readings.files.plan import Moment
from allthings.readings.files.sample import texts_of
from allthings.readings.files.zones import to_utc
from allthings.readings.settings import AHEAD_NS_MAX, SHOWN_CHARS_MAX
from allthings.things.times import NS_PER_DAY, TIME_NS_MAX, TIME_NS_MIN
from allthings.things.zones import find_zone

_UNITS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_EXCEL_DAY: Final = 25_569
_NS_PER_MS: Final = 1_000_000


class Times(NamedTuple):
    """Per row nanoseconds since the epoch, whether they are fine, and the reasons of those that are not (by row)."""

    ns: Ints
    fine: Mask
    faults: list[tuple[int, str]]


class Clock:
    """Reads the times of one piece after the other. `repeats`: rows of several things may share a time."""

    def __init__(self, moment: Moment, repeats: bool, received_ns: int) -> None:
        self._moment = moment
        self._repeats = repeats
        self._received_ns = received_ns
        self._zone = find_zone(moment.zone) if moment.zone else None
        self._previous_ns: int | None = None

    def read(self, columns: list[Cells], empty: Mask) -> Times:
        """The times of a piece. `empty`: rows in which nothing else stands either; they are no faults."""
        chosen = [columns[place] for place in self._moment.columns]
        texts = joined(chosen, self._moment)
        parsed = parse(chosen, texts, self._moment)
        utc = parsed.local - parsed.offsets
        fine = parsed.fine.copy()
        faults: list[tuple[int, str]] = []
        local = np.flatnonzero(fine & ~parsed.zoned)
        if self._zone is not None and len(local):
            located = to_utc(parsed.local[local], self._zone, self._previous_ns, repeats=self._repeats)
            utc[local] = located.utc
            lost = local[located.missing]
            fine[lost] = False
            zone = self._moment.zone
            faults += [(row, f"no clock in {zone} has shown {_cell(texts, row)}: is the zone right?") for row in lost]
        for row in np.flatnonzero(~parsed.fine & ~empty).tolist():
            given = bool(texts[row].as_py().strip())
            faults.append((row, f"{_cell(texts, row)} is no time" if given else "it has no time"))
        bounds = (
            ((utc < TIME_NS_MIN) | (utc > TIME_NS_MAX), "is outside 1900 to 2262"),
            (
                utc > self._received_ns + AHEAD_NS_MAX,
                "is more than 24 h ahead",
            ),
        )
        for wrong, reason in bounds:
            for row in np.flatnonzero(fine & wrong).tolist():
                fine[row] = False
                faults.append((row, f"the time {_cell(texts, row)} {reason}"))
        rows = np.flatnonzero(fine)
        if len(rows):
            self._previous_ns = int(utc[rows[-1]])
        return Times(utc, fine, faults)


def _cell(texts: pa.Array, row: int) -> str:
    return repr(texts[row].as_py()[:SHOWN_CHARS_MAX])


def joined(chosen: list[Cells], moment: Moment) -> pa.Array:
    """The texts of the columns that make a time, as one."""
    texts = [texts_of(cells) for cells in chosen]
    if len(texts) == 1:
        return without_exponents(texts[0]) if moment.form == "epoch" else texts[0]
    if moment.form.startswith("parts"):
        texts = [pc.replace_substring_regex(text, r"^(\d+)\.0+$", r"\1") for text in texts]
    if moment.form == "hour":
        texts[-1] = pc.replace_substring_regex(texts[-1], r"^(\d{1,2})(?:\.0+)?$", r"\1:00")
    if moment.form == "parts-hhmm":
        padded = pc.utf8_lpad(texts[-1], 4, "0")
        texts[-1] = pc.replace_substring_regex(padded, r"^(\d\d)(\d\d)$", r"\1:\2")
    if moment.form in ("parts-hhmm", "parts-clock"):
        return pc.binary_join_element_wise(pc.binary_join_element_wise(*texts[:-1], "-"), texts[-1], " ")
    return pc.binary_join_element_wise(*texts, " ")


def without_exponents(texts: pa.Array) -> pa.Array:
    """Epochs that a program wrote as 1.5945120943859746E9, with all their digits; 1.59E+09 has lost too many."""
    shortened = forms.matches(texts, forms.EXPONENT)
    if not shortened.any():
        return texts
    cells = texts.to_pylist()
    for row in np.flatnonzero(shortened).tolist():
        cells[row] = format(Decimal(cells[row]), "f")
    return pa.array(cells, pa.string())


def parse(chosen: list[Cells], texts: pa.Array, moment: Moment) -> forms.Parsed:
    """The columns of a time by their form."""
    if moment.form == "stamp" and not isinstance(chosen[0], list):
        return _stamps(chosen[0])
    if moment.form == "excel":
        return _excel(texts)
    if moment.form in ("ymd", "iso") and (found := _iso(texts)) is not None:
        return found
    return forms.read(texts, moment.pattern, moment.order)


def _iso(texts: pa.Array) -> forms.Parsed | None:
    """Arrow's own reader of ISO 8601, many times as fast, where it takes the whole column."""
    if not len(texts):
        return None
    for kind in (pa.timestamp("ns", tz="UTC"), pa.timestamp("ns")):
        try:
            stamps = texts.cast(kind)
        except pa.ArrowInvalid:
            continue
        ns = stamps.cast(pa.int64()).to_numpy(zero_copy_only=False)
        size = len(ns)
        zoned = np.full(size, kind.tz is not None, np.bool_)
        return forms.Parsed(ns, np.zeros(size, np.int64), zoned, np.ones(size, np.bool_))
    return None


def _stamps(cells: pa.Array) -> forms.Parsed:
    fine = cells.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_date(cells.type):
        cells = cells.cast(pa.timestamp("ms"))
    scale = _UNITS[cells.type.unit]
    counts = pc.fill_null(cells.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    inside = np.abs(counts) <= np.iinfo(np.int64).max // scale
    ns = np.where(inside, counts, 0) * scale
    zoned = np.full(len(ns), cells.type.tz is not None, np.bool_)
    return forms.Parsed(ns, np.zeros_like(ns), zoned, fine & inside)


def _excel(texts: pa.Array) -> forms.Parsed:
    plain = pc.replace_substring(texts, ",", ".")
    fine = forms.matches(plain, r"^\d{1,6}(?:\.\d+)?$")
    days = pc.if_else(pa.array(fine), plain, "0").cast(pa.float64()).to_numpy(zero_copy_only=False)
    # A double holds a day's fraction to less than a millisecond.
    ms = np.round((days - _EXCEL_DAY) * (NS_PER_DAY // _NS_PER_MS)).astype(np.int64)
    return forms.Parsed(ms * _NS_PER_MS, np.zeros_like(ms), np.zeros(len(ms), np.bool_), fine)
