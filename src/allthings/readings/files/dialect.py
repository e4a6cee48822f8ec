"""How a delimited text is written: encoding, separators, what stands before the table, its header.

The judgement is by what becomes of the cells: of all ways to cut the lines the one counts under which most rows have
one length and most cells are a number, a time or nothing.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from allthings.readings.files.absent import is_absent
from allthings.readings.files.plan import Dialect, Options
from allthings.readings.files.settings import COLUMNS_MAX, PREAMBLE_LINES_MAX, SNIFFED_ROWS_MAX
from allthings.readings.files.words import is_own
from allthings.things.errors import BadInputError
from allthings.things.units import known_unit

#: The header of a file that the platform wrote is no longer.
_OWN_CHARS_MAX: Final = 64
DELIMITERS: Final = (",", ";", "\t", "|")
BLANKS: Final = " "
_NUMBER: Final = re.compile(r"[+-]?(?:\d{1,3}(?:[.,' \u00a0\u202f]\d{3})+|\d+)?(?:[.,]\d+)?(?:[eE][+-]?\d+)?")
_POINT: Final = re.compile(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?")
_COMMA: Final = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:[. ]\d{3})+)?,\d+(?:[eE][+-]?\d+)?")
_GROUPED: Final = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_GROUPED_BY_POINT: Final = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+(?:,\d+)?")
#: Good enough to tell a time from a word; which one it is, is judged by whole columns.
_TIME: Final = re.compile(
    r"(?:\D{0,12}\d{1,4}[-/.年]\s?\w{1,9}[-/.月,]\s?\d{1,4}日?(?:[T ,_]+\d{1,2}[:.hH时].*)?"
    r"|\d{1,2}[:.]\d{2}(?:[:.]\d{2})?(?:[.,]\d+)?"
    r"(?:\s*[AaPp]\.?[Mm]\.?)?(?:\s*-\s*\d{1,2}:\d{2})?|\d{4}-?W\d\d-?\d.*|\d{8}[T ]\d{4,6}.*|\w{3}\s.*\d{1,2}:\d{2}.*)"
)
_TRUTH: Final = frozenset({"true", "false"})
_SEP_LINE: Final = re.compile(r"sep=(.)\s*", re.IGNORECASE)
_PROCESSES: Final = frozenset({"avg", "smp", "tot", "max", "min", "std", "ts", "rn", "mean", "sum", "last", "inst"})


class Head(NamedTuple):
    """A dialect, and the header with what stands below it."""

    dialect: Dialect
    header: tuple[str, ...]
    units: tuple[str, ...]
    said: tuple[str, ...]


def encoding_of(data: bytes, given: str = "") -> tuple[str, int]:
    """The encoding of a text, and the bytes of its mark at the start. Raises BadInputError."""
    for mark, name in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if data.startswith(mark):
            return name, len(mark)
    if given:
        try:
            "".encode(given)
        except LookupError:
            raise BadInputError(f"{given[:32]!r} is no encoding, such as utf-8, cp1252, utf-16-le") from None
        return given, 0
    half = data[:2_000]
    if len(half) > 3 and half.count(b"\x00") > len(half) // 4:
        return ("utf-16-le" if half[1::2].count(0) > half[::2].count(0) else "utf-16-be"), 0
    if b"\x00" in half:
        raise BadInputError("the file is no text: it has zero bytes")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        # A sample may end within a letter.
        if error.end < len(data) - 3 or error.reason != "unexpected end of data":
            return "cp1252", 0
    return "utf-8", 0


def sniff(text: str, whole: bool, options: Options, encoding: str) -> Head:
    """The dialect of a text whose first lines these are. `whole`: the last line is complete. Raises BadInputError."""
    own = text[:_OWN_CHARS_MAX].partition("\n")[0].rstrip("\r").split(",")
    if is_own(own) and options.delimiter in ("", ","):
        return Head(Dialect("utf-8", ",", skip=1, strict=True), tuple(own), (), ())
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not whole and len(lines) > 1:
        lines.pop()
    lines = lines[: SNIFFED_ROWS_MAX + PREAMBLE_LINES_MAX]
    said: list[str] = []
    given, first = options.delimiter, 0
    if lines and (match := _SEP_LINE.fullmatch(lines[0])):
        given, first = given or match[1], 1
    body = [line for line in lines[first:] if line.strip()]
    if not body:
        raise BadInputError("the file is empty")
    delimiter = {"tab": "\t", "space": BLANKS, "\\t": "\t"}.get(given, given) or _delimiter(body)
    rows = [cut(line, delimiter) for line in _records(lines[first:], delimiter)]
    width = _width(rows)
    if width > COLUMNS_MAX:
        raise BadInputError(f"{width:,} columns, more than {COLUMNS_MAX:,}")
    start, header, units = _table(rows, width, options.header, said)
    if start >= len(rows):
        raise BadInputError("the file has a header and no rows of data")
    decimal, thousands = _decimal(rows[start:], width, delimiter, options.decimal)
    if header is None:
        names: tuple[str, ...] = ("",) * width
    else:
        names = tuple(header)
        if len(names) == width - 1:
            if any(len(row) == width and row[-1].strip() for row in rows[start:]):
                names = ("", *names)
                said.append("the header has one name fewer than the rows: the first column is the one without a name")
            else:
                names = (*names, "")
        names = (names + ("",) * width)[: max(width, len(names))]
    before = _lines_before(lines[first:], rows, start, delimiter) + first
    if before - (header is not None) > first:
        said.append(f"{before - (header is not None)} lines beside the header stand before the table")
    dialect = Dialect(encoding, delimiter, decimal, thousands, header is not None, before)
    return Head(dialect, names, tuple(units), tuple(said))


def cut(line: str, delimiter: str) -> list[str]:
    """The fields of one record."""
    if delimiter == BLANKS:
        line = re.sub(r"[ \t]+", " ", line.strip())
    try:
        return next(csv.reader(io.StringIO(line), delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return [line]


def typed(cell: str) -> bool:
    """Whether a cell is a number, a time, true or false."""
    cell = cell.strip()
    return bool(cell) and (
        (_NUMBER.fullmatch(cell) is not None and any(char.isdigit() for char in cell))
        or _TIME.fullmatch(cell) is not None
        or cell.lower() in _TRUTH
    )


def _records(lines: Sequence[str], delimiter: str) -> list[str]:
    """Lines, those of one quoted cell put together. A quote that is not closed within a few lines is a plain sign."""
    found: list[str] = []
    place = 0
    while place < len(lines):
        line = lines[place]
        place += 1
        if not line.strip():
            continue
        if line.count('"') % 2 and f'{delimiter}"' in delimiter + line:
            for more in range(1, 20):
                joined = "\n".join(lines[place - 1 : place + more])
                if joined.count('"') % 2 == 0:
                    line, place = joined, place + more
                    break
        found.append(line)
    return found


def _delimiter(lines: Sequence[str]) -> str:
    """The delimiter under which the lines are best a table."""
    tail = [line for line in lines if not line.startswith("#")][-200:] or list(lines[-200:])
    best, best_score = ",", 0.0
    for delimiter in (*DELIMITERS, BLANKS):
        rows = [cut(line, delimiter) for line in tail]
        width, count = Counter(map(len, rows)).most_common(1)[0]
        if width < 2:
            continue
        cells = [cell for row in rows if len(row) == width for cell in row]
        fitting = sum(1.0 if typed(cell) else 0.8 if is_absent(cell, True) else 0.0 for cell in cells) / len(cells)
        even = count / len(rows)
        score = even * even * (fitting + 0.1) * (0.8 if delimiter == BLANKS else 1.0)
        if score > best_score * 1.02:
            best, best_score = delimiter, score
    return best


def _width(rows: Sequence[Sequence[str]]) -> int:
    """The usual number of fields; of the second half, since what stands before a table has others."""
    half = rows[len(rows) // 2 :] or rows
    return Counter(map(len, half)).most_common(1)[0][0]


def _table(
    rows: Sequence[list[str]], width: int, told: bool | None, said: list[str]
) -> tuple[int, list[str] | None, list[str]]:
    """The place of the first row of data, the header (None: there is none), and the row of units below it."""
    first = _first_data(rows, width)
    if told is False:
        return _first_of(rows, width), None, []
    if told and first == _first_of(rows, width):
        first += 1
    if first == 0:
        return 0, None, []
    plain = [at for at in range(first) if not rows[at][0].startswith("#")]
    even = [at for at in plain if len(rows[at]) == width]
    # One name more or fewer than there are columns is a header only right above the rows.
    odd = [at for at in plain if abs(len(rows[at]) - width) == 1 and at == first - 1]
    place = next(iter(even or odd), None)
    if place is None:
        # A header that is a comment: `# time, temperature`.
        cells = [cell.strip() for cell in rows[first - 1]]
        cells[0] = cells[0].lstrip("#").strip()
        if rows[first - 1][0].startswith("#") and len(cells) == width:
            return first, cells, []
        return first, None, []
    header = [cell.strip() for cell in rows[place]]
    units: list[str] = []
    for at in range(place + 1, first):
        cells = [cell.strip() for cell in rows[at]]
        known = sum(1 for cell in cells if known_unit(cell.strip("[]()")))
        if known and not units and len(cells) == width:
            units = cells
        elif not any(cell.lower() in _PROCESSES for cell in cells):
            said.append(f"the row {','.join(cells)[:60]!r} below the header is passed over")
    return first, header, units


def _first_of(rows: Sequence[list[str]], width: int) -> int:
    return next((at for at, row in enumerate(rows) if len(row) == width), 0)


def _first_data(rows: Sequence[list[str]], width: int) -> int:
    """The first row that looks like those at the end of the sample."""
    late = [row for row in rows[len(rows) // 2 :] if len(row) == width] or [rows[-1]]
    usual = [
        place for place in range(width) if sum(typed(row[place]) for row in late if place < len(row)) > len(late) / 2
    ]
    # Of rows that are all text nothing tells the header but its place.
    if not usual:
        return _first_of(rows, width) + 1
    for at, row in enumerate(rows[: PREAMBLE_LINES_MAX + 1]):
        if len(row) not in (width, width + 1) or row[0].startswith("#"):
            continue
        fitting = sum(1 for place in usual if typed(row[place]) or is_absent(row[place], True))
        real = sum(1 for place in usual if typed(row[place]))
        if fitting > 0.7 * len(usual) and real:
            return at
    raise BadInputError(f"no table is found in the first {PREAMBLE_LINES_MAX} lines; say --delimiter and --header")


def _decimal(rows: Sequence[Sequence[str]], width: int, delimiter: str, given: str) -> tuple[str, str]:
    """The decimal sign, and the sign that parts thousands."""
    points, commas, grouped, grouped_by_point = 0, 0, 0, 0
    for row in rows:
        for cell in row[:width]:
            cell = cell.strip()
            points += _POINT.fullmatch(cell) is not None
            if _GROUPED.fullmatch(cell) and not cell.lstrip("+-").startswith("0"):
                grouped += 1
                points += "." in cell
            commas += _COMMA.fullmatch(cell) is not None
            grouped_by_point += "," in cell and _GROUPED_BY_POINT.fullmatch(cell) is not None
    if given:
        return given, "." if given == "," and grouped_by_point else "," if given == "." and grouped else ""
    if not commas and not grouped:
        return ".", ""
    if points or (grouped and grouped == commas and delimiter == ","):
        return ".", "," if grouped else ""
    return ",", "." if grouped_by_point else ""


def _lines_before(lines: Sequence[str], rows: Sequence[Sequence[str]], start: int, delimiter: str) -> int:
    """Lines of the file before the row of data with this place among the records."""
    seen, place = 0, 0
    while place < len(lines) and seen < start:
        if not lines[place].strip():
            place += 1
            continue
        records = _records(lines[place : place + 20], delimiter)
        place += records[0].count("\n") + 1
        seen += 1
    while place < len(lines) and not lines[place].strip():
        place += 1
    return place
