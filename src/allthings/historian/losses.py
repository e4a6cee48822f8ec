"""What is lost for good: its span and its things."""

# ruff: noqa: S608 - statements are put together from constants and integers.

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from allthings.historian import settings
from allthings.historian.buckets import instant
from allthings.historian.comparing import Difference
from allthings.historian.engine import Handles
from allthings.historian.ledger import FROM_LOG, Loss, Missing
from allthings.historian.settings import NS_PER_DAY
from allthings.things.times import TIME_NS_MIN


class Gone(NamedTuple):
    """What the log no longer has: the blocks before `first`, which was stored at `stored_ns`."""

    first: int
    stored_ns: int


def of_differences(differences: Sequence[Difference]) -> list[Loss]:
    """What coarser levels still count and finer ones have no more. Rollups that can be made anew are no loss."""
    found = []
    for table, lost in (
        ("readings", [each.lost_readings for each in differences]),
        ("readings_1m", [each.lost_minutes for each in differences]),
        ("readings_1h", [each.lost_hours for each in differences]),
    ):
        gone = [each for each, rows in zip(differences, lost, strict=True) if rows]
        if gone:
            start, end = min(each.day_ns for each in gone), max(each.day_ns for each in gone) + NS_PER_DAY
            found.append(_loss(table, sum(lost), start, end, {each.thing for each in gone}))
    return found


def of_log(
    handles: Handles, missing: Sequence[Missing], gone: Gone, things: Mapping[str, tuple[int, int]]
) -> list[Loss]:
    """What came from blocks that the log no longer has, and no other level tells of."""
    found = []
    for table in FROM_LOG:
        beyond = [
            each
            for each in missing
            # What was only doubted is no loss.
            if each.table == table and each.low and each.low < gone.first and each.start_ns < each.end_ns
        ]
        if not beyond:
            continue
        start, end = min(each.start_ns for each in beyond), max(each.end_ns for each in beyond)
        if table != "readings":
            found.append(_loss(table, sum(each.rows for each in beyond), start, end, ()))
        elif any(each.table == "readings_1m" for each in missing) or not any(each.rows for each in beyond):
            found += _of_things(handles, beyond, gone, things)
    return found


def _of_things(
    handles: Handles, beyond: Sequence[Missing], gone: Gone, things: Mapping[str, tuple[int, int]]
) -> list[Loss]:
    """Readings that went together with what counts them."""
    if not any(each.rows for each in beyond):
        # Nobody wrote down what there was: all that is known is how far the log reaches.
        return [_loss("readings", 0, TIME_NS_MIN, gone.stored_ns, ())]
    rows, spans = 0, []
    for each in beyond:
        found, first = handles.rows(
            "SELECT count(), toUnixTimestamp64Nano(min(time)) FROM readings "
            f"WHERE time >= {instant(each.start_ns)} AND time < {instant(each.end_ns)}"
        )[0]
        if found < each.rows:
            rows += each.rows - found
            # Where the log reaches back to a part of it, that part is there again.
            partly = found and each.high >= gone.first
            spans.append((each.start_ns, max(each.start_ns + 1, first) if partly else each.end_ns))
    names = {
        thing for thing, (first, last) in things.items() if any(first < end and last >= start for start, end in spans)
    }
    if not spans:
        return []
    return [_loss("readings", rows, min(start for start, _ in spans), max(end for _, end in spans), names)]


def _loss(table: str, rows: int, start_ns: int, end_ns: int, things: Iterable[str]) -> Loss:
    names = sorted(things)
    most = settings.LOSS_THINGS_MAX
    return Loss(table, rows, start_ns, end_ns, names[:most], max(0, len(names) - most))
