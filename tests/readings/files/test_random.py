"""Files written at random in every dialect and form of time read back as they were; damaged ones are refused."""

from __future__ import annotations

import csv
import io
import math
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from allthings.readings.device_time import device_time
from allthings.readings.files import forms
from allthings.readings.files.clock import Clock
from allthings.readings.files.plan import Moment
from allthings.things.errors import BadInputError, LimitExceededError
from allthings.things.times import TIME_NS_MAX, format_time, parse_time
from tests.readings.files.reading import NOW_NS, imported, packed, understood

#: How to write a moment, and what it is told by when it is read again.
WRITTEN: dict[str, tuple[str, dict[str, Any]]] = {
    "iso": ("%Y-%m-%dT%H:%M:%S", {}),
    "blank": ("%Y-%m-%d %H:%M:%S", {}),
    "slashes": ("%Y/%m/%d %H:%M:%S", {}),
    "dotted": ("%d.%m.%Y %H:%M:%S", {}),
    "day first": ("%d/%m/%Y %H:%M:%S", {"day_first": True}),
    "month first": ("%m/%d/%y %I:%M:%S %p", {"day_first": False}),
    "names": ("%d %b %Y %H:%M:%S", {}),
    "compact": ("%Y%m%dT%H%M%S", {}),
    "digits": ("%Y%m%d%H%M%S", {}),
    "week": ("%G-W%V-%uT%H:%M:%S", {}),
    "two columns": ("%d.%m.%Y&%H:%M:%S", {}),
    "own format": ("%H:%M:%S on %d_%m_%Y", {"time_format": "%H:%M:%S on %d_%m_%Y"}),
}
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe")
MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2026, 10, 1)).map(lambda one: one.replace(microsecond=0))
NUMBERS = st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False, width=32))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_file_reads_back_as_it_was_written(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(sorted(WRITTEN)))
    zone = data.draw(st.sampled_from(ZONES))
    delimiter = data.draw(st.sampled_from([",", ";", "\t", "|"]))
    comma = delimiter != "," and data.draw(st.booleans())
    start, step = data.draw(MOMENTS), data.draw(st.integers(1, 100_000))
    values = data.draw(st.lists(NUMBERS, min_size=2, max_size=20))
    moments = [start.replace(tzinfo=UTC) + timedelta(seconds=step * place) for place in range(len(values))]
    moments = [one for one in moments if one.year < 2026 or one.month < 11]
    values = values[: len(moments)]
    event(f"form: {form}")
    pattern, options = WRITTEN[form]
    names = ["date", "time"] if "&" in pattern else ["time"]
    sink = io.StringIO()
    writer = csv.writer(sink, delimiter=delimiter, lineterminator=data.draw(st.sampled_from(["\n", "\r\n"])))
    preamble = data.draw(st.sampled_from(["", "# a logger\n", "Exported by a portal\n\n"]))
    writer.writerow([*names, "value of it", "note"])
    for moment, value in zip(moments, values, strict=True):
        local = moment.astimezone(ZoneInfo(zone)).strftime(pattern).split("&")
        number = format(value, "f") if isinstance(value, float) else str(value)
        writer.writerow([*local, number.replace(".", ",") if comma else number, "a, b; c"])
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]))
    body = (preamble + sink.getvalue()).encode(encoding)
    found = imported(packed(body) if data.draw(st.booleans()) else body, zone=zone, delimiter="", **options)
    assert not found.reading.errors.count, found.reading.errors.listed
    read = [value for _, name, _, value in found.rows if name == "value of it"]
    assert len(read) == len(values)
    for one, value in zip(read, values, strict=True):
        assert one == value if isinstance(value, int) else math.isclose(one, value, abs_tol=1e-6)
    expected = [format_time(int(moment.timestamp()) * 10**9) for moment in moments]
    assert [time for _, name, time, _ in found.rows if name == "value of it"] == expected


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.datetimes(datetime(1900, 1, 2), datetime(2261, 12, 30), timezones=st.sampled_from([None, UTC])),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M", "%Y%m%dT%H%M%S", "%G-W%V-%u", "%Y-%j", "%Y-%m-%d"]),
)
def test_columns_are_read_as_single_times_are(moments: list[datetime], pattern: str) -> None:
    """The rule of every door and that of columns agree on ISO 8601."""
    texts = [moment.strftime(pattern) for moment in moments]
    expected = [parse_time(text) for text in texts]
    tried = [*forms.FORMS.values(), *forms.DATE_ONLY.values()]
    chosen = next(p for p in tried if forms.matches(pa.array(texts), p).all())
    parsed = forms.read(pa.array(texts), chosen)
    assert parsed.fine.all()
    assert (parsed.local - parsed.offsets).tolist() == expected
    assert [device_time(text, TIME_NS_MAX) for text in texts] == expected


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.binary(max_size=400), st.text(max_size=300).map(str.encode), st.data()))
@example(b"time,p\n2026-11-22,1\n\xff\xfe")
@example(b'time,p\n"2026-11-22,1\n')
@example(b'{"a":1}\n{')
@example(b"[[1],[2]]")
@example(b"\x1f\x8b\x08")
def test_damaged_files_are_refused_or_read_but_never_worse(data: bytes | st.DataObject) -> None:
    if not isinstance(data, bytes):
        body = bytearray(b"time;p;q\n2026-11-22 08:30;21,5;x\n2026-11-22 08:40;22;y\n2026-11-22 08:50;23;z\n")
        for _ in range(data.draw(st.integers(1, 5))):
            place = data.draw(st.integers(0, len(body) - 1))
            body[place : place + 1] = data.draw(st.binary(max_size=3))
        data = bytes(body)
    try:
        asked = understood(data).questions
        event("asked" if asked else "read")
        if not asked:
            imported(data)
    except (BadInputError, LimitExceededError):
        event("refused")


def test_an_order_is_kept_over_pieces() -> None:
    """The hour that comes twice is told by the row before it, also across pieces."""
    clock = Clock(Moment((0,), "ymd", pattern=forms.FORMS["ymd"], zone="Europe/Berlin"), False, NOW_NS)
    pieces = [["2025-10-26 02:00", "2025-10-26 02:30"], ["2025-10-26 02:00", "2025-10-26 02:30"]]
    read = [clock.read([pa.array(piece)], np.zeros(2, np.bool_)).ns for piece in pieces]
    assert [format_time(int(ns)) for part in read for ns in part] == [
        "2025-10-26T00:00:00Z",
        "2025-10-26T00:30:00Z",
        "2025-10-26T01:00:00Z",
        "2025-10-26T01:30:00Z",
    ]
