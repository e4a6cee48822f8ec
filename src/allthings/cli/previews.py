"""What was understood of a file, shown to a person, and what the person says to it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import typer

from allthings.cli.output import cell, remark
from allthings.things.display import visible

_COLUMNS_SHOWN: Final = 60
_DELIMITERS: Final = {"\t": "tab", " ": "blanks"}


def show_understood(file: Path, understood: dict[str, Any]) -> None:
    """A preview on standard error: how the file is written, its time, its columns."""
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=True, highlight=False)
    for line in _lines(file, understood):
        console.print(cell(line))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("column", "is", "kind", "unit", "empty", "first"):
        table.add_column(name, justify="right" if name == "empty" else "left", overflow="fold")
    first = understood["preview"][0] if understood["preview"] else []
    for place, column in enumerate(understood["columns"][:_COLUMNS_SHOWN]):
        role = column["role"] if column["role"] != "value" or understood["shape"] == "long" else _becomes(column)
        empty = f"{column['empty']:.1%}" if column["empty"] else ""
        shown = (column["header"], role, column["kind"], column["unit"], empty, first[place] if first else "")
        table.add_row(*map(cell, shown))
    console.print(table)
    if len(understood["columns"]) > _COLUMNS_SHOWN:
        console.print(f"and {len(understood['columns']) - _COLUMNS_SHOWN} more columns")
    for sentence in understood["said"]:
        console.print(cell(f"· {sentence}"))
    for question in understood["questions"]:
        console.print(cell(f"? {question['text']}", style="bold"))


def _becomes(column: dict[str, Any]) -> str:
    return "property" if column["name"] == column["header"] else f"property {column['name']}"


def _lines(file: Path, understood: dict[str, Any]) -> Iterator[str]:
    form = understood["form"]
    written = understood["dialect"]
    if written:
        delimiter = _DELIMITERS.get(written["delimiter"], written["delimiter"])
        header = "with a header" if written["header"] else "without a header"
        form = f"columns between {delimiter}, decimal {written['decimal']}, {written['encoding']}, {header}"
    rows = f"{understood['rows']:,} rows" if understood["whole"] else f"first {understood['rows']:,} rows looked at"
    yield f"{file.name}: {form}; {rows}"
    things = any(column["role"] == "thing" for column in understood["columns"])
    if not things and understood["shape"] != "things":
        yield f"thing: {understood['thing']}"
    if understood["first"]:
        every = f", usually every {_duration(understood['period_s'])}" if understood["period_s"] else ""
        yield f"time: {understood['first']} to {understood['last']}{every}"


def _duration(seconds: float) -> str:
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            return f"{seconds / size:g} {name}"
    return f"{seconds * 1000:g} ms"


def confirmed() -> bool:
    """Whether the person wants the file imported so."""
    return typer.confirm("Import it?", default=True, err=True)


def answers(questions: list[dict[str, Any]]) -> dict[str, Any]:
    """What the person answers, as options."""
    found: dict[str, Any] = {}
    for question in questions:
        option, choices = question["option"], question["choices"]
        for number, choice in enumerate(choices, 1):
            remark(f"  {number}  {choice}")
        given = typer.prompt(option.replace("_", " "), err=True).strip()
        if given.isdigit() and 1 <= int(given) <= len(choices):
            given = choices[int(given) - 1]
        if option == "day_first":
            found[option] = not given.lower().startswith("m")
        elif option == "time_column":
            found[option] = [given]
            if form := typer.prompt("time format (empty: found by itself)", default="", show_default=False, err=True):
                found["time_format"] = form
        else:
            found[option] = given
    return found


@contextmanager
def progress(file: Path, shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar of the bytes that have gone, on a terminal."""
    if not shown or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(visible(file.name), total=file.stat().st_size)
        yield lambda size: bar.advance(task, size)
