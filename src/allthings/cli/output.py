"""What commands write: data to standard output, remarks to standard error."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_EXACT_BELOW: Final = 2.0**53
#: Cells of CSV that have to be quoted.
_QUOTED: Final = re.compile(r'^\s|\s$|[",\r\n]')


def encode_json(value: Any, *, indent: int = -1) -> bytes:
    """JSON in which no digit is lost: integers of any length, floats as they are, `msgspec.Raw` as it is.

    `indent`: spaces a level; -1: all on one line.
    """
    import msgspec

    data = msgspec.json.encode(value)
    return msgspec.json.format(data, indent=indent) if indent >= 0 else data


def write_json(value: Any, *, indent: int = 2) -> None:
    """One JSON document, indented (-1: on one line). A terminal gets what would act there in escapes of JSON."""
    data = encode_json(value, indent=indent)
    if sys.stdout.isatty():
        from allthings.things.display import visible_json

        data = visible_json(data.decode()).encode()
    write_bytes(data + b"\n")


def write_outcome(value: Any, line: str, as_json: bool) -> None:
    """What a change gave: the whole for programs, a line for people."""
    if as_json:
        write_json(value)
    else:
        write_line(line)


def write_line(text: str) -> None:
    """A line for people. What devices and strangers chose of it is made visible, and cannot act on a terminal."""
    from allthings.things.display import visible

    sys.stdout.write(visible(text) + "\n")
    sys.stdout.flush()


def write_bytes(data: bytes) -> None:
    """Data as it is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def remark(text: str) -> None:
    """A remark for people, which no program that reads our output sees. Made visible as in `write_line`."""
    from allthings.things.display import visible

    sys.stderr.write(visible(text) + "\n")


def write_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[str] = ()) -> None:
    """A table for people. `right`: columns aligned to the right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(cell(column), justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(cell, row))
    terminal().print(table)


def cell(value: Any, style: str = "") -> Text:
    """A value in a table for people; made visible as in `write_line`."""
    from rich.text import Text

    from allthings.things.display import visible

    return Text(visible(show(value)), style=style)


def terminal() -> Console:
    """Standard output as rich writes to it. A pipe has no width: nothing is folded for it."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=10_000)


def show(value: Any) -> str:
    """A value as people read it: all its digits, whole numbers as such, nothing for null.

    Text as it is: what prints it makes it visible. `msgspec.Raw` is JSON that was not read: but for texts it is shown
    as it is written there.
    """
    import msgspec

    if isinstance(value, msgspec.Raw):
        token = bytes(value)
        value = msgspec.json.decode(token) if token[:1] in (b'"', b"n") else token.decode()
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < _EXACT_BELOW else repr(value)
    if isinstance(value, dict | list):
        return encode_json(value).decode()
    return str(value)


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, spreadsheet_safe: bool = False) -> None:
    """CSV (RFC 4180) with a header; null is an empty field, an empty text one in quotes.

    A terminal gets what would act there made visible. `spreadsheet_safe`: texts that a spreadsheet would take for
    formulas have an apostrophe before them.
    """
    from allthings.things.display import harmless, visible

    on_terminal = sys.stdout.isatty()

    def written(value: Any) -> str:
        text = show(value)
        if spreadsheet_safe and _is_text(value):
            text = harmless(text)
        if on_terminal:
            text = visible(text)
        quoted = _QUOTED.search(text) is not None or (not text and _is_text(value))
        return '"' + text.replace('"', '""') + '"' if quoted else text

    lines = (",".join(map(written, row)) + "\n" for row in chain([columns], rows))
    write_bytes("".join(lines).encode())


def _is_text(value: Any) -> bool:
    import msgspec

    return bytes(value)[:1] == b'"' if isinstance(value, msgspec.Raw) else isinstance(value, str)
