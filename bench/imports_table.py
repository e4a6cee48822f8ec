"""The table that `bench.imports` compares with: made without any code of the importer.

Each family of files has its form written down by hand here (where the time is and how it is written, which columns
are no values), and is read with Python's csv and datetime only. What comes out was looked at file by file, and stands
in imports.json:

    python -m bench.imports_table ../shared/data > bench/imports.json
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

Row = dict[str, str]
ABSENT = {"", "NA", "N/A", "NULL", "null", "NaN", "nan"}


class Family(NamedTuple):
    """Files of one form. `time`: from a row to its UTC time; `skip`: columns that are no values."""

    pattern: str
    time: Callable[[Row], datetime]
    skip: tuple[str, ...]
    delimiter: str = ","
    header: tuple[str, ...] = ()
    thing: str = ""
    names: tuple[tuple[str, str], ...] = ()
    refused: tuple[str, ...] = ()


def at(column: str, form: str) -> Callable[[Row], datetime]:
    return lambda row: datetime.strptime(row[column], form).replace(tzinfo=UTC)


def iso(column: str) -> Callable[[Row], datetime]:
    def read(row: Row) -> datetime:
        found = datetime.fromisoformat(row[column])
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)

    return read


def epoch(column: str, per_s: int = 1) -> Callable[[Row], datetime]:
    start = datetime(1970, 1, 1, tzinfo=UTC)
    return lambda row: start + timedelta(milliseconds=int(row[column]) * 1000 // per_s)


def auckland(row: Row) -> datetime:
    return datetime.strptime(row["date"] + " " + row["hour"].split("-")[0], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


def beijing(row: Row) -> datetime:
    return datetime(*(int(row[part]) for part in ("year", "month", "day", "hour")), tzinfo=UTC)  # type: ignore[arg-type]


FAMILIES = (
    Family("ampds2-utility-meters/*.csv.gz", epoch("unix_ts"), ("unix_ts",)),
    Family("appliances-energy/*.csv.gz", at("date", "%Y/%m/%d %H:%M"), ("date",)),
    Family("auckland-pedestrians/hourly*.csv.gz", auckland, ("date", "hour")),
    Family("beijing-pm25/*.csv.gz", beijing, ("year", "month", "day", "hour")),
    Family("building-meters-bdg2/*.csv.gz", iso("timestamp"), ("timestamp",)),
    Family(
        "calit2-people-counts/CalIt2.events",
        lambda row: datetime.strptime(row["date"] + row["begin"], "%m/%d/%y%H:%M:%S").replace(tzinfo=UTC),
        ("date", "begin"),
        header=("date", "begin", "column 3", "column 4"),
    ),
    Family("carbon-intensity-us-2022/*.csv.gz", iso("timestamp"), ("timestamp",)),
    Family("eemeter-samples/*electricity*.csv.gz", iso("start"), ("start",)),
    Family("eemeter-samples/*temp*.csv.gz", iso("dt"), ("dt", "")),
    Family("ett/*.csv.gz", iso("date"), ("date",)),
    Family("gas-turbine-emissions/*.csv.gz", iso("datetime"), ("datetime",)),
    Family("lbnl-ahu-faults/*.csv.gz", at("Datetime", "%m/%d/%Y %H:%M"), ("Datetime",), refused=("#VALUE!",)),
    Family("nab/data/*/*.csv", iso("timestamp"), ("timestamp",)),
    Family("open-smart-home/measurements/*.csv.gz", epoch("t"), ("t",), "\t", ("t", "value")),
    Family("pv-plants/ac_power*.csv.gz", iso("timestamp"), ("timestamp",)),
    Family(
        "pv-plants/midc*.csv.gz",
        iso(""),
        ("",),
        names=(("Global CMP22 (vent/cor) [W/m^2]", "Global CMP22 (vent_cor)"),),
    ),
    Family("pv-plants/nrel_1axis*.csv.gz", iso("measured_on"), ("measured_on",)),
    Family("pv-plants/serf*.csv.gz", iso("measured_on"), ("measured_on",)),
    Family("pv-plants/nrel_RSF*.csv.gz", at("", "%m/%d/%Y %H:%M"), ("",)),
    Family("sdu-people-tracking/XOVIS_UWB.csv", epoch("XOVIS_TIME", 1000), ("XOVIS_TIME", ""), ";"),
    Family("sdu-people-tracking/raw_uwbtags.csv", iso("time"), ("time",), ";"),
    Family("sdu-people-tracking/raw_xovis.csv", epoch("time", 1000), ("time", "", "id"), ";", thing="id"),
    Family("skab/data/*/*.csv", iso("datetime"), ("datetime",), ";"),
    Family("steel-industry-energy/*.csv.gz", at("date", "%d/%m/%Y %H:%M"), ("date",)),
    Family("tetouan-power/*.csv.gz", at("Date", "%m/%d/%y %H:%M"), ("Date",)),
    Family(
        "uci-occupancy-detection/*.txt.gz",
        iso("date"),
        ("date", "number"),
        header=("number", "date", "Temperature", "Humidity", "Light", "CO2", "HumidityRatio", "Occupancy"),
    ),
    Family(
        "uci-room-occupancy-estimation/*.csv.gz",
        lambda row: datetime.strptime(row["Date"] + row["Time"], "%Y/%m/%d%H:%M:%S").replace(tzinfo=UTC),
        ("Date", "Time"),
    ),
    Family("vic-electricity/*.csv.gz", iso("Time"), ("Time",)),
    Family("water-flow/*.csv", iso("Time"), ("Time",), names=(("Water flow [l/s]", "Water flow"),)),
)

#: Files that have no time, or rows that only a person can tell apart: the importer has to ask.
ASKS = {
    "auckland-pedestrians/locations.csv": "no times",
    "calit2-people-counts/CalIt2.data": "two rows of each time, told apart by a column without a name",
    "cmapss-turbofan/train_FD001.txt.gz": "cycles, no times",
    "interop/sparkplug-b/capture_sequence_pattern.csv": "frames of one millisecond",
    "lorawan-frames-campusiot/endpoints.csv": "no times",
    "sdu-room-co2-occupancy/*.csv.gz": "times of day, no dates",
    "sdu-room-co2-occupancy/roominfo.txt": "no times",
}
LORAWAN = "lorawan-frames-campusiot/*.ndjson.gz"


def main() -> None:
    folder = Path(sys.argv[1])
    table: dict[str, Any] = {}
    for family in FAMILIES:
        for path in sorted(folder.glob(family.pattern)):
            table[str(path.relative_to(folder))] = entry(path, family)
    for path in sorted(folder.glob(LORAWAN)):
        table[str(path.relative_to(folder))] = lorawan(path)
    for pattern, why in ASKS.items():
        for path in sorted(folder.glob(pattern)):
            table[str(path.relative_to(folder))] = {"asks": why}
    lines = (f"{json.dumps(name)}: {json.dumps(table[name], sort_keys=True)}" for name in sorted(table))
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")


def opened(path: Path) -> Any:
    return gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="")


def rows(path: Path, family: Family) -> Iterator[Row]:
    with opened(path) as stream:
        reader = csv.reader(stream, delimiter=family.delimiter)
        header = list(family.header) or next(reader)
        if family.pattern.startswith("uci-occupancy"):
            next(reader)
        for cells in reader:
            if not cells:
                continue
            yield dict(zip(header, cells, strict=True))


def entry(path: Path, family: Family) -> dict[str, Any]:
    series: dict[str, dict[tuple[str, datetime], str]] = {}
    names = dict(family.names)
    for row in rows(path, family):
        moment, thing = family.time(row), row[family.thing] if family.thing else ""
        for column, cell in row.items():
            if column not in family.skip and cell.strip() not in ABSENT and cell not in family.refused:
                series.setdefault(names.get(column, column.strip()), {})[thing, moment] = cell
    return summary(series)


def summary(series: dict[str, dict[tuple[str, datetime], str]]) -> dict[str, Any]:
    """First and last time, and of each column how many values there are and what they sum up to."""
    moments = [moment for values in series.values() for _, moment in values]
    columns = {}
    for name, values in series.items():
        numbers = [number for cell in values.values() if (number := number_of(cell)) is not None]
        columns[name] = [len(values), math.fsum(numbers)]
    return {"first": shown(min(moments)), "last": shown(max(moments)), "columns": columns}


def number_of(cell: str) -> float | None:
    if cell.lower() in ("true", "false"):
        return float(cell.lower() == "true")
    try:
        return float(cell)
    except ValueError:
        return None


def shown(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z").replace(".000Z", "Z")


def lorawan(path: Path) -> dict[str, Any]:
    """Members within objects are columns of their own; lists stay whole, null is no value."""
    series: dict[str, dict[tuple[str, datetime], str]] = {}
    with opened(path) as stream:
        for line in stream:
            found = json.loads(line)
            moment = datetime.fromisoformat(found.pop("_date"))
            thing = found.pop("dev_eui")
            for name, value in flat(found, ""):
                if value is not None:
                    text = value if isinstance(value, str) else json.dumps(value)
                    # A text of digits is no number in JSON.
                    series.setdefault(name, {})[thing, moment] = f'"{text}"' if isinstance(value, str) else text
    return summary(series)


def flat(found: dict[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    for name, value in found.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{before}{name}.")
        else:
            yield before + name, value


if __name__ == "__main__":
    main()
