"""Which shape a file has: a column a property, a column a thing, or thing, property and value in columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.readings.files import names, words
from allthings.readings.files.own import value_header
from allthings.readings.files.plan import Options, Question
from allthings.readings.files.sample import Sample
from allthings.readings.files.settings import SHARED_TIMES_MAX
from allthings.readings.files.times_found import column, shown

#: What says that no column names the thing.
NO_COLUMN: Final = "none"


class Shape(NamedTuple):
    """`thing`, `property`, `value`: the places of those columns, None where the file has none."""

    shape: str
    thing: int | None = None
    property: int | None = None
    value: int | None = None
    said: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()


def shape_of(sample: Sample, taken: Sequence[int], times: pa.Array | None, options: Options) -> Shape:
    """The shape of a file. `taken`: the columns of its time; `times`: the times of the sample, None without any."""
    free = [place for place in range(len(sample.headers)) if place not in taken]
    thing = None if options.thing_column == NO_COLUMN else _chosen(sample, options.thing_column)
    if options.columns_are == "things":
        return Shape("things", thing)
    property_, value = _long(sample, free, options)
    if property_ is not None and value is not None:
        if thing is None:
            left = [place for place in free if place not in (property_, value)]
            thing = _first(sample, left, words.THINGS)
        return Shape("long", thing, property_, value, questions=_doubled(sample, times, property_, thing))
    if options.thing_column or times is None:
        return Shape("wide", thing)
    return _told_apart(sample, free, times, options)


def _doubled(sample: Sample, times: pa.Array | None, property_: int, thing: int | None) -> tuple[Question, ...]:
    """What to ask where rows of one thing and property share their times, since they would replace one another."""
    if times is None:
        return ()
    first = _firsts([times, *(sample.texts(place) for place in range(len(sample.headers)))])
    keys = [times, sample.texts(property_), *([] if thing is None else [sample.texts(thing)])]
    if _shared([key.take(first) for key in keys]) <= SHARED_TIMES_MAX:
        return ()
    text = (
        f"rows of one time have the same {shown(sample, property_)}: say with --property-column and --thing-column "
        "which columns name the property and the thing"
    )
    return (Question("property_column", text, sample.headers),)


def _chosen(sample: Sample, name: str) -> int | None:
    if not name:
        return None
    return column(sample, name)


def _first(sample: Sample, places: Sequence[int], known: Sequence[str]) -> int | None:
    found = [place for place in places if names.plain(sample.headers[place]) in known]
    return min(found, key=lambda place: known.index(names.plain(sample.headers[place])), default=None)


def _long(sample: Sample, free: Sequence[int], options: Options) -> tuple[int | None, int | None]:
    """The columns of property and value, where the file has both."""
    if words.is_own(sample.headers):
        return sample.headers.index("property"), sample.headers.index(value_header(sample.headers))
    property_ = _chosen(sample, options.property_column)
    value = _chosen(sample, options.value_column)
    if value is None:
        value = _first(sample, [place for place in free if place != property_], words.VALUES)
    if property_ is None and value is not None:
        property_ = _first(sample, [place for place in free if place != value], words.PROPERTIES)
        # `sensor, time, value` is a thing and its value.
        if property_ is not None and not options.property_column and _is_thing_rather(sample, free, property_):
            property_ = None
    return (property_, value) if property_ is not None and value is not None else (None, None)


def _is_thing_rather(sample: Sample, free: Sequence[int], place: int) -> bool:
    plain = names.plain(sample.headers[place])
    ambiguous = plain in words.THINGS
    others = [other for other in free if other != place and names.plain(sample.headers[other]) in words.THINGS]
    return ambiguous and not others


def _told_apart(sample: Sample, free: Sequence[int], times: pa.Array, options: Options) -> Shape:
    """A column a property; a column that names things, or tells the rows of one time apart, is the thing."""
    texts = {place: sample.texts(place) for place in free}
    # The same row twice is no two rows.
    first = _firsts([times, *texts.values()])
    times = times.take(first)
    count = len(times)
    texts = {place: text.take(first) for place, text in texts.items()}
    if count < 2 or _shared([times]) <= SHARED_TIMES_MAX:
        certain = _first(sample, [place for place in free if _full(texts[place])], words.CERTAIN_THINGS)
        if certain is None or options.thing or pc.count_distinct(texts[certain]).as_py() > count / 2:
            return Shape("wide")
        return Shape("wide", certain, said=(f"each cell of {shown(sample, certain)} is a thing",))
    candidates = [place for place in free if _full(texts[place]) and _shared([times, texts[place]]) <= SHARED_TIMES_MAX]
    named = _first(sample, candidates, words.THINGS)
    if named is not None:
        text = f"rows of one time are told apart by {shown(sample, named)}: each of its cells is a thing"
        return Shape("wide", named, said=(text,))
    part = round(100 * _shared([times]))
    likely = tuple(
        sample.headers[place] or f"column {place + 1}"
        for place in candidates
        if pc.count_distinct(texts[place]).as_py() < count / 2
    )
    question = Question(
        "thing_column",
        f"{part} % of the rows have the time of another row and would replace it: say with --thing-column which column "
        "tells them apart, or --thing-column none to keep the last row of each time",
        likely,
    )
    return Shape("wide", questions=(question,))


def _full(texts: pa.Array) -> bool:
    return bool(pc.sum(pc.equal(texts, "")).as_py() <= len(texts) * SHARED_TIMES_MAX)


def _shared(columns: Sequence[pa.Array]) -> float:
    """The part of the rows whose key another row has too."""
    return 1.0 - len(_firsts(columns)) / max(len(columns[0]), 1)


def _firsts(columns: Sequence[pa.Array]) -> pa.Array:
    """The rows that are the first of their key."""
    table = pa.table({str(place): column for place, column in enumerate(columns)})
    rows = table.append_column("row", pa.array(np.arange(table.num_rows)))
    return rows.group_by(table.column_names).aggregate([("row", "min")]).column("row_min").combine_chunks()
