"""What a file is: its form, how it is written, its times, its columns; and what only a person can say."""

from __future__ import annotations

import functools
import io
from typing import IO, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.readings.files import clock, dialect, names, times_found, words
from allthings.readings.files.cells import Rule
from allthings.readings.files.columnar import Columnar
from allthings.readings.files.delimited import parse
from allthings.readings.files.json_rows import JsonRows, decoded, document
from allthings.readings.files.kinds import judge
from allthings.readings.files.piece import Cells
from allthings.readings.files.plan import Column, Dialect, Moment, Options, Question, Role, Understood, ZoneBy
from allthings.readings.files.roles import Shape, shape_of
from allthings.readings.files.sample import Sample
from allthings.readings.files.settings import SAMPLE_ROWS_MAX
from allthings.readings.files.unpack import unix_lines, unpacked
from allthings.readings.payload import JSON_ERRORS, decode_json
from allthings.things.errors import BadInputError
from allthings.things.names import valid_thing_name
from allthings.things.times import NS_PER_S, format_time
from allthings.things.units import unit_for
from allthings.things.zones import find_zone

_PREVIEW_ROWS: Final = 5
_PREVIEW_CHARS: Final = 64


class Looked(NamedTuple):
    """A sample that was cut into columns."""

    form: str
    sample: Sample
    dialect: Dialect | None = None
    said: tuple[str, ...] = ()


def understand(
    head: bytes, options: Options, *, name: str, zone: str, received_ns: int, tail: bytes = b"", whole: bool = False
) -> Understood:
    """What a file is, by its first bytes (unpacked) and, where they are known, its last.

    `name`: the file's name; `zone`: the platform's; `whole`: `head` is all of it. Raises BadInputError when it is
    nothing that can be read or the options do not fit it.
    """
    looked = _look(head, options, tail, whole)
    return _understood(looked, options, name=name, zone=zone, received_ns=received_ns, whole=whole)


def understand_file(
    file: IO[bytes], form: str, options: Options, *, name: str, zone: str, received_ns: int
) -> Understood:
    """What a file is that is not read as it arrives: Parquet, Arrow, a JSON document. As `understand`."""
    if form == "json":
        rows = JsonRows()
        piece = rows.piece(document(unpacked(file))[:SAMPLE_ROWS_MAX])
        looked = Looked(form, Sample(tuple(rows.names), piece.columns, len(piece.rows), faults=len(piece.faults)))
    else:
        looked = _look_columnar(file, form)
    file.seek(0)
    return _understood(looked, options, name=name, zone=zone, received_ns=received_ns, whole=False)


def form_of(head: bytes, whole: bool) -> str:
    """The form of a file by its first bytes (unpacked): csv, ndjson, json, parquet or arrow."""
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"["):
        return "json"
    if not start.startswith(b"{"):
        return "csv"
    first, end, more = start.partition(b"\n")
    try:
        return "ndjson" if isinstance(decode_json(first), dict) and (more.strip() or not whole) else "json"
    except JSON_ERRORS:
        return "json" if more.strip() or whole or end else "ndjson"


def _understood(looked: Looked, options: Options, *, name: str, zone: str, received_ns: int, whole: bool) -> Understood:
    sample = looked.sample
    if not sample.rows:
        raise BadInputError("the file has no rows of data")
    said, questions = list(looked.said), list[Question]()
    moment: Moment | None = None
    times: pa.Array | None = None
    zone_by: ZoneBy = ""
    found = None if options.now else times_found.find(sample, options)
    if found is not None:
        moment, zone_by, zone_said = _located(found.moment, sample, options, zone)
        said += [*found.said, *([zone_said] if zone_said else [])]
        questions += [found.question] if found.question else []
        times = clock.joined([sample.columns[place] for place in moment.columns], moment)
    elif not options.now:
        questions.append(_no_time(sample))
    shape = shape_of(sample, moment.columns if moment else (), times, options)
    said += shape.said
    questions += shape.questions
    thing = options.thing or names.thing_from_file(name)
    if options.thing and not valid_thing_name(options.thing):
        raise BadInputError(f"{options.thing[:64]!r} is no name of a thing: letters, digits and . _ : - only, 1 to 128")
    if not thing and shape.thing is None and shape.shape != "things":
        questions.append(Question("thing", "say with --thing which thing the file is of"))
    columns, about = _columns(sample, looked, moment, shape, options)
    said += about
    if not any(column.role == "value" for column in columns):
        raise BadInputError("no column is left beside the time: there is nothing to import")
    first, last, period = (None, None, None) if moment is None else _span(sample, moment, received_ns)
    return Understood(
        form=looked.form,
        shape=shape.shape,
        thing=thing,
        columns=columns,
        moment=moment,
        dialect=looked.dialect,
        first=first,
        last=last,
        period_s=period,
        rows=sample.rows - sample.tail,
        whole=whole and sample.rows < SAMPLE_ROWS_MAX,
        said=tuple(said),
        questions=tuple(questions),
        preview=_preview(sample),
        zone_by=zone_by,
    )


