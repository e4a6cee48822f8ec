"""What is written down of a history, and what it proves."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from allthings.historian.ledger import FILE, Kept, Ledger, Part, lost
from tests.historian.blocks import T0, S, decoded


def part(first: int, last: int, *, table: str = "readings", digest: str = "", rows: int = 10) -> Part:
    name = f"202603_{first}_{last}_{int(last > first)}"
    return Part(table, name, "202603", first, last, rows, digest or name, T0, T0 + S, first, last)


def gone(before: list[Part], now: list[Part]) -> int:
    return sum(each.parts for each in lost(Kept(parts=before), now, ()))


def test_what_was_merged_is_not_lost() -> None:
    before = [part(1, 1), part(2, 2), part(3, 3)]
    assert gone(before, before) == 0
    assert gone(before, [part(1, 3)]) == 0
    assert gone(before, [part(1, 2)]) == 1
    assert gone(before, []) == 3
    # What has the place of a part and is another one.
    assert gone(before, [*before[:2], part(3, 3, digest="other")]) == 1
    assert gone(before, [part(1, 3, table="events")]) == 3
    # Of a part without rows nothing can be lost.
    assert gone([part(1, 1, rows=0)], []) == 0


def test_what_is_lost_is_told_by_partition_with_its_reason() -> None:
    (broken, other) = lost(Kept(parts=[part(1, 1), part(2, 5), part(6, 6)]), [part(6, 6)], {"202603_1_1_0"})
    assert (broken.parts, broken.low, broken.high, broken.reason) == (1, 1, 1, "damaged")
    assert (other.parts, other.low, other.high, other.reason) == (1, 2, 5, "gone from the disk")


def insert(ledger: Ledger, after: int, upto: int) -> None:
    readings = decoded(upto, [("t", "p", T0 + upto, 1.0), ("u", "p", T0 - upto, 1.0)]).readings
    ledger.end(ledger.begin(after, upto, [readings]), inserted=True)


def test_parts_know_which_blocks_of_the_log_they_came_from(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.read()
    assert not ledger.found
    insert(ledger, 0, 4)
    insert(ledger, 4, 9)
    ledger.note(ledger.moment(), [bare(1, 1), bare(2, 2)], [], {})
    insert(ledger, 9, 12)
    # One that was under way is not complete.
    under_way = ledger.begin(12, 20, [])
    ledger.note(ledger.moment(), [bare(1, 2), bare(3, 3)], [], {"readings_1m": 7})
    ledger.end(under_way, inserted=False)
    ledger.write()
    again = Ledger(tmp_path / "ledger")
    again.read()
    assert again.found
    assert again.sequence == 12
    assert [(each.low, each.high) for each in again.kept.parts] == [(1, 9), (10, 20)]
    assert again.kept.progress == {"readings_1m": 7}
    assert again.kept.things == {"t": (T0 + 4, T0 + 12), "u": (T0 - 12, T0 - 4)}


def bare(first: int, last: int) -> Part:
    return msgspec.structs.replace(part(first, last), low=0, high=0)


@pytest.mark.parametrize("damage", [lambda data: data[:-3], lambda data: data.replace(b"sequence", b"sequencf"), bytes])
def test_a_damaged_ledger_proves_nothing(tmp_path: Path, damage: object) -> None:
    ledger = Ledger(tmp_path)
    insert(ledger, 0, 3)
    ledger.note(ledger.moment(), [part(1, 1)], [], {})
    ledger.write()
    path = tmp_path / FILE
    before = path.read_bytes()
    path.write_bytes(b"" if damage is bytes else damage(before))  # type: ignore[operator]
    ledger.read()
    assert not ledger.found
    assert ledger.trouble
    assert ledger.kept == Kept()
