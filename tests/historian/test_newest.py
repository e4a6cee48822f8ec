"""The newest reading of each series whatever the clocks say, and when things were heard of."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allthings.historian import schema
from allthings.historian.history import History
from allthings.readings.clock import CLOCK_AHEAD_NS_MAX, CLOCK_NS_MIN
from allthings.readings.decoded import Decoded, Event
from allthings.registry import Removals
from allthings.registry.removals import Removal
from tests.historian.blocks import T0, S, decoded, end_of
from tests.historian.test_rollups import HOUR, check_all
from tests.reaching import must_reach, reach

#: thing, property, time, value, and when it was received.
Heard = tuple[str, str, int, float, int]


def received(sequence: int, rows: Sequence[Heard], *, uploaded: bool = False) -> Decoded:
    """A block whose readings have receive times of their own."""
    block = decoded(sequence, [row[:4] for row in rows])
    place = block.readings.schema.get_field_index("received")
    times = pa.array([row[4] for row in rows], pa.int64()).cast(pa.timestamp("ns", tz="UTC"))
    readings = block.readings.set_column(place, block.readings.schema.field(place), times)
    return replace(block, readings=readings, messages=0 if uploaded else len(rows))


def value(history: History, thing: str = "a", name: str = "x") -> float:
    return history.current([(thing, name)]).column("number").to_pylist()[0]


def test_a_clock_that_is_ahead_hides_nothing(history: History) -> None:
    """Neither before nor after a rollup, nor when the ahead time has come."""
    history.insert([received(1, [("a", "x", T0 + 8 * HOUR, 99.0, T0)])])
    assert value(history) == 99.0
    history.rollup(end_of(1))
    history.insert([received(2, [("a", "x", T0 + 60 * S, 20.0, T0 + 60 * S)])])
    assert value(history) == 20.0
    history.rollup(end_of(2))
    assert value(history) == 20.0
    # A reading in the minute that the wrong clock has told already: nothing of that minute is lost.
    model = {("a", "x"): {T0 + 8 * HOUR: 99.0, T0 + 60 * S: 20.0, T0 + 8 * HOUR + S: 21.0}}
    history.insert([received(3, [("a", "x", T0 + 8 * HOUR + S, 21.0, T0 + 8 * HOUR + S)])])
    history.rollup(end_of(3))
    assert value(history) == 21.0
    check_all(history, model, None, None, (60 * S,))


_TIMES = [T0 + at for at in (0, S, 299 * S, 301 * S, HOUR, 8 * HOUR)] + [CLOCK_NS_MIN - 1, CLOCK_NS_MIN, 5]
_ROWS = st.lists(
    st.tuples(st.sampled_from("ab"), st.just("x"), st.sampled_from(_TIMES), st.integers(0, 99).map(float)),
    min_size=1,
    max_size=4,
    unique_by=lambda row: row[:3],
)

_RUNS, _SEQUENCES = itertools.count(), itertools.count(1)


@must_reach("a better one hides a later one", "none is better")
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.tuples(_ROWS, st.sampled_from([0, 0, S, HOUR]), st.booleans()), min_size=1, max_size=5))
def test_as_a_plain_loop_says(
    history: History, blocks: list[tuple[list[tuple[str, str, int, float]], int, bool]]
) -> None:
    # Things of their own are cheaper than an empty history.
    run = next(_RUNS)
    clock, model = T0, dict[tuple[str, str, int], Heard]()
    for (rows, passed_ns, rollup), sequence in zip(blocks, _SEQUENCES, strict=False):
        clock += passed_ns + 1
        heard: list[Heard] = [(f"{thing}{run}", *rest, clock) for thing, *rest in rows]
        model.update({row[:3]: row for row in heard})
        history.insert([received(sequence, heard)])
        if rollup:
            history.rollup(end_of(sequence))
        for thing in {row[0] for row in model.values()}:
            best = max((row for row in model.values() if row[0] == thing), key=_order)
            assert value(history, thing) == best[3]
            latest = max(row[2] for row in model.values() if row[0] == thing)
            reach("a better one hides a later one" if _order(best)[0] and best[2] < latest else "none is better")


def _order(row: Heard) -> tuple[bool, int, int]:
    _, _, time, _, heard = row
    ahead = time - heard > CLOCK_AHEAD_NS_MAX
    return not ahead and time >= CLOCK_NS_MIN, heard if ahead else time, time


def test_what_was_removed_is_not_current(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a series that was removed and sent again the newest since, though the history has a later time."""
    monkeypatch.setattr("allthings.historian.settings.KEYS_AT_ONCE", 2)
    for sequence, number in ((1, 1.0), (2, 2.0), (3, 3.0)):
        # The newest by time come first.
        rows = [(thing, "x", T0 - sequence * HOUR, number) for thing in "abcd"]
        history.insert([decoded(sequence, rows)])
    removals = Removals(
        [Removal("b", "", end_of(1)), Removal("c", "properties/x", end_of(2)), Removal("d", "", end_of(3))]
    )
    for _ in range(2):
        found = {row["thing"]: row["number"] for row in history.current(removals=removals).to_pylist()}
        assert found == {"a": 1.0, "b": 2.0, "c": 3.0}
        assert history.current([("d", "x")], removals=removals).num_rows == 0
        history.rollup(end_of(3))