def _look(head: bytes, options: Options, tail: bytes, whole: bool) -> Looked:
    """The form of a file, and its sample in columns."""
    form = "csv" if options.delimiter else form_of(head, whole)
    if form in ("parquet", "arrow"):
        return _look_columnar(io.BytesIO(head), form)
    encoding, mark = dialect.encoding_of(head, options.encoding)
    text = head[mark:].decode(encoding, "replace")
    if form in ("json", "ndjson"):
        return _look_json(text, form, whole)
    return _look_text(text, dialect.sniff(text, whole, options, encoding), tail, whole, encoding)


def _look_columnar(file: IO[bytes], form: str) -> Looked:
    columnar = Columnar(file)
    piece = next(columnar.pieces())
    return Looked(form, Sample(tuple(columnar.names), _cut(piece.columns), min(len(piece.rows), SAMPLE_ROWS_MAX)))


def _look_json(text: str, form: str, whole: bool) -> Looked:
    rows = JsonRows()
    if form == "json":
        if not whole:
            raise BadInputError("a JSON document of this size is not read: write a line for each row (NDJSON)")
        piece = rows.piece(document(text.encode())[:SAMPLE_ROWS_MAX])
    else:
        lines = [line for line in text.split("\n") if line.strip()]
        piece = rows.piece(decoded(lines if whole or len(lines) == 1 else lines[:-1][:SAMPLE_ROWS_MAX]))
    return Looked(form, Sample(tuple(rows.names), piece.columns, len(piece.rows), faults=len(piece.faults)))


def _look_text(text: str, sniffed: dialect.Head, tail: bytes, whole: bool, encoding: str) -> Looked:
    width = len(sniffed.header)
    data = unix_lines(text.encode())
    for _ in range(sniffed.dialect.skip):
        data = data.partition(b"\n")[2]
    if not whole:
        data = data[: data.rfind(b"\n") + 1]
    piece = parse(data, sniffed.dialect, width)
    columns, of_tail = _filled(_cut(piece.columns)), 0
    rows = len(columns[0])
    if tail:
        text = tail.decode(encoding, "replace")
        last = parse(text.partition("\n")[2].encode(), sniffed.dialect, width)
        of_tail = len(last.rows)
        columns = [pa.concat_arrays([one, other]) for one, other in zip(columns, last.columns, strict=True)]
    sample = Sample(sniffed.header, columns, rows + of_tail, sniffed.units, of_tail, len(piece.faults))
    return Looked("csv", sample, sniffed.dialect, sniffed.said)


def _filled(columns: list[Any]) -> list[Cells]:
    """The rows in which something stands; spreadsheets leave rows of delimiters at the end."""
    something = functools.reduce(pc.or_, (pc.not_equal(column, "") for column in columns))
    return [column.filter(something) for column in columns]


def _cut(columns: list[Cells]) -> list[Cells]:
    return [column[:SAMPLE_ROWS_MAX] for column in columns]


def _located(moment: Moment, sample: Sample, options: Options, zone: str) -> tuple[Moment, ZoneBy, str]:
    """The moment with its zone, who says that, and what to say of it."""
    if not moment.zone:
        return moment, "", ""
    if options.zone:
        find_zone(options.zone)
        return _with_zone(moment, options.zone), "option", f"times without an offset are of {options.zone}"
    if any(names.says_utc(sample.headers[place]) for place in moment.columns):
        return _with_zone(moment, "UTC"), "header", "times are UTC, as the header says"
    said = f"times have no offset: they are taken as {zone}, the platform's zone; see --zone"
    return _with_zone(moment, zone), "platform", said


def _with_zone(moment: Moment, zone: str) -> Moment:
    return Moment(moment.columns, moment.form, moment.order, moment.pattern, zone)


