"""What the demo is made of: things (descriptions) and their recordings, in groups that share a span of time."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from allthings.scenes.demo.placement import Span

DAY_S: Final = 86_400
_PLACEHOLDER: Final = re.compile(r'"\{\{([A-Z_]+)\}\}"|\{\{([A-Z_]+)\}\}')


@dataclass(frozen=True)
class Recording:
    """Values over time. `clock_s`: the recorded wall clock in seconds since 1970, ascending; `values`: a column per
    property, as long as the clock."""

    clock_s: np.ndarray[Any, np.dtype[np.int64]]
    values: pa.Table


@dataclass(frozen=True)
class DemoThing:
    """A thing of the demo: its name, its Thing Description, and the file of its recording."""

    name: str
    td: dict[str, Any]
    file: Traversable

    @cached_property
    def recording(self) -> Recording:
        with self.file.open("rb") as stream, pq.ParquetFile(pa.PythonFile(stream)) as file:
            table = file.read(use_threads=False)
        clock = table.column("time").cast(pa.timestamp("s")).cast(pa.int64()).to_numpy()
        return Recording(clock, table.drop_columns(["time"]).combine_chunks())


@dataclass(frozen=True)
class Group:
    """Things whose recordings run together. The meaning of the numbers stands in things.toml."""

    name: str
    things: tuple[DemoThing, ...]
    align_s: int
    live_from_s: int
    repeat: int
    pace_s: float

    @cached_property
    def span(self) -> Span:
        """The recorded time of all things together, cut to whole multiples of the alignment."""
        start = min(int(thing.recording.clock_s[0]) for thing in self.things)
        end = max(int(thing.recording.clock_s[-1]) for thing in self.things)
        return Span(start, (end - start) // self.align_s * self.align_s, self.repeat)


def load() -> tuple[Group, ...]:
    """Everything in things.toml. Recordings are read when they are first asked for."""
    folder = resources.files(__package__)
    with folder.joinpath("things.toml").open("rb") as stream:
        groups = tomllib.load(stream)
    return tuple(_group(name, entry, folder) for name, entry in groups.items())


def _group(name: str, entry: dict[str, Any], folder: Traversable) -> Group:
    things = tuple(
        DemoThing(
            thing,
            _describe(folder.joinpath("models", f"{values['model']}.tm.json"), {"NAME": thing, **values}),
            folder.joinpath("recordings", f"{thing}.parquet"),
        )
        for thing, values in entry["things"].items()
    )
    live_from: datetime = entry["live_from"]
    return Group(
        name,
        things,
        entry["align_days"] * DAY_S,
        int(live_from.replace(tzinfo=UTC).timestamp()),
        entry["repeat"],
        entry["pace_s"],
    )


def _describe(model: Traversable, values: dict[str, Any]) -> dict[str, Any]:
    """A Thing Description from a Thing Model (WoT TD 1.1, section 10.3.3): placeholders are filled in, and one that
    is the whole string takes the type of its value."""

    def fill(match: re.Match[str]) -> str:
        if match[1]:
            return json.dumps(values[match[1]], ensure_ascii=False)
        return json.dumps(str(values[match[2]]), ensure_ascii=False)[1:-1]

    td: dict[str, Any] = json.loads(_PLACEHOLDER.sub(fill, model.read_text("utf-8")))
    td["@type"] = [name for name in td["@type"] if name != "tm:ThingModel"]
    if not td["@type"]:
        del td["@type"]
    return td
