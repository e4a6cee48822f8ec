"""How times are written in texts: a table of forms, and whole columns read by one of them.

A form is a regular expression (RE2, linear time) whose named groups are the parts of a time. What a group means is
said once, in `read`. A format as strptime has it becomes such an expression too.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.readings.files.words import MONTHS, ZONES
from allthings.things.errors import BadInputError
from allthings.things.times import EPOCH_UNITS, NS_PER_DAY, NS_PER_S

Ints = np.ndarray[Any, np.dtype[np.int64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

_CLOCK: Final = (
    r"(?P<h>\d{1,2})[:.hH时](?P<mi>\d{2})(?:[:.分](?P<s>\d{2})(?:[.,:](?P<f>\d{1,12}))?秒?)?分?"
    r"(?:\s*(?P<ap>[AaPp]\.?\s?[Mm]\.?))?"
)
_HOUR: Final = r"(?P<h2>\d{1,2})\s*(?P<ap2>[AaPp]\.?\s?[Mm]\.?)"
_COMPACT_CLOCK: Final = r"(?P<h3>\d{2}):?(?P<mi3>\d{2})?(?::?(?P<s3>\d{2})(?:[.,](?P<f3>\d{1,12}))?)?"
_ZONE: Final = r"(?:\s*(?P<z>[Zz]|(?:UTC|GMT)?\s?[+-]\d{1,2}(?::?\d{2})?|[A-Z]{3,5}))?"
#: The end of an interval, whose start is the time.
_UNTIL: Final = r"(?:\s+[-–—]\s+[\d./: -]+)?"
_RANGE: Final = r"(?:\s*[-–—]\s*\d{1,2}:\d{2}(?::\d{2})?)?"
_WEEKDAY: Final = r"(?:\pL{2,10}\.?,?\s+)?"
_BETWEEN: Final = r"(?:\s*[Tt_,;]\s*|\s+-?\s*)"
_MON: Final = r"(?P<mon>\pL{3,12})"

#: Dates, each with the name of its form.
_DATES: Final = {
    "ymd": r"(?P<y>\d{4})[-/.](?P<mo>\d{1,2})[-/.](?P<d>\d{1,2})",
    "abc": r"(?P<a>\d{1,2})(?:[-/]|\.\s?)(?P<b>\d{1,2})(?:[-/]|\.\s?)(?P<c>\d{4}|\d{2})",
    "dby": r"(?P<d>\d{1,2})\.?[-/ ]\s?" + _MON + r"\.?[-/, ]\s?(?P<c>\d{4}|\d{2})",
    "bdy": _MON + r"\.?[- ](?P<d>\d{1,2})(?:st|nd|rd|th)?,?[- ]\s?(?P<c>\d{4})",
    "ybd": r"(?P<y>\d{4})[-/ ]" + _MON + r"[-/ ](?P<d>\d{1,2})",
    "cjk": r"(?P<y>\d{4})\s?年\s?(?P<mo>\d{1,2})\s?月\s?(?P<d>\d{1,2})\s?日",
    "week": r"(?P<y>\d{4})-?W(?P<week>\d{2})-?(?P<wd>\d)",
    "yday": r"(?P<y>\d{4})-(?P<yday>\d{3})",
}
_REST: Final = f"(?:{_BETWEEN}?(?:{_CLOCK}|{_HOUR}){_ZONE}{_UNTIL})?"

#: Whole texts by the name of their form. The order is that in which they are tried.
FORMS: Final[dict[str, str]] = {
    **{name: f"^{_WEEKDAY}{date}{_REST}$" for name, date in _DATES.items()},
    "compact": rf"^(?P<y>\d{{4}})(?P<mo>\d{{2}})(?P<d>\d{{2}})(?:[Tt _-]?{_COMPACT_CLOCK}{_ZONE})?$",
    "iso": rf"^(?P<y>\d{{4}})-(?P<mo>\d{{2}})-(?P<d>\d{{2}})[Tt ]{_COMPACT_CLOCK}{_ZONE}$",
    "ctime": rf"^{_WEEKDAY}{_MON}\s+(?P<d>\d{{1,2}})\s+{_CLOCK}(?:\s+(?P<z>[A-Z]{{3,5}}))?\s+(?P<c>\d{{4}})$",
    "ym": r"^(?P<y>\d{4})[-/.](?P<mo>\d{1,2})$",
    "by": rf"^{_MON}\.?[-/ ](?P<c>\d{{4}})$",
}
#: A date in one column and the time of day in another, which may be an interval.
SPLIT: Final[dict[str, str]] = {
    name: f"^{_WEEKDAY}{date}(?:\\s+0{{1,2}}:00(?::00(?:\\.0+)?)?)? (?:{_CLOCK}{_RANGE}|{_HOUR}){_ZONE}$"
    for name, date in _DATES.items()
} | {"compact": rf"^(?P<y>\d{{4}})(?P<mo>\d{{2}})(?P<d>\d{{2}}) (?:{_CLOCK}{_RANGE}|{_HOUR}){_ZONE}$"}
#: A date alone, and a time of day alone.
DATE_ONLY: Final[dict[str, str]] = {
    name: f"^{_WEEKDAY}{date}(?:[ T]0{{1,2}}:00(?::00(?:\\.0+)?)?)?$" for name, date in _DATES.items()
} | {"compact": r"^(?P<y>\d{4})(?P<mo>\d{2})(?P<d>\d{2})$"}
#: Year, month, day, hour, minute, second from as many columns, with blanks between; and year with day of the year.
PARTS: Final[dict[int, str]] = {
    count: "^" + " ".join(
        (r"(?P<y>\d{4})", r"(?P<mo>\d{1,2})", r"(?P<d>\d{1,2})", r"(?P<h>\d{1,2})", r"(?P<mi>\d{1,2})",
         r"(?P<s>\d{1,2})(?:\.(?P<f>\d{1,12}))?")[:count]
    ) + "$"
    for count in range(1, 7)
}  # fmt: skip
YEAR_DAY: Final = r"^(?P<y>\d{4}) (?P<yday>\d{1,3})(?: (?P<h>\d{1,2}))?$"
CLOCK_ONLY: Final = f"^(?:{_CLOCK}{_RANGE}|{_HOUR})$"
EPOCH: Final = r"^(?P<n>[+-]?\d{1,19})(?:[.,](?P<f>\d{1,12}))?$"

#: An epoch with an exponent and enough digits to mean one moment.
EXPONENT: Final = r"^\d\.\d{8,20}[eE]\+?\d{1,2}$"

#: strptime's directives as expressions.
_DIRECTIVES: Final = {
    "Y": r"(?P<y>\d{4})", "y": r"(?P<c>\d{2})", "m": r"(?P<mo>\d{1,2})", "d": r"(?P<d>\d{1,2})",
    "e": r"(?P<d>\d{1,2})", "j": r"(?P<yday>\d{1,3})", "H": r"(?P<h>\d{1,2})", "I": r"(?P<h>\d{1,2})",
    "M": r"(?P<mi>\d{1,2})", "S": r"(?P<s>\d{1,2})", "f": r"(?P<f>\d{1,12})", "p": r"(?P<ap>[AaPp]\.?\s?[Mm]\.?)",
    "b": _MON, "B": _MON, "h": _MON, "a": r"\pL{2,10}\.?", "A": r"\pL{2,12}",
    "z": r"(?P<z>[Zz]|[+-]\d{2}:?\d{2})", "Z": r"(?P<z>[A-Z]{3,5})", "%": "%",
    "s": r"(?P<n>[+-]?\d{1,19})", "G": r"(?P<y>\d{4})", "V": r"(?P<week>\d{1,2})", "u": r"(?P<wd>\d)",
}  # fmt: skip
_SHORT: Final = {"F": "%Y-%m-%d", "T": "%H:%M:%S", "R": "%H:%M", "D": "%m/%d/%y"}


class Parsed(NamedTuple):
    """Per row nanoseconds as its own clock shows them, what to subtract for UTC, and whether it had such an offset.

    `fine`: whether the text was a time at all.
    """

    local: Ints
    offsets: Ints
    zoned: Mask
    fine: Mask


def from_format(text: str) -> str:
    """A format as strptime has it, as an expression. Raises BadInputError."""
    for short, long in _SHORT.items():
        text = text.replace(f"%{short}", long)
    pattern, seen, place = "", set[str](), 0
    while place < len(text):
        char = text[place]
        if char != "%":
            pattern += r"\s+" if char == " " else _escaped(char)
            place += 1
            continue
        directive = text[place + 1 : place + 2]
        part = _DIRECTIVES.get(directive)
        if part is None or part in seen:
            fault = "is there twice" if part else "is not known here"
            raise BadInputError(f"the format {text!r}: %{directive} {fault}; as in %d.%m.%Y %H:%M:%S")
        seen.add(part)
        pattern += part
        place += 2
    if not any(f"(?P<{name}>" in pattern for name in ("y", "c", "n")):
        raise BadInputError(f"the format {text!r} has no year (%Y, %y) and no epoch (%s)")
    return f"^{pattern}$"


def _escaped(char: str) -> str:
    return char if char.isalnum() or ord(char) > 127 else "\\" + char


def matches(column: pa.Array, pattern: str) -> Mask:
    """Which texts have the form."""
    found: Mask = pc.fill_null(pc.match_substring_regex(column, pattern), False).to_numpy(zero_copy_only=False)
    return found


def read(column: pa.Array, pattern: str, order: str = "") -> Parsed:
    """A column of trimmed texts by a form. `order`: of the parts a, b, c of a date: dmy, mdy or ymd."""
    parts = _Parts(pc.extract_regex(column, pattern), len(column))
    if parts.has("n"):
        return _epochs(parts)
    years = parts.number("y")
    if parts.has("c"):
        years = np.where(parts.given("c"), _century(parts.number("c"), parts.lengths("c")), years)
    months, days = parts.number("mo"), parts.number("d")
    if parts.has("a"):
        a, b, c = parts.number("a"), parts.number("b"), years
        if order == "mdy":
            months, days = a, b
        elif order == "ymd":
            years, months, days = _century(a, parts.lengths("a")), b, parts.number("c")
        else:
            days, months, years = a, b, c
    if parts.has("mon"):
        months = parts.mapped("mon", _month)
    fine = parts.fine
    if parts.has("week"):
        day, valid = _of_week(years, parts.number("week"), parts.number("wd"))
    elif parts.has("yday"):
        day, valid = _of_year(years, parts.number("yday"))
    else:
        # A month alone is its first day, a year alone its first month.
        ones = np.ones_like(years)
        named = parts.has("a") or parts.has("mo") or parts.has("mon")
        day, valid = civil(years, months if named else ones, days if parts.has("d") or parts.has("a") else ones)
    clock, on_time = _clock(parts)
    offsets, zoned, known = parts.zones()
    # Beyond these days nanoseconds do not fit 64 bits; the bounds of times are narrower and are checked later.
    fine = fine & valid & on_time & known & (np.abs(day) < 106_751)
    return Parsed(np.where(fine, day, 0) * NS_PER_DAY + np.where(fine, clock, 0), offsets, zoned, fine)


def civil(years: Ints, months: Ints, days: Ints) -> tuple[Ints, Mask]:
    """Days since 1970-01-01 in the Gregorian calendar, and whether there is such a day."""
    leap = (years % 4 == 0) & ((years % 100 != 0) | (years % 400 == 0))
    lengths = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    valid = (months >= 1) & (months <= 12) & (years >= 1)
    last = lengths[np.where(valid, months, 0)] + (leap & (months == 2))
    valid &= (days >= 1) & (days <= last)
    # Howard Hinnant's days_from_civil: the year begins in March, so that the leap day is its last.
    y = years - (months <= 2)
    era = y // 400
    of_era = y - era * 400
    of_year = (153 * (months + np.where(months > 2, -3, 9)) + 2) // 5 + days - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468, valid


def _of_week(years: Ints, weeks: Ints, weekdays: Ints) -> tuple[Ints, Mask]:
    fourth, _ = civil(years, np.ones_like(years), np.full_like(years, 4))
    monday = fourth - (fourth + 3) % 7
    next_fourth, _ = civil(years + 1, np.ones_like(years), np.full_like(years, 4))
    count = (next_fourth - (next_fourth + 3) % 7 - monday) // 7
    return monday + (weeks - 1) * 7 + weekdays - 1, (weeks >= 1) & (weeks <= count) & (weekdays >= 1) & (weekdays <= 7)


def _of_year(years: Ints, days: Ints) -> tuple[Ints, Mask]:
    first, _ = civil(years, np.ones_like(years), np.ones_like(years))
    following, _ = civil(years + 1, np.ones_like(years), np.ones_like(years))
    return first + days - 1, (days >= 1) & (days <= following - first)


def _century(years: Ints, digits: Ints) -> Ints:
    """Two-digit years as POSIX has them: 69 to 99 are of the twentieth century."""
    return np.where(digits > 2, years, np.where(years >= 69, 1900, 2000) + years)


def _clock(parts: _Parts) -> tuple[Ints, Mask]:
    """Nanoseconds since midnight; 24:00 is the end of the day, second 60 a leap second."""
    h, mi, s, f = (parts.either(name) for name in ("h", "mi", "s", "f"))
    hours, minutes, seconds = h.numbers, mi.numbers, s.numbers
    fraction = f.numbers * np.power(10, np.maximum(9 - f.lengths, 0)) // np.power(10, np.maximum(f.lengths - 9, 0))
    half = parts.half()
    fine = (minutes <= 59) & (seconds <= 60)
    fine &= np.where(half == 0, hours <= 24, (hours >= 1) & (hours <= 12))
    fine &= (hours < 24) | ((minutes == 0) & (seconds == 0) & (fraction == 0))
    hours = np.where(half == 0, hours, hours % 12 + np.where(half == 2, 12, 0))
    return ((hours * 60 + minutes) * 60 + seconds) * NS_PER_S + fraction, fine


def _epochs(parts: _Parts) -> Parsed:
    numbers, fractions = parts.number("n"), parts.number("f")
    scales = np.ones_like(numbers)
    for below, scale in reversed(EPOCH_UNITS[:-1]):
        scales[np.abs(numbers) < below] = scale
    digits = np.minimum(parts.lengths("f"), 18)
    below_one = np.round(fractions / np.power(10.0, digits) * scales).astype(np.int64)
    sign = np.where(numbers < 0, -1, 1)
    with np.errstate(over="ignore"):
        ns = numbers * scales + sign * below_one
    inside = np.abs(numbers.astype(np.float64) * scales) < 9.2e18
    return Parsed(np.where(inside, ns, 0), np.zeros_like(ns), np.ones(len(ns), np.bool_), parts.fine & inside)


class _Part(NamedTuple):
    numbers: Ints
    lengths: Ints


class _Parts:
    """The named groups of an expression over a column."""

    def __init__(self, found: pa.StructArray, rows: int) -> None:
        self._rows = rows
        self.fine: Mask = found.is_valid().to_numpy(zero_copy_only=False)
        self._texts = {field.name: pc.fill_null(found.field(place), "") for place, field in enumerate(found.type)}

    def has(self, name: str) -> bool:
        return name in self._texts

    def given(self, name: str) -> Mask:
        return np.asarray(self.lengths(name) > 0)

    def lengths(self, name: str) -> Ints:
        if name not in self._texts:
            return np.zeros(self._rows, np.int64)
        sizes: Ints = pc.utf8_length(self._texts[name]).to_numpy(zero_copy_only=False).astype(np.int64)
        return sizes

    def number(self, name: str) -> Ints:
        if name not in self._texts:
            return np.zeros(self._rows, np.int64)
        text = self._texts[name]
        text = pc.if_else(pc.equal(text, ""), "0", pc.utf8_ltrim(text, "+"))
        numbers: Ints = text.cast(pa.int64()).to_numpy(zero_copy_only=False)
        return numbers

    def either(self, name: str) -> _Part:
        """A part that has a second and a third group for other ways to write it."""
        numbers, lengths = self.number(name).copy(), self.lengths(name)
        for other in (f"{name}2", f"{name}3"):
            if other in self._texts:
                chosen = self.given(other)
                numbers = np.where(chosen, self.number(other), numbers)
                lengths = np.where(chosen, self.lengths(other), lengths)
        return _Part(numbers, lengths)

    def half(self) -> Ints:
        """0: no half of the day is named, 1: before noon, 2: after."""
        halves = np.zeros(self._rows, np.int64)
        for name in ("ap", "ap2"):
            if name in self._texts:
                found = self.mapped(name, lambda text: {"a": 1, "p": 2}.get(text[:1].lower(), 0))
                halves = np.maximum(halves, found)
        return halves

    def mapped(self, name: str, meaning: Any) -> Ints:
        """A part by a function, called once for each text that occurs."""
        encoded = self._texts[name].dictionary_encode()
        meanings = np.array([meaning(text) for text in encoded.dictionary.to_pylist()], np.int64)
        found: Ints = meanings[encoded.indices.to_numpy(zero_copy_only=False)]
        return found

    def zones(self) -> tuple[Ints, Mask, Mask]:
        """Nanoseconds east of Greenwich, whether they were given, and whether they are known."""
        if "z" not in self._texts:
            zeros = np.zeros(self._rows, np.int64)
            return zeros, np.zeros(self._rows, np.bool_), np.ones(self._rows, np.bool_)
        offsets = self.mapped("z", offset_ns)
        known = offsets != _UNKNOWN
        return np.where(known, offsets, 0), self.given("z"), known


_UNKNOWN: Final = np.iinfo(np.int64).min


def _month(text: str) -> int:
    small = text.lower()
    return MONTHS.get(small, MONTHS.get(small[:3], 0))


def offset_ns(text: str) -> int:
    """Nanoseconds east of Greenwich of `Z`, `+01:00`, `UTC-7`, `CEST`; "" is 0."""
    small = text.strip().upper()
    if small in ZONES:
        return ZONES[small] * 60 * NS_PER_S
    for prefix in ("UTC", "GMT"):
        small = small.removeprefix(prefix).strip()
    sign, digits = small[:1], small[1:].replace(":", "")
    if sign not in ("+", "-") or not digits.isdigit():
        return int(_UNKNOWN)
    hours, minutes = (digits, "0") if len(digits) <= 2 else (digits[:-2], digits[-2:])
    if int(hours) > 15 or int(minutes) > 59:
        return int(_UNKNOWN)
    return (int(hours) * 60 + int(minutes)) * 60 * NS_PER_S * (1 if sign == "+" else -1)
