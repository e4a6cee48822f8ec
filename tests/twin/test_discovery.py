"""New series, new kinds and wider ranges on their way to the registry, within bounds."""

from __future__ import annotations

from typing import Any

import pytest

from allthings.registry import SeenProperty
from allthings.things.types import Kind
from allthings.twin import discovery as discovery_module
from allthings.twin.twin import Twin
from tests.readings.blocks import NOW_NS
from tests.twin.feed import Clock, block_of, said


def due(twin: Twin, clock: Clock) -> list[Any]:
    report = twin.discovery.due(clock())
    if report is None:
        return []
    twin.discovery.confirm(report)
    # Their positions are looked at in test_removing.
    return [one._replace(position=None) for one in report.seen]


def test_new_series_with_kind_and_range(twin: Twin, clock: Clock) -> None:
    twin.apply(block_of(1, said("a", t=3, on=True, mode="x", o=[1]), said("a", NOW_NS + 1, t=-1.5)))
    assert due(twin, clock) == [
        SeenProperty("a", "t", Kind.NUMBER, -1.5, 3.0),
        SeenProperty("a", "on", Kind.BOOLEAN),
        SeenProperty("a", "mode", Kind.STRING),
        SeenProperty("a", "o", Kind.JSON),
    ]
    assert due(twin, clock) == []


def test_late_values_count_for_the_range(twin: Twin, clock: Clock) -> None:
    twin.apply(block_of(1, said("a", t=3), said("a", at=5, t=100)))
    assert due(twin, clock) == [SeenProperty("a", "t", Kind.NUMBER, 3.0, 100.0)]


def test_a_wider_range_is_told_every_half_minute(twin: Twin, clock: Clock) -> None:
    twin.apply(block_of(1, said("a", t=3)))
    assert len(due(twin, clock)) == 1
    for second in range(1, 40):
        clock.advance(1)
        twin.apply(block_of(1 + second, said("a", clock(), t=3 + second)))
        found = due(twin, clock)
        assert found == ([SeenProperty("a", "t", Kind.NUMBER, 3.0, 33.0)] if second == 30 else [])


def test_a_new_kind_is_told_at_once(twin: Twin, clock: Clock) -> None:
    twin.apply(block_of(1, said("a", t=3)))
    due(twin, clock)
    twin.apply(block_of(2, said("a", NOW_NS + 1, t="off")))
    assert due(twin, clock) == [SeenProperty("a", "t", Kind.STRING)]


def test_what_the_registry_did_not_get_is_due_again(twin: Twin, clock: Clock) -> None:
    twin.apply(block_of(1, said("a", t=3)))
    first = twin.discovery.due(clock())
    assert first is not None
    again = twin.discovery.due(clock())
    assert again is not None
    assert again.seen == first.seen


def test_what_comes_between_report_and_confirmation_is_not_lost(twin: Twin, clock: Clock) -> None:
    twin.apply(block_of(1, said("a", t=3)))
    report = twin.discovery.due(clock())
    assert report is not None
    twin.apply(block_of(2, said("a", NOW_NS + 1, t="x"), said("a", NOW_NS + 2, t=9)))
    twin.discovery.confirm(report)
    assert due(twin, clock) == [SeenProperty("a", "t", Kind.STRING)]
    clock.advance(31)
    twin.apply(block_of(3, said("a", clock(), t=10)))
    assert due(twin, clock) == [SeenProperty("a", "t", Kind.NUMBER, 3.0, 10.0)]


def test_a_hostile_stream_of_names_is_bounded_and_visible(
    twin: Twin, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery_module, "NEW_THINGS_PER_MINUTE_MAX", 10)
    monkeypatch.setattr(discovery_module, "NEW_THINGS_MAX", 25)
    twin.apply(block_of(1, *[said(f"made-up-{n}", t=1, u=2) for n in range(40)]))
    assert len(due(twin, clock)) == 20
    assert (twin.discovery.state().passed, twin.discovery.state().waiting) == (10, 30)
    # A thing that was passed on still tells of new properties.
    twin.apply(block_of(2, said("made-up-3", v=1), said("made-up-33", v=1)))
    assert [one.property for one in due(twin, clock)] == ["v"]
    clock.advance(60)
    assert len({one.thing for one in due(twin, clock)}) == 10
    clock.advance(60)
    assert len({one.thing for one in due(twin, clock)}) == 5
    clock.advance(60)
    assert due(twin, clock) == []
    assert (twin.discovery.state().passed, twin.discovery.state().waiting) == (25, 15)


def test_long_reports_come_in_parts(twin: Twin, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery_module, "REPORT_MAX", 3)
    twin.apply(block_of(1, said("a", **{f"p{n}": n for n in range(7)})))
    assert [len(due(twin, clock)) for _ in range(4)] == [3, 3, 1, 0]