def _no_time(sample: Sample) -> Question:
    seen = ", ".join(times_found.shown(sample, place) for place in range(min(len(sample.headers), 30)))
    clocks = [header for header in sample.headers if names.is_time(header)]
    why = f"; {clocks[0]!r} alone is no time" if clocks else ""
    return Question(
        "time_column",
        f"no column of times is found among {seen}{why}: say which with --time-column (and how it is written with "
        "--time-format), or --now for the time of import",
        sample.headers[:30],
    )


def _columns(
    sample: Sample, looked: Looked, moment: Moment | None, shape: Shape, options: Options
) -> tuple[tuple[Column, ...], list[str]]:
    """What becomes of each column."""
    for name in (*options.text, *options.number, *options.leave):
        times_found.column(sample, name)
    free = [place for place in range(len(sample.headers)) if place not in (moment.columns if moment else ())]
    headers = sample.headers
    bare = looked.dialect is not None and not looked.dialect.header
    named = names.properties_of(headers, sample.units, free[0] if bare and len(free) == 1 else None)
    rule = rule_of(looked.dialect, headers, options)
    said = list(named.said) if shape.shape != "long" else []
    found: list[Column] = []
    for place, header in enumerate(headers):
        role = _role(place, moment, shape)
        wide = role == "value" and shape.shape != "long"
        judged = judge(sample.columns[place], rule)
        kind, unit = judged.kind, named.units[place]
        if wide and _told(header, place, options.leave):
            role = "left"
            said.append(f"the column {times_found.shown(sample, place)} is left out, as you said")
        elif wide and _is_index(sample, place, looked):
            role = "left"
            said.append(f"column {place + 1} only counts rows and is left out")
        elif wide and judged.empty == 1.0 and not header:
            role = "left"
            said.append(f"column {place + 1} has no name and no values and is left out")
        if _told(header, place, options.text):
            kind = "text"
        elif _told(header, place, options.number):
            kind = "number"
        elif shape.shape == "long" or (shape.thing is not None and kind == "text"):
            kind = "any"
        elif judged.said and role == "value":
            said.append(f"{times_found.shown(sample, place)}: {judged.said}")
        if role == "value" and kind == "number" and not unit:
            unit = unit_for(named.names[place], judged.low, judged.high)
        found.append(Column(header, named.names[place], role, kind, unit, round(judged.empty, 4)))
    return tuple(found), said


def rule_of(written: Dialect | None, headers: tuple[str, ...], options: Options) -> Rule:
    """How cells are read. A file with exactly the platform's own columns is taken to the letter."""
    own = words.is_own(headers)
    if written is None:
        return Rule(absent=options.absent, literal=own)
    return Rule(written.decimal, written.thousands, options.absent, own and written.delimiter == ",")


def _role(place: int, moment: Moment | None, shape: Shape) -> Role:
    if moment is not None and place in moment.columns:
        return "time"
    if place == shape.thing:
        return "thing"
    if shape.shape == "long":
        return "property" if place == shape.property else "value" if place == shape.value else "left"
    return "value"


def _told(header: str, place: int, named: tuple[str, ...]) -> bool:
    return any(name.strip().lower() in (header.strip().lower(), f"column {place + 1}") for name in named)


def _is_index(sample: Sample, place: int, looked: Looked) -> bool:
    """A column without a name that counts the rows."""
    if looked.form != "csv" or (looked.dialect and not looked.dialect.header):
        return False
    if names.plain(sample.headers[place]) not in words.INDEXES:
        return False
    texts = sample.texts(place)[: sample.rows - sample.tail]
    if not pc.all(pc.match_substring_regex(texts, r"^\d{1,18}$")).as_py():
        return False
    numbers = texts.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return bool((np.diff(numbers) == 1).all())


def _span(sample: Sample, moment: Moment, received_ns: int) -> tuple[str | None, str | None, float | None]:
    """The first and last time and the usual step between rows, by the sample."""
    columns = sample.columns
    reader = clock.Clock(moment, True, received_ns)
    times = reader.read(columns, np.ones(sample.rows, np.bool_))
    if not times.fine.any():
        return None, None, None
    ns = times.ns[times.fine]
    steps = np.diff(np.unique(ns[: sample.rows - sample.tail]))
    period = float(np.median(steps)) / NS_PER_S if len(steps) else None
    return format_time(int(ns.min())), format_time(int(ns.max())), period


def _preview(sample: Sample) -> tuple[tuple[str, ...], ...]:
    texts = [sample.texts(place)[:_PREVIEW_ROWS].to_pylist() for place in range(len(sample.headers))]
    return tuple(tuple(cell[:_PREVIEW_CHARS] for cell in row) for row in zip(*texts, strict=True))
