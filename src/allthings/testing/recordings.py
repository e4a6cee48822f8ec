"""Real measurements as messages: the recordings that are shipped with the demo, row by row.

Their sources and licences are in the LICENSES.md beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import as_file, files
from typing import Any

import orjson
import pyarrow.parquet as pq


def rows(recording: str, properties: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The rows of a recording ("node-1", "meter-electricity") in order, without their times and missing values.

    `properties` picks columns; none picks all. Raises FileNotFoundError for a name that is none.
    """
    with as_file(files("allthings.scenes.demo") / "recordings" / f"{recording}.parquet") as path:
        table = pq.read_table(path)
    names = list(properties) or [name for name in table.column_names if name != "time"]
    return [
        {name: value for name, value in row.items() if value is not None} for row in table.select(names).to_pylist()
    ]


def payloads(recording: str, properties: Sequence[str] = (), extra: str = "") -> Iterator[bytes]:
    """The same rows as JSON objects. `extra` is put in as it stands, as in `"sent_us":0`, for the load generator."""
    for row in rows(recording, properties):
        text = orjson.dumps(row)
        yield text[:-1] + b"," + extra.encode() + b"}" if extra else text
