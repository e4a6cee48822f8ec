"""What was deleted is left out of a block that is read again, reading by reading as a plain loop says."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import event, given
from hypothesis import strategies as st

from allthings.log import block
from allthings.readings.decoded import DECODED, Decoded, Event
from allthings.readings.deletions import Deletions
from allthings.registry import Deletion

_THINGS, _PROPERTIES = ("a", "b", "c"), ("x", "y")
_TIMES = st.integers(-3, 6)
_POSITIONS = st.builds(block.position, st.integers(1, 4), st.integers(0, 3))


@st.composite
def _deletions(draw: st.DrawFn) -> Deletion:
    return Deletion(
        tuple(draw(st.lists(st.sampled_from(_THINGS), min_size=1, unique=True))),
        tuple(draw(st.lists(st.sampled_from(_PROPERTIES), unique=True))),
        draw(st.none() | _TIMES),
        draw(st.none() | _TIMES),
        draw(_POSITIONS),
    )


def _decoded(sequence: int, rows: list[tuple[str, str, int]]) -> Decoded:
    positions = [block.position(sequence, row) for row in range(len(rows))]
    columns = {
        "thing": [row[0] for row in rows],
        "property": [row[1] for row in rows],
        "time": [row[2] for row in rows],
        "number": [1.0] * len(rows),
        "text": [None] * len(rows),
        "kind": [0] * len(rows),
        "received": [7] * len(rows),
        "position": positions,
    }
    readings = pa.RecordBatch.from_arrays(
        [
            pa.array(columns[field.name], pa.string()).dictionary_encode()
            if pa.types.is_dictionary(field.type)
            else pa.array(columns[field.name], field.type)
            for field in DECODED
        ],
        schema=DECODED,
    )
    events = [Event(positions[row], time, 7, thing, "e", "1") for row, (thing, _, time) in enumerate(rows)]
    return Decoded(sequence, readings, events=events)


def _gone(each: Deletion, thing: str, name: str | None, time_ns: int, position: int) -> bool:
    return (
        thing in each.things
        and (name in each.properties if each.properties else True)
        and not (name is None and each.properties)
        and (each.start_ns is None or each.start_ns <= time_ns)
        and (each.end_ns is None or time_ns < each.end_ns)
        and position <= each.upto
    )


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.sampled_from(_THINGS), st.sampled_from(_PROPERTIES), _TIMES), min_size=1, max_size=6),
    st.lists(_deletions(), max_size=3),
)
def test_as_a_plain_loop_says(sequence: int, rows: list[tuple[str, str, int]], deletions: list[Deletion]) -> None:
    decoded = _decoded(sequence, rows)
    found = Deletions(deletions)
    left = found.left(decoded)
    kept = [
        (thing, name, time)
        for row, (thing, name, time) in enumerate(rows)
        if not any(_gone(each, thing, name, time, block.position(sequence, row)) for each in deletions)
    ]
    event("something is deleted" if len(kept) < len(rows) else "nothing is deleted")
    shown = zip(
        left.readings.column("thing").to_pylist(),
        left.readings.column("property").to_pylist(),
        left.readings.column("time").cast(pa.int64()).to_pylist(),
        strict=True,
    )
    assert list(shown) == kept
    assert [one.position for one in left.events] == [
        block.position(sequence, row)
        for row, (thing, _, time) in enumerate(rows)
        if not any(_gone(each, thing, None, time, block.position(sequence, row)) for each in deletions)
    ]
    if len(left.readings) == len(rows) and len(left.events) == len(rows):
        assert left is decoded


def test_one_more_may_be_added_and_old_ones_be_dropped() -> None:
    decoded = _decoded(2, [("a", "x", 1)])
    found = Deletions()
    assert found.left(decoded) is decoded
    found.add(Deletion(("a",), (), None, None, block.position(3, 0) - 1))
    assert found.left(decoded).readings.num_rows == 0
    found.drop_before(block.position(3, 0) - 1)
    assert found.left(decoded).readings.num_rows == 0
    found.drop_before(block.position(3, 0))
    assert found.left(decoded) is decoded


def test_blocks_that_were_decoded_together_are_looked_at_one_by_one() -> None:
    """What was decoded together has the sequence of its last block, which may come after the deletion."""
    early, late = _decoded(2, [("a", "x", 1), ("b", "x", 1)]), _decoded(9, [("a", "x", 2)])
    readings = pa.Table.from_batches([early.readings, late.readings]).unify_dictionaries().combine_chunks()
    together = Decoded(9, readings.to_batches()[0], events=[*early.events, *late.events])
    found = Deletions([Deletion(("a",), (), None, None, block.position(3, 0) - 1)])
    left = found.left(together)
    assert left.readings.column("thing").to_pylist() == ["b", "a"]
    assert [(one.thing, one.time_ns) for one in left.events] == [("b", 1), ("a", 2)]
