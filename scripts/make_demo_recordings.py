"""Converts published recordings into the Parquet files that the demo ships.

    python scripts/make_demo_recordings.py DATA [OUT]

DATA is a folder with the published sets (their layout is that of the copies named in recordings/LICENSES.md). One
file is written per thing: column `time` (the wall clock of the place where it was recorded, without a zone) and one
column per property, named as in the thing's description. Values are those published; what was changed beside the
form is said in each function here and in LICENSES.md.
"""

# ruff: noqa: DTZ001, DTZ007 - the recorded wall clocks have no zone, and that is how they are kept
from __future__ import annotations

import csv
import gzip
import json
import re
import sys
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

OUT = Path(__file__).parents[1] / "src/allthings/scenes/demo/recordings"
BYTES_MAX = 5_000_000

Columns = dict[str, list[Any]]


def rows(path: Path) -> list[dict[str, str]]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return list(csv.DictReader(text.splitlines()))


def numbers(table: Iterable[dict[str, str]], column: str) -> list[float | None]:
    return [float(row[column]) if row[column] else None for row in table]


def rooms(data: Path) -> dict[str, Columns]:
    """Three rooms, minute values of 15 days that were published in random order.

    The days are put in the order of their weekdays from Wednesday on (the recording began on Wednesday 2017-03-22),
    equal weekdays by their identifier, so that a week looks like a week.
    """
    folder = data / "sdu-room-co2-occupancy"
    found: dict[str, Columns] = {}
    for room in (1, 2, 3):
        sources = {"co2": "co2", "occupants": "occ", "damper": "vav"}
        tables = {name: rows(folder / f"{file}_data_room_{room}.csv.gz") for name, file in sources.items()}
        weekdays = {int(row["DayId"]): int(row["Weekday"]) for row in tables["co2"]}
        waiting = sorted(weekdays)
        ordered: list[int] = []
        for day in range(len(weekdays)):
            ordered.append(next(d for d in waiting if weekdays[d] == (2 + day) % 7))
            waiting.remove(ordered[-1])
        columns: Columns = {"time": []}
        start = datetime(2017, 3, 22)
        for name, table in tables.items():
            by_day: dict[int, list[float]] = {}
            for row in table:
                by_day.setdefault(int(row["DayId"]), []).append(float(row[f"Room {room}"]))
            columns[name] = [value for day in ordered for value in by_day[day]]
        columns["time"] = [start + timedelta(minutes=i) for i in range(len(columns["co2"]))]
        found[f"room-{room}"] = columns
    return found


