"""Current values, online things, and starting from the history."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allthings.log import block
from allthings.readings.decoded import Decoded
from allthings.things.times import NS_PER_S
from allthings.twin import series as series_module
from allthings.twin.rates import Rate, Totals
from allthings.twin.twin import Twin
from allthings.twin.values import CurrentValue
from tests.readings.blocks import NOW_NS, Message, rows_of
from tests.twin.feed import Clock, block_of, said


def now(twin: Twin) -> dict[tuple[str, str], object]:
    return {(one.thing, one.property): one.value for one in twin.values()}


def table_of(*blocks: Decoded) -> pa.Table:
    """The newest reading per series as the history gives it: names plain."""
    table = pa.Table.from_batches([one.readings for one in blocks]).unify_dictionaries()
    for index, name in enumerate(("thing", "property")):
        table = table.set_column(index, name, table.column(name).cast(pa.string()))
    return table


def test_the_newest_value_of_each_series(twin: Twin) -> None:
    twin.apply(block_of(1, said("a", t=1, on=True), said("b", t=5), said("a", NOW_NS + 1, t=2, mode="heat")))
    assert now(twin) == {("a", "t"): 2, ("a", "on"): True, ("b", "t"): 5, ("a", "mode"): "heat"}
    twin.apply(block_of(2, said("a", NOW_NS + 2, t=2.5, mode=None, on={"x": [1]})))
    assert now(twin) == {("a", "t"): 2.5, ("a", "on"): {"x": [1]}, ("b", "t"): 5, ("a", "mode"): None}
    assert twin.values(["a"], ["t"]) == [
        CurrentValue("a", "t", 2.5, NOW_NS + 2, NOW_NS + 2, "good", block.position(2, 0))
    ]


def test_late_values_do_not_replace_newer_ones_but_corrections_do(twin: Twin) -> None:
    twin.apply(block_of(1, said("a", at=100, t=1)))
    twin.apply(block_of(2, said("a", at=99, t=2)))
    assert now(twin) == {("a", "t"): 1}
    twin.apply(block_of(3, said("a", at=100, t=3)))
    assert now(twin) == {("a", "t"): 3}
    twin.apply(block_of(4, said("a", at=101, t=4), said("a", at=101, t=5), said("a", at=100, t=6)))
    assert now(twin) == {("a", "t"): 5}


def test_a_block_counts_once(twin: Twin) -> None:
    twin.apply(block_of(2, said("a", t=1)))
    twin.apply(block_of(2, said("a", NOW_NS + 9, t=2)))
    twin.apply(block_of(1, said("a", NOW_NS + 9, t=3)))
    assert now(twin) == {("a", "t"): 1}
    assert twin.totals() == Totals(1, 1, 0, 0)
    assert twin.sequence == 2


def test_asking_for_some(twin: Twin) -> None:
    twin.apply(block_of(1, said("a", t=1, u=2), said("b", t=3), said("c", v=4)))
    names = [(one.thing, one.property) for one in twin.values(["c", "a", "nobody", "a"])]
    assert names == [("c", "v"), ("a", "t"), ("a", "u")]
    assert [(one.thing, one.property) for one in twin.values(None, ["t", "none"])] == [("a", "t"), ("b", "t")]
    assert twin.values([], None) == twin.values(None, []) == twin.values(["b"], ["u"]) == []


def test_text_makes_way_for_numbers_and_back(twin: Twin) -> None:
    for sequence, value in enumerate(["x", 1, 2**60 + 1, True, "y", None, 1.5], 1):
        twin.apply(block_of(sequence, said("a", NOW_NS + sequence, p=value)))
        assert now(twin) == {("a", "p"): value}


def test_quality(twin: Twin, clock: Clock) -> None:
    ahead = NOW_NS // NS_PER_S + 600
    twin.apply(block_of(1, said("a", good=1), said("a", at=5, unset=1), said("a", at=ahead, ahead=1)))
    assert {one.property: one.quality for one in twin.values()} == {"good": "good", "unset": "clock", "ahead": "clock"}
    clock.advance(61)
    assert {one.property: one.quality for one in twin.values()} == {"good": "stale", "unset": "clock", "ahead": "clock"}


def test_online_by_the_usual_interval(twin: Twin, clock: Clock) -> None:
    for number in range(10):
        twin.apply(block_of(number + 1, said("slow", clock(), t=1), said("once", NOW_NS, t=1)))
        clock.advance(300)
    clock.advance(-300)
    states = {state.thing: state for state in twin.thing_states()}
    assert states["slow"].interval_ns == pytest.approx(300 * NS_PER_S, rel=0.01)
    assert (states["slow"].messages, states["slow"].readings, states["once"].interval_ns) == (10, 10, 0)
    clock.advance(899)
    assert twin.online_things() == {"slow"}
    assert twin.online_count() == 1
    assert twin.last_received() == {thing: state.last_received_ns for thing, state in states.items()}
    clock.advance(2)
    assert twin.online_count() == 0


def test_a_burst_counts_as_one(twin: Twin, clock: Clock) -> None:
    for number in range(200):
        # Ten messages within a tenth of a second, every five minutes.
        clock.advance(299.91 if number % 10 == 0 else 0.01)
        twin.apply(block_of(number + 1, said("a", clock(), t=1)))
    (state,) = twin.thing_states()
    assert state.interval_ns == pytest.approx(300 * NS_PER_S, rel=0.05)


def test_a_thing_that_speeds_up_is_soon_expected_sooner(twin: Twin, clock: Clock) -> None:
    for number in range(310):
        clock.advance(600 if number < 10 else 10)
        twin.apply(block_of(number + 1, said("a", clock(), t=1)))
        if number == 10:
            assert twin.thing_states()[0].interval_ns > 500 * NS_PER_S
    assert twin.thing_states()[0].interval_ns < 60 * NS_PER_S


def test_a_long_silence_does_not_make_the_interval_long(twin: Twin, clock: Clock) -> None:
    for number in range(5):
        clock.advance(10)
        twin.apply(block_of(number + 1, said("a", clock(), t=1)))
    clock.advance(7 * 86_400)
    twin.apply(block_of(9, said("a", clock(), t=1)))
    (state,) = twin.thing_states(["a", "nobody"])
    assert state.interval_ns < 60 * NS_PER_S


def test_starting_from_the_history(twin: Twin, clock: Clock) -> None:
    blocks = [block_of(3, said("a", t=1, s="x")), block_of(4, said("b", NOW_NS - 3600 * NS_PER_S, t=2))]
    heard = [("a", NOW_NS, block.position(3, 0)), ("b", NOW_NS - 3600 * NS_PER_S, block.position(4, 0))]
    twin.load(table_of(*blocks), 3, heard=heard)
    assert twin.sequence == 3
    assert now(twin) == {("a", "t"): 1, ("a", "s"): "x", ("b", "t"): 2}
    assert twin.online_things() == {"a"}
    assert twin.totals() == Totals()
    # Block 4 was in the history already; it is read again and changes nothing.
    before = twin.values()
    twin.apply(blocks[1])
    assert twin.values() == before
    twin.apply(block_of(5, said("a", NOW_NS + 1, t=7)))
    assert now(twin)["a", "t"] == 7


def test_starting_from_nothing(twin: Twin) -> None:
    twin.load(table_of(block_of(1)), 0)
    assert (twin.values(), twin.thing_states(), twin.online_count()) == ([], [], 0)
    twin.apply(block_of(1, said("a", t=1)))
    assert now(twin) == {("a", "t"): 1}


def test_rates(twin: Twin, clock: Clock) -> None:
    for number in range(20):
        bad = Message("things/a/properties", b"{")
        twin.apply(block_of(number + 1, said("a", clock(), t=1, u=2), bad, Message("x", b"")))
        clock.advance(0.5)
    assert twin.rates() == Rate(messages=6.0, readings=4.0, rejects=2.0)
    assert twin.totals() == Totals(messages=60, readings=40, rejects=20, unclaimed=20)
    clock.advance(6)
    assert twin.rates() == Rate()


def test_made_up_names_are_bounded(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_module, "SERIES_PER_THING_MAX", 3)
    monkeypatch.setattr(series_module, "SERIES_MAX", 5)
    twin.apply(block_of(1, said("bad", **{f"p{n}": n for n in range(4)})))
    assert (twin.series_count, twin.untracked) == (3, 1)
    twin.apply(block_of(2, said("good", t=1), *[said(f"x{n}", t=n) for n in range(9)]))
    assert (twin.series_count, twin.untracked) == (5, 9)
    twin.apply(block_of(3, said("good", NOW_NS + 1, t=2), said("y", unheard=1)))
    assert now(twin)["good", "t"] == 2
    assert twin.untracked == 10
    assert len(twin.thing_states()) == 3


def test_growing_keeps_everything(twin: Twin) -> None:
    things = 900
    for sequence in range(1, 5):
        twin.apply(block_of(sequence, *[said(f"t{n}", a=sequence, **{f"s{sequence}": "x"}) for n in range(things)]))
    assert twin.series_count == things * 5
    assert {one.value for one in twin.values(None, ["a"])} == {4}
    assert {one.value for one in twin.values(None, ["s1", "s4"])} == {"x"}


numbers = st.integers(-3, 3) | st.sampled_from(["x", "y", None, True, 2**60])
messages = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("pq"), st.integers(1, 4) | st.none(), numbers), max_size=5
)


@settings(max_examples=150, deadline=None)
@given(st.lists(messages, max_size=5), st.integers(0, 5))
def test_the_twin_is_the_newest_of_everything_said(
    blocks: list[list[tuple[str, str, int | None, object]]], loaded: int
) -> None:
    decoded = [
        block_of(
            sequence,
            *[
                said(thing, NOW_NS + 100 * sequence + row, **({} if at is None else {"at": at}), **{name: value})
                for row, (thing, name, at, value) in enumerate(rows)
            ],
        )
        for sequence, rows in enumerate(blocks, 1)
    ]
    best: dict[tuple[str, str], tuple[int, int, object]] = {}
    for one in decoded:
        for row in rows_of(one):
            key = row.thing, row.property
            best[key] = max(
                best.get(key, (-(2**63), -1, None)), (row.time_ns, row.position, row.value), key=lambda it: it[:2]
            )
    twin = Twin(Clock())
    if loaded and decoded:
        twin.load(table_of(*decoded[:loaded]), min(loaded, len(decoded)) - 1)
    for one in decoded:
        twin.apply(one)
    assert now(twin) == {key: value for key, (_, _, value) in best.items()}
    assert {(one.thing, one.property): (one.time_ns, one.position) for one in twin.values()} == {
        key: (time_ns, position) for key, (time_ns, position, _) in best.items()
    }


def test_a_hundred_thousand_series_fit(twin: Twin) -> None:
    count = 100_000
    readings = block_of(1, said("a", t=1)).readings
    schema = readings.schema
    columns = {
        "thing": pa.array([f"t{n // 10}" for n in range(count)]).dictionary_encode(),
        "property": pa.array([f"p{n % 10}" for n in range(count)]).dictionary_encode(),
        "time": pa.array(np.full(count, NOW_NS), schema.field("time").type),
        "number": pa.array(np.arange(count, dtype=np.float64)),
        "text": pa.nulls(count, pa.string()),
        "kind": pa.array(np.zeros(count, np.uint8)),
        "received": pa.array(np.full(count, NOW_NS), schema.field("received").type),
        "position": pa.array(np.arange(count, dtype=np.uint64)),
    }
    twin.load(pa.table(columns), 1)
    assert twin.series_count == count
    assert twin.values(["t9999"], ["p9"])[0].value == count - 1