def test_when_things_were_heard_of(history: History) -> None:
    """By when their last message came, not by the newest time; uploads are none, and events are."""
    history.insert([received(1, [("a", "x", T0 + 60 * S, 1.0, T0), ("b", "x", T0, 1.0, T0)])])
    for rollup in (1, 2):
        # Late data, which is no news for the current value.
        history.insert([received(2, [("a", "x", T0 - HOUR, 2.0, T0 + 70 * S)])])
        history.insert([received(3, [("b", "x", T0 + 90 * S, 2.0, T0 + 90 * S)], uploaded=True)])
        history.insert([received(4, [("c", "x", T0, 2.0, T0 + 90 * S)], uploaded=True)])
        history.insert([decoded(5, [], events=[Event(end_of(4) + 1, T0, T0 + 5 * S, "bell", "rung", "1")])])
        assert sorted(history.heard()) == [
            ("a", T0 + 70 * S, end_of(1) + 1),
            ("b", T0, end_of(0) + 2),
            ("bell", T0 + 5 * S, end_of(4) + 1),
        ]
        assert history.event_names() == [("bell", "rung", end_of(4) + 1)]
        history.rollup(end_of(rollup * 2))


def test_a_history_of_the_second_version_finds_the_better_ones(history: History) -> None:
    """Its table of newest readings had one row a series, that of the greatest time."""
    work = history._engine.work
    history.insert([received(1, [("a", "x", T0, 20.0, T0), ("b", "x", T0, 7.0, T0)])])
    history.insert([received(2, [("a", "x", T0 + 8 * HOUR, 99.0, T0 + S)])])
    history.rollup(end_of(2))
    for statement in (
        "DROP TABLE newest",
        "DROP TABLE heard",
        "ALTER TABLE readings DROP COLUMN origin",
        "TRUNCATE TABLE versions",
        "INSERT INTO versions VALUES (1), (2)",
        schema._LATEST,
        "INSERT INTO latest (thing, property, time, number, text, kind, received, position) "
        "SELECT thing, property, n.1, n.2, n.3, n.4, n.5, n.6 FROM (SELECT thing, property, "
        "argMax(tuple(time, number, text, kind, received, position), time) AS n FROM readings GROUP BY 1, 2)",
    ):
        work.run(statement)
    history.close()
    history.open()
    assert (value(history, "a"), value(history, "b")) == (20.0, 7.0)
    assert sorted(history.heard()) == [("a", T0 + S, end_of(1) + 1), ("b", T0, end_of(0) + 2)]
    history.insert([received(3, [("a", "x", T0 + 2 * S, 21.0, T0 + 2 * S)])])
    assert value(history) == 21.0
