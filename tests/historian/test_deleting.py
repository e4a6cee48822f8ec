"""Deletions against a model in plain Python: readings, rollups, newest values, events, and blocks read again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from allthings.historian.history import History
from allthings.historian.query import HistoryQuery
from allthings.historian.retention import Retention
from allthings.readings.decoded import Decoded, Event
from allthings.registry import Deletion
from tests.historian.blocks import T0, Row, S, decoded, end_of, ns
from tests.historian.cutting import ended
from tests.historian.test_retention import NOW, answer, fill
from tests.historian.test_rollups import (
    ALL,
    DAY,
    HOUR,
    MINUTE,
    ROWS,
    SERIES,
    TIMES,
    Model,
    aggregate,
    check_all,
    emptied,
)
from tests.reaching import must_reach, reach

#: How many statements that write one deletion makes at most.
_STATEMENTS_MAX = 40


@st.composite
def _spans(draw: st.DrawFn) -> tuple[tuple[str, ...], tuple[str, ...], int | None, int | None]:
    bound = st.none() | st.sampled_from(TIMES) | st.sampled_from(TIMES).map(lambda time: time + 1)
    return (
        tuple(draw(st.lists(st.sampled_from("ab"), min_size=1, unique=True))),
        tuple(draw(st.lists(st.sampled_from("xy"), unique=True))),
        draw(bound),
        draw(bound),
    )


#: Blocks, perhaps rolled up; and perhaps a deletion, which may be up to a block or two before.
_ACTIONS = st.lists(
    st.tuples(
        ROWS,
        st.none() | st.tuples(st.sampled_from([0, 0, 1]), st.booleans()),
        st.none() | st.tuples(_spans(), st.sampled_from([0, 0, 1])),
    ),
    min_size=2,
    max_size=3,
)


def named(deletion: Deletion, thing: str, name: str, time: int) -> bool:
    return (
        thing in deletion.things
        and (not deletion.properties or name in deletion.properties)
        and (deletion.start_ns is None or time >= deletion.start_ns)
        and (deletion.end_ns is None or time < deletion.end_ns)
    )


@must_reach("deleted", "nothing to delete", "kept what came later")
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(actions=_ACTIONS, everies=st.tuples(st.sampled_from(ALL), st.sampled_from(ALL)))
@example(
    # A correction that came after the deletion stays; what was before it, and its neighbour, go.
    actions=[
        ([(SERIES[0], T0, 1.0), (SERIES[0], T0 + MINUTE, 2.0), (SERIES[2], T0, 3.0)], (0, True), None),
        ([(SERIES[0], T0, 4.0)], None, ((("a",), (), T0, T0 + MINUTE + 1), 1)),
        ([(SERIES[1], T0, 5.0)], None, ((("b",), ("y",), None, None), 0)),
    ],
    everies=(HOUR, None),
)
def test_every_answer_is_without_what_was_deleted(
    history: History, actions: list[tuple[Any, ...]], everies: tuple[int | None, ...]
) -> None:
    emptied(history)
    history.deletions.drop_before(end_of(1_000))
    #: Of each key its versions: position and value.
    versions: dict[tuple[str, str, int], dict[int, Any]] = {}
    blocks: list[Decoded] = []
    for rows, rollup, deletion in actions:
        block: dict[tuple[str, str, int], Row] = {
            (thing, name, time): (thing, name, time, value) for (thing, name), time, value in rows
        }
        blocks.append(decoded(len(blocks) + 1, list(block.values())))
        history.insert([blocks[-1]])
        for key, row in block.items():
            versions.setdefault(key, {})[len(blocks)] = row[3]
        if rollup is not None:
            history.rollup(end_of(max(0, len(blocks) - rollup[0])), upper=rollup[1])
        if deletion is not None:
            wanted = Deletion(*deletion[0], end_of(len(blocks) - deletion[1]))
            _delete(history, versions, wanted, len(blocks) - deletion[1])
            # What the log reads again after a crash stays deleted.
            history.insert(blocks)
            check_all(history, _model(versions), None, None, everies)
    history.rollup(end_of(len(blocks)))
    check_all(history, _model(versions), None, None, (MINUTE, DAY))


def _delete(
    history: History, versions: dict[tuple[str, str, int], dict[int, Any]], wanted: Deletion, upto: int
) -> None:
    counted = history.count_deletion(wanted)
    assert history.delete(wanted) == counted
    gone = 0
    for key in [key for key in versions if named(wanted, *key)]:
        later = {block: value for block, value in versions[key].items() if block > upto}
        if later:
            reach("kept what came later")
            versions[key] = later
        else:
            gone += 1
            del versions[key]
    reach("deleted" if gone else "nothing to delete")
    assert counted.readings == gone
    assert history.count_deletion(wanted).readings == 0


def _model(versions: dict[tuple[str, str, int], dict[int, Any]]) -> Model:
    model: Model = {key: {} for key in SERIES}
    for (thing, name, time), values in versions.items():
        model[thing, name][time] = values[max(values)]
    return model


def test_a_deletion_that_was_cut_off_is_made_again(history: History) -> None:
    """Wherever it stops, doing it again, after a new start and with the blocks read again, ends with the same."""
    blocks = []
    model: Model = {("a", "x"): {}, ("b", "x"): {}}
    for sequence in range(1, 4):
        rows: list[Row] = [
            (thing, "x", T0 + place * 25 * MINUTE + sequence, float(place)) for thing in "ab" for place in range(60)
        ]
        blocks.append(decoded(sequence, rows))
        for thing, name, time, value in rows:
            model[thing, name][time] = value
    wanted = Deletion(("a",), (), T0 + 90 * S, T0 + 20 * HOUR + 90 * S, end_of(3))
    left = {
        key: {time: value for time, value in of.items() if not named(wanted, *key, time)} for key, of in model.items()
    }
    for statements in range(_STATEMENTS_MAX):
        emptied(history)
        history.deletions.drop_before(end_of(1_000))
        history.insert(blocks)
        history.rollup(end_of(3))
        if ended(history, statements, lambda: history.delete(wanted)):
            break
        history.insert(blocks)
        assert history.delete(wanted).events == 0
        check_all(history, left, None, None, (MINUTE, DAY))
    else:
        pytest.fail("a deletion takes more statements than were counted on")
    assert statements > 6
    check_all(history, left, None, None, (MINUTE, HOUR, DAY, None))


def test_after_a_new_start_it_is_gone_and_the_log_brings_nothing_back(history: History) -> None:
    block = decoded(1, [("a", "x", T0 + place * MINUTE, 1.0) for place in range(10)])
    again = decoded(2, [("a", "x", T0, 7.0)])
    wanted = Deletion(("a",), (), None, None, end_of(1))
    history.insert([block])
    history.delete(wanted)
    history.close()
    history.deletions.drop_before(end_of(1_000))
    history.open()
    # The platform gives it what was noted.
    history.deletions.add(wanted)
    history.insert([block, again])
    assert [row["number"] for row in history.current().to_pylist()] == [7.0]
    (series,) = history.history(HistoryQuery((("a", None),)))
    assert ns(series.table.column("time")) == [T0]
    assert len(history.sql("SELECT * FROM readings").rows) == 1


def test_events_of_whole_things_go_too(history: History) -> None:
    def event(place: int, thing: str) -> Event:
        return Event(end_of(0) + 1 + place, T0 + place, T0, thing, "rung", "1")

    history.insert([decoded(1, [], events=[event(0, "a"), event(1, "a"), event(2, "b")])])
    assert history.delete(Deletion(("a",), ("x",), None, None, end_of(1))).events == 0
    assert history.delete(Deletion(("a",), (), T0 + 1, None, end_of(1))).events == 1
    assert [(one.thing, one.time_ns) for one in history.events().items] == [("b", T0 + 2), ("a", T0)]


def test_where_readings_have_expired_whole_buckets_go_and_the_ends_stay(history: History) -> None:
    """What expired cannot be taken out of a bucket of which only a part is meant."""
    rows = fill(history)
    history.retain(NOW, Retention())
    times = sorted(time for _, name, time, _ in rows if name == "p")
    # An end within a day, an hour and a minute whose readings have gone; the other where they are still there.
    start, end = times[200] + S, times[-20] + S
    counted = history.count_deletion(Deletion(("t",), ("p",), start, end, end_of(1)))
    assert counted.readings == sum(start <= time < end for time in times)
    assert history.delete(Deletion(("t",), ("p",), start, end, end_of(1))) == counted
    left = {time: value for _, name, time, value in rows if name == "p" and not start <= time < end}
    for every in (MINUTE, HOUR, DAY):
        want: dict[int, list[tuple[int, float]]] = {}
        for time in sorted(left):
            want.setdefault(time // every * every, []).append((time, left[time]))
        got = {row["time"].value: row for row in answer(history, "p", every)}
        assert set(got) == set(want)
        for slot, values in want.items():
            assert got[slot]["count"] == aggregate(list(values))["count"], (every, slot)
    assert len(answer(history, "vibration", DAY)) == 365 + 1
    assert history.current([("t", "p")]).column("time").to_pylist()[0].value == times[-1]


def test_a_late_reading_after_a_deletion_is_kept_once(history: History) -> None:
    """In a time whose readings have expired, a deletion takes all; what is sent anew counts alone."""
    rows = fill(history)
    history.retain(NOW, Retention())
    first = min(time for _, name, time, _ in rows if name == "p")
    history.delete(Deletion(("t",), ("p",), None, first + 100 * DAY, end_of(1)))
    history.insert([decoded(2, [("t", "p", first, 5.0)])])
    for _ in range(2):
        assert answer(history, "p", DAY)[0]["sum"] == 5.0
        assert answer(history, "p", DAY)[0]["count"] == 1
        history.rollup(end_of(2))


def test_names_are_bound(history: History) -> None:
    evil = "a') OR 1 = 1 --"
    history.insert([decoded(1, [(evil, evil, T0, 1.0), ("a", "x", T0, 2.0)])])
    assert history.delete(Deletion((evil,), (evil,), None, None, end_of(1))).readings == 1
    assert [row["number"] for row in history.current().to_pylist()] == [2.0]