def machine(data: Path) -> dict[str, Columns]:
    """The bearing of a large machine, every five minutes, with the windows that its keepers marked.

    One hour stands twice in the source (2014-01-07 02:00 to 02:55); the second time is kept, as the platform would.
    """
    file = "realKnownCause/machine_temperature_system_failure.csv"
    labels = json.loads((data / "nab/labels/combined_windows.json").read_text())[file]
    windows = [(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in labels]
    last = {datetime.fromisoformat(row["timestamp"]): float(row["value"]) for row in rows(data / "nab/data" / file)}
    times = sorted(last)
    return {
        "machine-1": {
            "time": times,
            "temperature": [last[time] for time in times],
            "anomaly": [any(start <= time <= end for start, end in windows) for time in times],
        }
    }


def meters(data: Path) -> dict[str, Columns]:
    """Utility meters of a house near Vancouver, minute values. Times become UTC-8, the house's standard time."""
    parts = {
        "meter-electricity": ["Electricity_B1E-11"],
        "meter-water": ["Water_WHW-2", "Water_WHW-3"],
        "meter-gas": ["NaturalGas_FRG-4", "NaturalGas_FRG-5"],
    }
    names = {
        "meter-electricity": {
            "V": "voltage",
            "I": "current",
            "f": "frequency",
            "P": "power",
            "S": "apparentPower",
            "APF": "powerFactor",
            "Pt": "energy",
        },
        "meter-water": {"counter": "volume", "avg_rate": "flow"},
        "meter-gas": {"counter": "volume", "avg_rate": "flow"},
    }
    found: dict[str, Columns] = {}
    for thing, files in parts.items():
        table = [row for file in files for row in rows(data / f"ampds2-utility-meters/{file}.csv.gz")]
        clock = [datetime(1970, 1, 1) + timedelta(seconds=int(row["unix_ts"]) - 8 * 3600) for row in table]
        found[thing] = {"time": clock}
        found[thing] |= {ours: numbers(table, theirs) for theirs, ours in names[thing].items()}
    return found


def air(data: Path) -> dict[str, Columns]:
    """An air station in Beijing, hourly. Missing PM2.5 stays missing."""
    table = rows(data / "beijing-pm25/prsa_2010_2013.csv.gz")
    names = {
        "pm2.5": "pm25",
        "TEMP": "temperature",
        "DEWP": "dewPoint",
        "PRES": "pressure",
        "Iws": "wind",
        "Is": "snow",
        "Ir": "rain",
    }
    columns: Columns = {
        "time": [datetime(*(int(row[part]) for part in ("year", "month", "day", "hour"))) for row in table]
    }
    columns |= {ours: numbers(table, theirs) for theirs, ours in names.items()}
    columns["windDirection"] = [row["cbwd"] for row in table]
    return {"air-station": columns}


def nodes(data: Path) -> dict[str, Columns]:
    """Seven sensor nodes in one room, every 30 s, and the people counted in it."""
    table = rows(data / "uci-room-occupancy-estimation/Occupancy_Estimation_2017-12.csv.gz")
    clock = [datetime.strptime(f"{row['Date']} {row['Time']}", "%Y/%m/%d %H:%M:%S") for row in table]
    found: dict[str, Columns] = {}
    for node in (1, 2, 3, 4):
        found[f"node-{node}"] = {
            "time": clock,
            "temperature": numbers(table, f"S{node}_Temp"),
            "light": numbers(table, f"S{node}_Light"),
            "sound": numbers(table, f"S{node}_Sound"),
        }
    found["node-5"] = {"time": clock, "co2": numbers(table, "S5_CO2")}
    for node in (6, 7):
        found[f"node-{node}"] = {"time": clock, "motion": [row[f"S{node}_PIR"] == "1" for row in table]}
    found["node-room"] = {"time": clock, "occupants": numbers(table, "Room_Occupancy_Count")}
    return found


def pedestrians(data: Path) -> dict[str, Columns]:
    """Twenty-one counters in Auckland, hourly.

    A row "6:00-6:59" gets the time 7:00, when the count is complete. The source's days run from 6:00 to 5:59 of the
    next morning under one date (the crowd of New Year's midnight shows it), so the rows' order gives the time.
    """
    table = rows(data / "auckland-pedestrians/hourly_counts_2019_2023.csv.gz")
    clock = [datetime(2019, 1, 1, 7) + timedelta(hours=i) for i in range(len(table))]
    found: dict[str, Columns] = {}
    for place in rows(data / "auckland-pedestrians/locations.csv"):
        address = place["Address"]
        counts = numbers(table, address)
        kept = [i for i, count in enumerate(counts) if count is not None]
        name = "counter-" + re.sub(r"[^a-z0-9]+", "-", address.lower()).strip("-")
        found[name] = {"time": [clock[i] for i in kept], "pedestrians": [counts[i] for i in kept]}
    return found


def table_of(columns: Columns) -> pa.Table:
    """Whole numbers become integers, which are stored in a fraction of the place."""
    arrays = {"time": pa.array(columns["time"], pa.timestamp("s"))}
    for name, values in columns.items():
        if name == "time":
            continue
        array = pa.array(values)
        if pa.types.is_floating(array.type) and all(v is None or v.is_integer() for v in values):
            array = array.cast(pa.int32())
        arrays[name] = array
    return pa.table(arrays)


SETS: tuple[Callable[[Path], dict[str, Columns]], ...] = (rooms, machine, meters, air, nodes, pedestrians)


def main(arguments: list[str]) -> int:
    if not arguments:
        print(__doc__)
        return 2
    data = Path(arguments[0])
    out = Path(arguments[1]) if len(arguments) > 1 else OUT
    out.mkdir(parents=True, exist_ok=True)
    total = 0
    for convert in SETS:
        for thing, columns in convert(data).items():
            table = table_of(columns)
            path = out / f"{thing}.parquet"
            encodings = {"time": "DELTA_BINARY_PACKED"}
            pq.write_table(
                table,
                path,
                compression="zstd",
                compression_level=19,
                use_dictionary=[name for name in table.column_names if name != "time"],
                column_encoding=encodings,
                write_statistics=False,
                store_schema=False,
            )
            total += path.stat().st_size
            print(f"{thing:45} {table.num_rows:7} rows {path.stat().st_size:7} bytes")
    print(f"{total} bytes in all")
    if total > BYTES_MAX:
        print(f"more than the {BYTES_MAX} bytes allowed in the package", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
