"""Which columns of a file are its time, and how it is written: by their content, and then by their names."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.readings.files import forms, names, words
from allthings.readings.files.absent import absent
from allthings.readings.files.clock import without_exponents
from allthings.readings.files.order import Orders, order_of
from allthings.readings.files.plan import Moment, Options, Question
from allthings.readings.files.sample import Sample
from allthings.readings.files.settings import BELIEVED_S, MAJORITY, TIMES_SHARE
from allthings.things.errors import BadInputError
from allthings.things.times import NS_PER_S

#: Days since 1899-12-30 as spreadsheets count them, between 1970 and 2100.
_EXCEL_DAYS: Final = (25_569.0, 73_050.0)


class Found(NamedTuple):
    """A way to read the times; `said` of it, and the question that is left, if any."""

    moment: Moment
    said: tuple[str, ...] = ()
    question: Question | None = None


class Candidate(NamedTuple):
    """A column that may be the time: its form, and how much speaks for it."""

    moment: Moment
    score: float
    question: Question | None = None
    said: tuple[str, ...] = ()


def find(sample: Sample, options: Options) -> Found | None:
    """How to read the times of a file; None when there are none. Raises BadInputError for options that do not fit."""
    if options.time_column:
        return _named(sample, options)
    whole = [found for place in range(len(sample.headers)) if (found := _whole(sample, place, options))]
    if best := _best(sample, whole):
        return best
    return _split(sample, options) or _parts(sample, options) or _dates(sample, options)


def _named(sample: Sample, options: Options) -> Found:
    places = [column(sample, name) for name in options.time_column]
    if len(places) > 1:
        found = _split(sample, options, places) or _parts(sample, options, places)
        if found is None:
            raise BadInputError(
                f"the columns {', '.join(options.time_column)} make no time together; say how with --time-format"
            )
        return found
    candidate = _whole(sample, places[0], options, said=True) or _only_date(sample, places[0], options, asked=True)
    if candidate is None:
        shown = next((text for text in sample.texts(places[0]).to_pylist() if text), "")
        fault = f"has not the form {options.time_format!r}" if options.time_format else "is no time that is known here"
        raise BadInputError(
            f"the column {options.time_column[0]!r}: {shown[:64]!r} {fault}; say how it is written with --time-format"
        )
    return Found(candidate.moment, candidate.said, candidate.question)


def column(sample: Sample, name: str) -> int:
    """A column by its header, without regard to capitals, or by `column N`. Raises BadInputError."""
    headers = list(sample.headers)
    small = [header.strip().lower() for header in headers]
    if name in headers:
        return headers.index(name)
    if name.strip().lower() in small:
        return small.index(name.strip().lower())
    number = name.strip().lower().removeprefix("column ")
    if number.isdigit() and 1 <= int(number) <= len(headers) and not headers[int(number) - 1]:
        return int(number) - 1
    raise BadInputError(f"there is no column {name!r}; the columns are {', '.join(map(repr, headers))[:300]}")


def _whole(sample: Sample, place: int, options: Options, said: bool = False) -> Candidate | None:
    """A column whose cells are whole times. `said`: a person has named it."""
    header = sample.headers[place]
    bonus = 4.0 if names.is_time(header) else 2.0 if names.like_time(header) else 0.0
    kind = sample.typed(place)
    if kind is not None and (pa.types.is_timestamp(kind) or (pa.types.is_date(kind) and said)):
        zoned = pa.types.is_timestamp(kind) and kind.tz
        return Candidate(Moment((place,), "stamp", zone="" if zoned else "local"), 8.0 + bonus)
    texts = sample.texts(place)
    there = texts.filter(pa.array(~absent(texts, True)))
    if not len(there) or len(there) < TIMES_SHARE * len(texts) * (0.5 if said else 1.0):
        return None
    if options.time_format:
        pattern = forms.from_format(options.time_format)
        if forms.read(there, pattern).fine.mean() < TIMES_SHARE:
            return None
        return Candidate(_of_texts(place, there, "format", "", pattern), 9.0 + bonus)
    if found := _texts(sample, place, texts, there, options, bonus):
        return found
    return _numbers(sample, place, there, bonus, said)


def _texts(
    sample: Sample, place: int, texts: pa.Array, there: pa.Array, options: Options, bonus: float
) -> Candidate | None:
    numeric = _all(there, r"^[+-]?[0-9]+([.,][0-9]+)?$")
    if numeric and not bonus and place:
        return None
    # Where the header says time, damaged cells do not make another column of it; they are refused one by one.
    share = MAJORITY if names.is_time(sample.headers[place]) else TIMES_SHARE
    for name, pattern in forms.FORMS.items():
        if numeric and name != "compact":
            continue
        if not _most(there, pattern, share):
            continue
        # A date alone is weighed later, beside columns of clock times.
        if _all(there, forms.DATE_ONLY.get(name, "^$")) or name in ("ym", "by"):
            continue
        if name == "abc":
            orders = order_of(texts, pattern, options.day_first)
            if orders is None:
                continue
            return _ordered(sample, place, there, name, pattern, orders, 8.0 + bonus)
        if forms.read(there, pattern).fine.mean() < share:
            continue
        return Candidate(_of_texts(place, there, name, "", pattern), 8.0 + bonus)
    return None


def _ordered(
    sample: Sample, place: int, there: pa.Array, name: str, pattern: str, orders: Orders, score: float
) -> Candidate:
    moment = _of_texts(place, there, name, orders.order, pattern)
    return Candidate(moment, score, _question(sample, place, orders), (orders.said,) if orders.said else ())


def _question(sample: Sample, place: int, orders: Orders) -> Question | None:
    if not orders.example:
        return None
    return Question(
        "day_first",
        f"in the column {shown(sample, place)} {orders.example!r} may be a day and a month or a month and a day: "
        "say --day-first or --month-first",
        ("day first", "month first"),
    )


def _numbers(sample: Sample, place: int, there: pa.Array, bonus: float, said: bool) -> Candidate | None:
    """Numbers since the epoch, or days as spreadsheets count them."""
    if not (bonus or said or place == 0):
        return None
    if bonus or said:
        there = without_exponents(there)
    if not _all(there, r"^[+-]?\d{1,19}([.,]\d{1,20})?$"):
        return None
    parsed = forms.read(there, forms.EPOCH)
    seconds = parsed.local // NS_PER_S
    low, high = BELIEVED_S
    believed = float(np.mean(parsed.fine & (seconds >= low) & (seconds <= high)))
    moment = Moment((place,), "epoch", pattern=forms.EPOCH)
    if believed >= TIMES_SHARE:
        growing = len(seconds) < 2 or float(np.mean(np.diff(parsed.local) >= 0)) > 0.9
        if bonus or said or growing:
            return Candidate(moment, 6.0 + bonus + growing)
    days = pc.replace_substring(there, ",", ".").cast(pa.float64()).to_numpy(zero_copy_only=False)
    if (bonus or said) and np.mean((days >= _EXCEL_DAYS[0]) & (days <= _EXCEL_DAYS[1])) >= TIMES_SHARE:
        text = f"the numbers of the column {shown(sample, place)} are read as a spreadsheet's days since 1899-12-30"
        return Candidate(Moment((place,), "excel", zone="local"), 3.0 + bonus, said=(text,))
    return Candidate(moment, 1.0) if said else None


def _of_texts(place: int, there: pa.Array, name: str, order: str, pattern: str) -> Moment:
    zoned = forms.read(there, pattern, order).zoned
    return Moment((place,), name, order=order, pattern=pattern, zone="" if zoned.all() else "local")


def _best(sample: Sample, candidates: Sequence[Candidate]) -> Found | None:
    """The candidate for which most speaks. Two of which neither is better are a question."""
    if not candidates:
        return None
    scored = sorted(
        ((one.score + _distinct(sample, one), -one.moment.columns[0], one) for one in candidates),
        key=lambda entry: entry[:2],
        reverse=True,
    )
    best = scored[0][2]
    rivals = [one for score, _, one in scored[1:] if score >= scored[0][0] - 0.5]
    said = list(best.said)
    if len(scored) > 1:
        others = ", ".join(shown(sample, one.moment.columns[0]) for _, _, one in scored[1:])
        said.append(f"the time is the column {shown(sample, best.moment.columns[0])}; {others} would be times as well")
    question = best.question
    # Of several, times that begin and end (start, end) are told by their order; only equals by name are asked.
    if rivals and question is None and not names.is_time(sample.headers[best.moment.columns[0]]):
        question = Question(
            "time_column",
            "several columns may be the time: say which with --time-column",
            tuple(sample.headers[one.moment.columns[0]] for one in (best, *rivals)),
        )
    return Found(best.moment, tuple(said), question)


def _distinct(sample: Sample, candidate: Candidate) -> float:
    texts = sample.texts(candidate.moment.columns[0])
    return float(2.0 * pc.count_distinct(texts).as_py() / max(len(texts), 1))


def _split(sample: Sample, options: Options, only: Sequence[int] = ()) -> Found | None:
    """A date in one column, the time of day in another."""
    dates = [one for place in only or range(len(sample.headers)) if (one := _only_date(sample, place, options))]
    clocks = [place for place in only or range(len(sample.headers)) if _is_clock(sample, place)]
    dates = [one for one in dates if one.moment.columns[0] not in clocks]
    if not dates or not clocks:
        return None
    date = max(dates, key=lambda one: (one.score, -one.moment.columns[0]))
    place = date.moment.columns[0]
    # The nearest column behind the date, else the nearest of all.
    clock = min(clocks, key=lambda one: (one < place, abs(one - place)))
    joined = joint(sample.texts(place), _clock_texts(sample, clock))
    pattern = forms.SPLIT.get(date.moment.form, "")
    if not pattern or not _most(joined, pattern):
        return None
    together = f"the date in {shown(sample, place)} with the time of day in {shown(sample, clock)}"
    said = [f"the time is {together}", *date.said]
    if len(clocks) > 1 and not only:
        others = ", ".join(shown(sample, one) for one in clocks if one != clock)
        said.append(f"{others} would be times of day as well")
    there = joined.filter(pa.array(forms.matches(joined, pattern)))
    zoned = forms.read(there, pattern, date.moment.order).zoned.all()
    form = "hour" if _is_hour(sample, clock) else date.moment.form
    moment = Moment((place, clock), form, date.moment.order, pattern, "" if zoned else "local")
    return Found(moment, tuple(said), date.question)


def _is_clock(sample: Sample, place: int) -> bool:
    kind = sample.typed(place)
    if kind is not None:
        return bool(pa.types.is_time(kind))
    texts = sample.texts(place)
    if _glance(texts, r"^[+-]?\d*\.\d*$") > MAJORITY and not names.like_time(sample.headers[place]):
        return False  # 21.35 is a number before it is a time
    there = texts.filter(pa.array(~absent(texts, True)))
    return _most(there, forms.CLOCK_ONLY) or _is_hour(sample, place)


def _is_hour(sample: Sample, place: int) -> bool:
    """A column of hours, 0 to 23 or 1 to 24, that its name tells."""
    if not names.in_words(sample.headers[place], words.HOURS):
        return False
    texts = sample.texts(place)
    return len(texts) > 0 and _most(texts, r"^([01]?[0-9]|2[0-4])(\.0+)?$")


def _clock_texts(sample: Sample, place: int) -> pa.Array:
    texts = sample.texts(place)
    return hours(texts) if _is_hour(sample, place) else texts


def hours(texts: pa.Array) -> pa.Array:
    """Hours as times of day."""
    return pc.replace_substring_regex(texts, r"^(\d{1,2})(?:\.0+)?$", r"\1:00")


def joint(first: pa.Array, second: pa.Array, sign: str = " ") -> pa.Array:
    """Two columns of texts as one."""
    return pc.binary_join_element_wise(first, second, pa.scalar(sign))


def _only_date(sample: Sample, place: int, options: Options, asked: bool = False) -> Candidate | None:
    """A column of dates without a time of day."""
    header = sample.headers[place]
    bonus = 4.0 if names.is_time(header) else 2.0 if names.like_time(header) else 0.0
    kind = sample.typed(place)
    if kind is not None:
        return (
            Candidate(Moment((place,), "ymd", pattern=forms.DATE_ONLY["ymd"], zone="local"), 5.0 + bonus)
            if (pa.types.is_date(kind))
            else None
        )
    texts = sample.texts(place)
    there = texts.filter(pa.array(~absent(texts, True)))
    if not len(there) or len(there) < TIMES_SHARE * len(texts):
        return None
    monthly = bonus or asked or names.in_words(header, words.MONTH_WORDS)
    months = {name: forms.FORMS[name] for name in ("ym", "by")} if monthly else {}
    for name, pattern in {**forms.DATE_ONLY, **months}.items():
        if not _most(there, pattern) or (name == "compact" and not bonus and place):
            continue
        if name == "abc":
            orders = order_of(texts, pattern, options.day_first)
            if orders is not None:
                return _ordered(sample, place, there, name, pattern, orders, 5.0 + bonus)
        elif forms.read(there, pattern).fine.mean() >= TIMES_SHARE:
            return Candidate(Moment((place,), name, pattern=pattern, zone="local"), 5.0 + bonus)
    return None


def _dates(sample: Sample, options: Options) -> Found | None:
    """Dates alone: values of days or months."""
    candidates = [one for place in range(len(sample.headers)) if (one := _only_date(sample, place, options))]
    clock = next((place for place in range(len(sample.headers)) if _is_clock(sample, place)), None)
    found = _best(sample, candidates)
    if found is None or clock is None:
        return found
    text = f"the times of day in {shown(sample, clock)} do not fit the dates: name both with --time-column"
    return found._replace(question=found.question or Question("time_column", text))


#: The parts of a time in columns of their own, in the order in which they are joined.
_PARTS: Final = (
    (words.YEARS, r"^(?:19|20|21)[0-9]{2}(\.0+)?$"),
    (words.MONTH_WORDS, r"^(?:0?[1-9]|1[0-2])(\.0+)?$"),
    (words.DAYS, r"^(?:0?[1-9]|[12][0-9]|3[01])(\.0+)?$"),
    (words.HOURS, r"^(?:[01]?[0-9]|2[0-4])(\.0+)?$"),
    (words.MINUTES, r"^[0-5]?[0-9](\.0+)?$"),
    (words.SECONDS, r"^(?:[0-5]?[0-9]|60)(\.[0-9]+)?$"),
)


def _parts(sample: Sample, options: Options, only: Sequence[int] = ()) -> Found | None:
    """Year, month, day, hour, minute and second in columns of their own; or year and day of the year."""
    found: list[int] = []
    for known, form in _PARTS:
        left = [place for place in only or range(len(sample.headers)) if place not in found]
        fitting = (place for place in left if names.plain(sample.headers[place]) in known)
        place = next((place for place in fitting if _most(sample.texts(place), form)), None)
        if place is None:
            break
        found.append(place)
    if not found:
        return None
    if len(found) == 1:
        return _year_day(sample, found[0]) or _year(sample, found[0])
    clock = None
    if len(found) == 3:
        clock = next(
            (
                place
                for place in only or range(len(sample.headers))
                if place not in found and (_is_clock(sample, place) or _is_hhmm(sample, place))
            ),
            None,
        )
    columns = (*found, *(() if clock is None else (clock,)))
    form = "parts" if clock is None else "parts-hhmm" if _is_hhmm(sample, clock) else "parts-clock"
    pattern = forms.PARTS[len(found)] if clock is None else forms.SPLIT["ymd"]
    text = f"the time is put together from {', '.join(shown(sample, place) for place in columns)}"
    return Found(Moment(columns, form, pattern=pattern, zone="local"), (text,))


def _is_hhmm(sample: Sample, place: int) -> bool:
    """Hours and minutes as one number: 0, 30, 100, 2330."""
    return names.plain(sample.headers[place]) in words.CLOCKS and _most(
        sample.texts(place), r"^(?:[01]?[0-9]|2[0-4])?[0-5]?[0-9]$"
    )


def _year_day(sample: Sample, year: int) -> Found | None:
    day = next(
        (
            place
            for place, header in enumerate(sample.headers)
            if names.plain(header) in words.YEAR_DAYS and _most(sample.texts(place), r"^[0-9]{1,3}(\.0+)?$")
        ),
        None,
    )
    if day is None:
        return None
    hour = next((place for place in range(len(sample.headers)) if _is_hour(sample, place)), None)
    columns = (year, day, *(() if hour is None else (hour,)))
    text = f"the time is put together from {', '.join(shown(sample, place) for place in columns)}"
    return Found(Moment(columns, "parts-yday", pattern=forms.YEAR_DAY, zone="local"), (text,))


def _year(sample: Sample, year: int) -> Found | None:
    """Values of years: only where each row has another one."""
    texts = sample.texts(year)
    if pc.count_distinct(texts).as_py() < len(texts):
        return None
    text = f"the time is the first day of the year in {shown(sample, year)}"
    return Found(Moment((year,), "parts", pattern=forms.PARTS[1], zone="local"), (text,))


def shown(sample: Sample, place: int) -> str:
    """A column's header for people."""
    return repr(sample.headers[place]) if sample.headers[place] else f"column {place + 1}"


#: Cells that are looked at before a whole column is: most columns are no times.
_GLANCED: Final = 48


@functools.cache
def _python(pattern: str) -> re.Pattern[str]:
    """An expression as Python has it. Arrow compiles one anew for each column, which takes milliseconds."""
    return re.compile(pattern.replace(r"\pL", r"[^\W\d_]"))


def _glance(texts: pa.Array, pattern: str) -> float:
    """The part of the first cells that have a form."""
    cells = [cell for cell in texts[:_GLANCED].to_pylist() if cell]
    return sum(1 for cell in cells if _python(pattern).match(cell)) / len(cells) if cells else 0.0


def _all(texts: pa.Array, pattern: str) -> bool:
    return _glance(texts, pattern) == 1.0 and bool(forms.matches(texts, pattern).all())


def _most(texts: pa.Array, pattern: str, share: float = TIMES_SHARE) -> bool:
    return _glance(texts, pattern) >= share / 2 and float(forms.matches(texts, pattern).mean()) >= share
