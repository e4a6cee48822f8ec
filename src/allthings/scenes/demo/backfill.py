"""The past of every thing, through the bulk upload."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pyarrow as pa
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from allthings.scenes.demo.catalogue import DemoThing, Group, Recording
from allthings.scenes.demo.placement import Seam, Seconds, history
from allthings.scenes.demo.settings import UPLOAD_PAUSE_S, UPLOAD_ROWS_MAX, UPLOAD_TIMEOUT_S, UPLOAD_TRIES_MAX
from allthings.things.times import NS_PER_S, parse_time

ARROW = "application/vnd.apache.arrow.stream"
TIME = pa.timestamp("ns", tz="UTC")


def register(client: httpx.Client, groups: tuple[Group, ...]) -> int:
    """Describe the things that are not described yet; how many those were. What a person changed stays."""
    described = 0
    for thing in (thing for group in groups for thing in group.things):
        found = client.get(f"/things/{thing.td['id']}")
        if found.status_code == httpx.codes.OK and "schema:creditText" in found.json():
            continue
        client.put(f"/things/{thing.td['id']}", json=thing.td).raise_for_status()
        described += 1
    return described


def newest(client: httpx.Client, groups: tuple[Group, ...]) -> dict[str, int]:
    """Up to when the history of each thing is whole, in seconds since the epoch; things without any are left out.

    That is the newest reading of the property that is furthest behind: a run may have ended between two uploads.
    """
    things = {thing.name: thing for group in groups for thing in group.things}
    answer = client.get("/api/current", params={"thing": list(things)})
    answer.raise_for_status()
    found: dict[str, dict[str, int]] = {}
    for value in answer.json()["values"]:
        found.setdefault(value["thing"], {})[value["property"]] = parse_time(value["time"]) // NS_PER_S
    return {
        name: min(times.values())
        for name, times in found.items()
        if times.keys() >= set(things[name].recording.values.column_names)
    }


class _Rate(ProgressColumn):
    """Readings a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} readings/s" if speed else "", style="progress.data.speed")


def fill(client: httpx.Client, groups: tuple[Group, ...], seams: dict[str, Seam], console: Console) -> int:
    """Upload what is missing between the newest reading of each thing and now; the number of readings.

    Oldest first, so that a run which was ended goes on where it stood.
    """
    known = newest(client, groups)
    parts: list[tuple[DemoThing, Seconds, Seconds]] = []
    for group in groups:
        for thing in group.things:
            after_s = known.get(thing.name, -1 << 62)
            rows, times = history(thing.recording.clock_s, group.span, seams[group.name], after_s)
            parts.append((thing, rows, times))
    total: int = sum(len(rows) * thing.recording.values.num_columns for thing, rows, _ in parts)
    if not total:
        return 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("back-filling history", total=total)
        for thing, rows, times in parts:
            for table in uploads(thing.name, thing.recording, rows, times):
                _post(client, table)
                progress.advance(task, table.num_rows)
        progress.update(task, completed=total)
    return total


def uploads(thing: str, recording: Recording, rows: Seconds, times: Seconds) -> Iterator[pa.Table]:
    """Tables of `thing`, `property`, `time` and `value`, oldest first; one for numbers, truths and texts each, since
    a column has one type."""
    for start in range(0, len(rows), UPLOAD_ROWS_MAX):
        values = recording.values.take(pa.array(rows[start : start + UPLOAD_ROWS_MAX]))
        when = pa.array(times[start : start + UPLOAD_ROWS_MAX] * NS_PER_S, TIME)
        by_type: dict[pa.DataType, list[pa.Table]] = {}
        for name, column in zip(values.column_names, values.columns, strict=True):
            type_ = pa.float64() if pa.types.is_integer(column.type) else column.type
            by_type.setdefault(type_, []).append(_long(thing, name, column.cast(type_).combine_chunks(), when))
        yield from map(pa.concat_tables, by_type.values())


def _long(thing: str, name: str, values: pa.Array, when: pa.Array) -> pa.Table:
    """The values that are there, one a row."""
    there = values.is_valid()
    values, when = values.filter(there), when.filter(there)
    zeros = pa.nulls(len(values), pa.int32()).fill_null(0)
    return pa.table(
        {
            "thing": pa.DictionaryArray.from_arrays(zeros, [thing]),
            "property": pa.DictionaryArray.from_arrays(zeros, [name]),
            "time": when,
            "value": values,
        }
    )


def encoded(table: pa.Table) -> bytes:
    """A table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table.unify_dictionaries())
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _post(client: httpx.Client, table: pa.Table) -> None:
    """One upload; it is on disk when this returns. A platform that is busy is given time."""
    body = encoded(table)
    for remaining in reversed(range(UPLOAD_TRIES_MAX)):
        try:
            answer = client.post(
                "/api/readings", content=body, headers={"Content-Type": ARROW}, timeout=UPLOAD_TIMEOUT_S
            )
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or not remaining:
                answer.raise_for_status()
                return
        except httpx.TransportError:
            if not remaining:
                raise
        time.sleep(UPLOAD_PAUSE_S)
