"""What a person may say of a file, and what was understood of it."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Role: TypeAlias = Literal["time", "thing", "property", "value", "left"]
#: Who says the zone of times without an offset; "" where none is needed.
ZoneBy: TypeAlias = Literal["", "option", "header", "platform"]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a person says of a file. What is left out is found in the file, or asked.

    `time_column`: one name, or several whose texts make the time together. `time_format`: as strptime has it.
    `day_first`: of 03/04/2026, whether 3 is the day. `zone`: an IANA name, for times without an offset. `now`: rows
    get the time at which they are read. `thing`: the thing, or with `thing_column` what its cells are put behind.
    `absent`: further texts that mean no value. `text`, `number`: columns whose kind is said. `leave`: columns left
    out.
    """

    thing: str = ""
    time_column: tuple[str, ...] = ()
    time_format: str = ""
    day_first: bool | None = None
    zone: str = ""
    now: bool = False
    thing_column: str = ""
    property_column: str = ""
    value_column: str = ""
    columns_are: Literal["properties", "things"] = "properties"
    property: str = ""
    delimiter: str = ""
    decimal: str = ""
    encoding: str = ""
    header: bool | None = None
    absent: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    number: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()


class Dialect(msgspec.Struct, frozen=True):
    """How a delimited text is written. `skip`: lines before the first row of data, header and comments with them.

    `strict`: as RFC 4180 has it, nothing is mended: what the platform wrote itself.
    """

    encoding: str
    delimiter: str
    decimal: str = "."
    thousands: str = ""
    header: bool = True
    skip: int = 0
    strict: bool = False


class Moment(msgspec.Struct, frozen=True):
    """Where the times of a file are and how they are written.

    `columns`: the places of the columns whose texts together are the time. `form`: the name of a form of
    `forms.FORMS`, `format`, `epoch`, `excel`, `stamp` (a column of timestamps), `hour` (a date and an hour) or
    `parts…` (year, month, … in columns of their own). `pattern`: its regular expression. `zone`: the IANA name for
    times that have no offset, "" when all of them have.
    """

    columns: tuple[int, ...]
    form: str
    order: str = ""
    pattern: str = ""
    zone: str = ""


class Column(msgspec.Struct, frozen=True):
    """One column of a file: as it stands there, and what becomes of it.

    `role`: a part of the time, the thing's name, the property's name, a value (of the property that the header names,
    or in the long shape of that which the row names), or left out. `kind`: number, boolean, text, or any (each cell
    its own). `empty`: the part of the sample's rows without a value.
    """

    header: str
    name: str
    role: Role
    kind: str = "any"
    unit: str = ""
    empty: float = 0.0


class Question(msgspec.Struct, frozen=True):
    """What only a person can say. `option`: which option answers it; `choices`: likely answers."""

    option: str
    text: str
    choices: tuple[str, ...] = ()


class Understood(msgspec.Struct, frozen=True):
    """What was understood of a file. With `questions` it cannot be read yet.

    `form`: csv, ndjson, json, parquet or arrow. `shape`: wide (a column a property), long (property and value in
    columns) or things (a column a thing). `first`, `last`: RFC 3339, of the sample and the end of the file; `period_s`:
    the usual step. `rows`: of the sample, `whole` if that is all. `said`: what was decided, in sentences. `zone_by`:
    who says the zone of times without an offset, "" when none is needed.
    """

    form: str
    shape: str
    thing: str
    columns: tuple[Column, ...]
    moment: Moment | None
    dialect: Dialect | None = None
    first: str | None = None
    last: str | None = None
    period_s: float | None = None
    rows: int = 0
    whole: bool = False
    said: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    preview: tuple[tuple[str, ...], ...] = ()
    zone_by: ZoneBy = ""
