"""What must be true after the crashes: nothing acknowledged is lost or doubled, and all views of it agree."""

from __future__ import annotations

import math
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]

from allthings.testing.platform import Platform
from allthings.things.times import format_time, now_ns, parse_time
from tests.soak.crash_fleet import Device, Fleet

STANDS_STILL_S = 30.0
ASK_EVERY_S = 0.3
AGGREGATES = ("count", "min", "max", "sum", "avg", "first", "last")
BUCKETS = {"1m": 60_000, "1h": 3_600_000}
ROWS_PER_PAGE = 10_000
FAULTS_SHOWN_MAX = 20

Point = tuple[int, Any]


def stuck(platform: Platform) -> list[str]:
    """Whether a consumer of the log stands still before it has finished all that is in the log by now.

    A machine that is busy with other things makes consumers slow, which is no fault of theirs: only standing still is.
    """
    asked_ns, moved_s = now_ns(), time.monotonic()
    positions: list[str] = []
    status: dict[str, Any] = {}
    while time.monotonic() - moved_s < STANDS_STILL_S:
        time.sleep(ASK_EVERY_S)
        try:
            status = httpx.get(f"{platform.http}/api/status", timeout=30).raise_for_status().json()
        except httpx.HTTPError as error:
            status = {"failed": repr(error)}
            continue
        now = [each["position"] for each in status["consumers"]]
        fresh = parse_time(status["now"]) > asked_ns  # a status may be a second old
        if fresh and now and all(position == status["log"]["last"] for position in now):
            return []
        if now != positions:
            positions, moved_s = now, time.monotonic()
    return [f"consumers have not moved for {STANDS_STILL_S:g} s: {status}"]


def differences(platform: Platform, fleet: Fleet) -> list[str]:
    """Every difference between what was acknowledged and what the history says: raw, counted, and rolled up."""
    found: list[str] = []
    with httpx.Client(base_url=platform.http, timeout=60) as client:
        found += _counts(client, fleet)
        for device in fleet.devices:
            for name, kept in device.kept.items():
                found += _raw(client, device, name, kept)
                for every, width_ms in BUCKETS.items():
                    found += _rolled_up(client, device, name, kept, every, width_ms)
    return found[:FAULTS_SHOWN_MAX] + ([f"and {len(found) - FAULTS_SHOWN_MAX} more"] * (len(found) > FAULTS_SHOWN_MAX))


def _counts(client: httpx.Client, fleet: Fleet) -> Iterator[str]:
    sql = (
        "SELECT thing, property, count(), count(DISTINCT time) FROM readings WHERE thing LIKE 'soak-%' "
        "GROUP BY thing, property"
    )
    answer = client.post("/api/query", json={"sql": sql}).raise_for_status().json()
    counted = {(thing, name): (int(rows), int(distinct)) for thing, name, rows, distinct in answer["rows"]}
    expected = {
        (device.name, name): (len(kept), len(kept)) for device in fleet.devices for name, kept in device.kept.items()
    }
    for key in sorted(counted.keys() | expected.keys()):
        if counted.get(key) != expected.get(key):
            yield f"{key}: SQL counts {counted.get(key)} rows and distinct times, expected {expected.get(key)}"


def _points(client: httpx.Client, parameters: dict[str, Any]) -> Iterator[tuple[list[str], list[Any]]]:
    """The columns and each point of one series, over all pages."""
    after: str | None = None
    while True:
        paged = parameters | ({"next": after} if after else {})
        answer = client.get("/api/history", params=paged).raise_for_status().json()
        for series in answer["series"]:
            for point in series["points"]:
                yield series["columns"], point
        after = answer.get("next")
        if not after:
            return


def _span(kept: dict[int, float]) -> dict[str, str]:
    return {
        "from": format_time(min(kept) // 3_600_000 * 3_600_000 * 1_000_000),
        "to": format_time((max(kept) // 3_600_000 + 1) * 3_600_000 * 1_000_000),
    }


def _raw(client: httpx.Client, device: Device, name: str, kept: dict[int, float]) -> Iterator[str]:
    asked = {"thing": device.name, "property": name, "limit": ROWS_PER_PAGE, **_span(kept)}
    points: list[Point] = [(parse_time(point[0]) // 1_000_000, float(point[1])) for _, point in _points(client, asked)]
    if points != sorted(kept.items()):
        got = dict(points)
        missing = sorted(kept.keys() - got.keys())
        strange = sorted(got.keys() - kept.keys())
        other = sorted(moment for moment in kept.keys() & got.keys() if kept[moment] != got[moment])
        yield (
            f"{device.name}/{name}: {len(points)} points for {len(kept)} acknowledged values; {len(missing)} missing "
            f"{missing[:3]}, {len(strange)} of nobody {strange[:3]}, {len(other)} with another value "
            f"{[(moment, kept[moment], got[moment]) for moment in other[:3]]}, {len(points) - len(got)} doubled"
        )


def _rolled_up(
    client: httpx.Client, device: Device, name: str, kept: dict[int, float], every: str, width_ms: int
) -> Iterator[str]:
    buckets: dict[int, list[float]] = defaultdict(list)
    for moment in sorted(kept):
        buckets[moment // width_ms * width_ms].append(kept[moment])
    expected = {bucket: dict(zip(AGGREGATES, _aggregates(values), strict=True)) for bucket, values in buckets.items()}
    asked = {
        "thing": device.name,
        "property": name,
        "every": every,
        "aggregate": list(AGGREGATES),
        "limit": ROWS_PER_PAGE,
        **_span(kept),
    }
    got = {
        parse_time(point[0]) // 1_000_000: dict(zip(columns[1:], point[1:], strict=True))
        for columns, point in _points(client, asked)
        if dict(zip(columns, point, strict=True)).get("count")
    }
    for bucket in sorted(expected.keys() | got.keys()):
        if not _same(expected.get(bucket), got.get(bucket)):
            yield (
                f"{device.name}/{name} every {every}: the bucket {format_time(bucket * 1_000_000)} is "
                f"{got.get(bucket)}, the raw values give {expected.get(bucket)}"
            )


def _aggregates(values: list[float]) -> Iterable[float]:
    total = math.fsum(values)
    return len(values), min(values), max(values), total, total / len(values), values[0], values[-1]


def _same(one: dict[str, float] | None, other: dict[str, Any] | None) -> bool:
    """Equal but for the order in which floats were added."""
    if one is None or other is None or one.keys() != other.keys():
        return False
    return all(math.isclose(one[name], other[name], rel_tol=1e-12, abs_tol=1e-9) for name in one)


def orphans(platform: Platform, within_s: float = 10.0) -> list[str]:
    """Processes that a platform which has ended left behind: those seen of its tree, and any that name its data."""
    found = {f"{process.pid}: of an ended tree" for process in platform.wait_gone(within_s)}
    if platform.running:
        return sorted(found)
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        try:
            named = [*process.cmdline(), *process.environ().values()]
        except psutil.Error:
            continue
        if process.pid not in ours and str(platform.data) in named:
            found.add(f"{process.pid}: {' '.join(process.cmdline())}")
    return sorted(found)
