"""Uploads in JSON and NDJSON: row by row, then in columns with the rules of messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from allthings.log import block
from allthings.readings.columns import Columns
from allthings.readings.device_time import device_time
from allthings.readings.files.names import time_among
from allthings.readings.model import Model
from allthings.readings.payload import JSON_ERRORS, RefusedError, decode_json, json_fault
from allthings.readings.plans import TIME_KEY, Plan, Route
from allthings.readings.settings import SHOWN_CHARS_MAX, UPLOAD_ROWS_MAX
from allthings.readings.topics import Target, bad_name, bad_thing
from allthings.readings.upload_result import Errors, Upload
from allthings.things.errors import BadInputError, LimitExceededError
from allthings.things.names import valid_property_name, valid_thing_name

_raw_rows: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_WRAPPED: Final = "readings"
#: What a row in the long form may have beside its time; all but the first five say nothing here.
#: Shapes of rows that are remembered.
_SHAPES_MAX: Final = 1_024
KNOWN: Final = frozenset(
    {"thing", "property", "value", "number", "text", "time", "kind", "type", "unit", "received", "position", "quality"}
)


def parse_ndjson(data: bytes, received_ns: int, model: Model) -> Upload:
    """One JSON object a line; empty lines are passed over."""
    check_rows(data.count(b"\n"), "lines")
    return _Rows(received_ns, model).upload(data.split(b"\n"))


def parse_json(data: bytes, received_ns: int, model: Model) -> Upload:
    """An array of objects, an object with such an array as `readings`, or one object."""
    try:
        if data.lstrip(b" \t\r\n")[:1] == b"[":
            rows = _raw_rows(data)
        else:
            document = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
            rows = _raw_rows(document[_WRAPPED]) if document.keys() == {_WRAPPED} else [msgspec.Raw(data)]
    except JSON_ERRORS as error:
        raise BadInputError(f"the upload is no array of readings: {json_fault(error)}") from None
    check_rows(len(rows), "readings")
    return _Rows(received_ns, model).upload(rows)


def no_time(names: Iterable[str]) -> str:
    """The reason for rows whose time cannot be told."""
    seen = ", ".join(repr(name[:SHOWN_CHARS_MAX]) for name in list(names)[:20])
    return f"none of {seen} is known as a time: name it time, or leave all but thing, property and value out"


def check_rows(count: int, what: str) -> None:
    """Raises LimitExceededError for more rows than one upload may have."""
    if count > UPLOAD_ROWS_MAX:
        raise LimitExceededError(f"{count:,} {what} in one upload, more than {UPLOAD_ROWS_MAX:,}: send it in several")


def _small(row: dict[str, Any]) -> dict[str, Any] | None:
    """A row of the long form whose names have capitals, with small ones; None for any other row."""
    small = {name.lower(): value for name, value in row.items()}
    return small if "property" in small and "value" in small and len(small) == len(row) else None


class _Rows:
    def __init__(self, received_ns: int, model: Model) -> None:
        self._received_ns = received_ns
        self._plans = model.plans()
        self._columns = Columns()
        self._errors = Errors()
        self._series: dict[tuple[Any, Any], Plan] = {}
        self._routes: dict[str, Route] = {}
        #: By the members of a row: which of them is its time.
        self._clocks: dict[tuple[str, ...], str | None] = {}

    def upload(self, rows: Iterable[Any]) -> Upload:
        number = -1
        for number, data in enumerate(rows):
            if not data or data == b"\r":
                continue
            try:
                row = decode_json(data)
                if type(row) is not dict:
                    raise RefusedError("no JSON object")
                if "property" in row and "value" in row:
                    self._long(number, row)
                elif (alike := _small(row)) is not None:
                    self._long(number, alike)
                else:
                    self._wide(number, row)
            except RefusedError as error:
                self._errors.add(number + 1, str(error))
            except JSON_ERRORS as error:
                self._errors.add(number + 1, json_fault(error))
        check_rows(len(self._columns.values), "values")
        received = np.full(number + 1, self._received_ns, np.int64)
        rows = np.arange(number + 1, dtype=np.uint64)
        batch, faults = self._columns.finish(rows, received, self._plans)
        for fault in faults:
            self._errors.add(fault.row + 1, fault.reason)
        return self._errors.upload(pa.RecordBatch.from_arrays(batch.columns[:-1], schema=block.READINGS))

    def _long(self, number: int, row: dict[str, Any]) -> None:
        thing, property_ = row.get("thing"), row["property"]
        try:
            plan = self._series.get((thing, property_))
        except TypeError:  # a name that is an object or an array
            plan = None
        if plan is None:
            if not isinstance(thing, str) or not valid_thing_name(thing):
                raise RefusedError(bad_thing(thing))
            if not valid_property_name(property_):
                raise RefusedError(bad_name(property_))
            plan = self._series[thing, property_] = self._plans.single(thing, property_)
        columns = self._columns
        clock = self._clock(row)
        if clock is None and (others := [name for name in row if name not in KNOWN]):
            raise RefusedError(no_time(others))
        columns.times.append(self._time(number, row, clock))
        columns.plans.append(plan.number)
        columns.rows.append(number)
        columns.values.append(row["value"])

    def _wide(self, number: int, row: dict[str, Any]) -> None:
        thing = row.pop("thing", None)
        clock = self._clock(row)
        time_ns = self._time(number, row, clock)
        if "values" in row:
            values = row.pop("values")
            row.pop("time", None)
            row.pop(clock or TIME_KEY, None)
            if row:
                raise RefusedError(f"{next(iter(row))[:SHOWN_CHARS_MAX]!r} next to thing, time and values")
        elif clock is not None and clock != "time":
            del row[clock]
            values = row
        else:
            raise RefusedError("a reading needs thing, property, time and value, or thing, time and values")
        if not valid_thing_name(thing):
            raise RefusedError(bad_thing(thing))
        if type(values) is not dict or not values:
            raise RefusedError("values is no object of property: value")
        route = self._routes.get(thing)
        if route is None:
            route = self._routes[thing] = Route(Target.OBJECT, thing)
        plan = route.plans.get(tuple(values)) or self._plans.shape(route, values)
        if plan.fault:
            self._errors.add(number + 1, plan.fault)
        columns = self._columns
        columns.plans.append(plan.number)
        columns.rows.append(number)
        columns.times.append(time_ns)
        columns.values.extend(map(values.__getitem__, plan.names))

    def _clock(self, row: dict[str, Any]) -> str | None:
        """Which member is the time of a row."""
        if TIME_KEY in row and row.get("time") is None:
            return TIME_KEY
        members = tuple(row)
        if members not in self._clocks:
            if len(self._clocks) > _SHAPES_MAX:
                self._clocks.clear()
            self._clocks[members] = time_among(members)
        return self._clocks[members]

    def _time(self, number: int, row: dict[str, Any], clock: str | None) -> int:
        given = None if clock is None else row[clock]
        return self._received_ns + number if given is None else device_time(given, self._received_ns)
