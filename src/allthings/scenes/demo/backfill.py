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
_NAMES = pa.dictionary(pa.int32(), pa.string())


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
    """The time of the newest reading of each thing that has one, in seconds since the epoch."""
    names = [thing.name for group in groups for thing in group.things]
    answer = client.get("/api/current", params={"thing": names})
    answer.raise_for_status()
    found: dict[str, int] = {}
    for value in answer.json()["values"]:
        seconds = parse_time(value["time"]) // NS_PER_S
        found[value["thing"]] = max(seconds, found.get(value["thing"], seconds))
    return found


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
    total = sum(len(rows) * thing.recording.values.num_columns for thing, rows, _ in parts)
    if not total:
        return 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("back-filling history", total=total)
        for thing, rows, times in parts:
            for table in uploads(thing.name, thing.recording, rows, times):
                _post(client, table)
                progress.advance(task, table.num_rows)
    return total


def uploads(thing: str, recording: Recording, rows: Seconds, times: Seconds) -> Iterator[pa.Table]:
    """Tables of readings (`thing`, `property`, `time`, `number`, `text`, `kind`), one row a value, oldest first."""
    for start in range(0, len(rows), UPLOAD_ROWS_MAX):
        chosen, when = rows[start : start + UPLOAD_ROWS_MAX], times[start : start + UPLOAD_ROWS_MAX]
        taken = recording.values.take(pa.array(chosen))
        yield pa.concat_tables(_column(thing, name, taken.column(name), when) for name in taken.column_names)


def _column(thing: str, name: str, values: pa.ChunkedArray, when: Seconds) -> pa.Table:
    raise NotImplementedError


def _post(client: httpx.Client, table: pa.Table) -> None:
    """One upload; it is on disk when this returns. A platform that is busy is given time."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    body = sink.getvalue().to_pybytes()
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
