"""The fast decoder against the slow one, over hostile and over ordinary blocks; and what must hold for any bytes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from allthings.log import block
from allthings.log.entry import Entry
from allthings.readings import replay
from allthings.readings.decode import decode, decode_all
from allthings.readings.model import Model
from allthings.things.types import PropertyType
from tests.reaching import must_reach, reach
from tests.readings.blocks import NOW_NS, Message, Row, entry_of, rows_of
from tests.readings.reference import decode_slowly

TYPES = {
    "n": PropertyType("number", minimum=-10, maximum=10),
    "i": PropertyType("integer"),
    "b": PropertyType("boolean"),
    "s": PropertyType("string"),
    "e": PropertyType("", enum=(1, "x", None, True)),
    "o": PropertyType("object", schema={"type": "object", "properties": {"n": {"type": "number"}}}),
}
MODEL_TYPES = {"typed": TYPES}

names = st.sampled_from(["n", "i", "b", "s", "e", "o", "p", "q", "@time", "", "a/b", "é"])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-20, 20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8"), max_size=6),
    st.sampled_from([NOW_NS // 1_000_000_000, NOW_NS // 1_000_000, "2026-09-21T12:00:00Z", "2100-01-01", 0, 5]),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
)
times = st.sampled_from([NOW_NS // 1_000_000, 5, 6, "2026-09-21T12:00:00.5Z", "no", None, 4_102_444_800])
objects = st.dictionaries(names, values, max_size=5) | st.builds(
    lambda time, rest: {"@time": time} | rest, times, st.dictionaries(names, scalars, min_size=1, max_size=3)
)
documents = objects | st.lists(objects | scalars, max_size=4) | values


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(dumped(draw(documents)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 2))] = draw(
            st.binary(max_size=2) | st.sampled_from([b"{", b"]", b'"', b","])
        )
    return bytes(data)


payloads = st.one_of(
    documents.map(dumped),
    damaged(),
    st.binary(max_size=20),
    st.text(max_size=8).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from([b"NaN", b"-inf", b"1e400", b"ON", b" 1.5 ", b"", b"007", b"[" * 70 + b"]" * 70, b"[" * 99_000]),
)
topics = st.one_of(
    st.sampled_from([f"things/{thing}/properties" for thing in ("typed", "free")]),
    st.builds("things/{}/properties/{}".format, st.sampled_from(["typed", "free"]), names),
    st.builds("things/{}/events/{}".format, st.sampled_from(["typed", "a b"]), names),
    st.sampled_from(["things/typed/desired", "x", "things/x/actions/y/result", "things//properties"]),
)


def message(topic: str, payload: bytes, retained: bool) -> Message:
    return Message(topic, payload, flags=block.FLAG_RETAIN if retained else 0)


blocks = st.lists(st.builds(message, topics, payloads, st.booleans()), max_size=8).map(
    lambda messages: [one._replace(received_ns=NOW_NS + place) for place, one in enumerate(messages)]
)


def exact(rows: list[Row]) -> list[tuple[Any, ...]]:
    """Comparable without 1 == True and 1 == 1.0; by message, since the order within one is free where times are."""
    return sorted((row.position, row.property, row.time_ns, row.thing, row.kind, dumped(row.value)) for row in rows)


def whole(value: Any) -> Any:
    """Numbers that are whole come back as integers."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


@must_reach("rows", "rejects", "events", "unclaimed")
@settings(max_examples=300, deadline=None)
@given(blocks)
def test_both_decoders_agree(messages: list[Message]) -> None:
    model = Model(MODEL_TYPES)
    fast, slow = decode(entry_of(messages), model), decode_slowly(messages, model, 7)
    expected = [row._replace(value=whole(row.value)) for row in slow.rows]
    for case in ("rows", "rejects", "events"):
        reach(case, len(getattr(slow, case)))
    reach("unclaimed", slow.unclaimed)
    assert exact(rows_of(fast)) == exact(expected)
    assert [block.position(7, row) for row in sorted(slow.rejects)] == [reject.position for reject in fast.rejects]
    assert fast.unclaimed == slow.unclaimed
    assert [(one.position, one.time_ns, msgspec.json.decode(one.data)) for one in fast.events] == [
        (block.position(7, row), time_ns, value) for row, time_ns, value in slow.events
    ]


@must_reach("readings", "rejects", "events", "unclaimed")
@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.builds(message, topics | st.text(max_size=30), st.binary(max_size=60) | payloads, st.booleans()), max_size=6
    )
)
def test_every_message_comes_to_something(messages: list[Message]) -> None:
    decoded = decode(entry_of(messages), Model(MODEL_TYPES))
    accounted = {row.position for row in rows_of(decoded)}
    reach("readings", len(accounted))
    reach("rejects", len(decoded.rejects))
    reach("events", len(decoded.events))
    reach("unclaimed", decoded.unclaimed)
    accounted |= {reject.position for reject in decoded.rejects} | {event.position for event in decoded.events}
    assert len(accounted) + decoded.unclaimed == len(messages) == decoded.messages
    assert {block.position(7, 0) <= place < block.position(7, len(messages)) for place in accounted} <= {True}
    keys = [(row.thing, row.property, row.time_ns, row.position) for row in rows_of(decoded)]
    assert len(set(keys)) == len(keys)


@settings(max_examples=60, deadline=None)
@given(blocks, blocks)
def test_what_was_learned_changes_nothing(first: list[Message], second: list[Message]) -> None:
    used = Model(MODEL_TYPES)
    decode(entry_of(first), used)
    assert rows_of(decode(entry_of(second), used)) == rows_of(decode(entry_of(second), Model(MODEL_TYPES)))
    renewed = used.renewed(dict(MODEL_TYPES))
    assert rows_of(decode(entry_of(second), renewed)) == rows_of(decode(entry_of(second), Model(MODEL_TYPES)))


def again_as_reject(one: Message) -> Message:
    """As replay.replay_block appends a reject again, here the one at position 3."""
    return one._replace(flags=block.FLAG_REPLAYED, properties=replay._PREFIX + b"3")


replayed = st.booleans().flatmap(
    lambda again: blocks.map(
        lambda messages: [again_as_reject(one) if again and not n else one for n, one in enumerate(messages)]
    )
)


@must_reach("rows", "decoded together", "replayed")
@given(st.lists(replayed, min_size=1, max_size=5))
@settings(max_examples=150, deadline=None)
def test_blocks_say_the_same_alone_and_together(found: list[list[Message]]) -> None:
    """Else a block that is decoded again after a crash, among other blocks, would be another one."""
    model = Model(MODEL_TYPES)
    entries = [entry_of(messages, 7 + number) for number, messages in enumerate(found)]
    entries.insert(len(entries) // 2, Entry(6 + len(found) * 2, b"damaged", NOW_NS))
    alone = [decode(entry, model) for entry in entries]
    together = decode_all(entries, Model(MODEL_TYPES))
    assert together[-1].sequence == entries[-1].sequence
    for name in ("rejects", "events", "replayed"):
        assert [one for each in together for one in getattr(each, name)] == [
            one for each in alone for one in getattr(each, name)
        ]
    for name in ("messages", "unclaimed"):
        assert sum(getattr(each, name) for each in together) == sum(getattr(each, name) for each in alone)
    rows = [row for each in together for row in rows_of(each)]
    reach("rows", len(rows))
    reach("decoded together", len(alone) - len(together))
    reach("replayed", sum(bool(each.replayed) for each in alone))
    assert [repr(row) for row in rows] == [repr(row) for each in alone for row in rows_of(each)]
    # A reject that is replayed has a version of its own.
    for each in together:
        assert not each.replayed or each.sequence in {one.sequence for one in alone if one.replayed}


def test_neighbours_are_decoded_together() -> None:
    entries = [entry_of([Message("things/a/properties", b'{"n":1}')], sequence) for sequence in range(1, 6)]
    (found,) = decode_all(entries, Model())
    assert (found.sequence, found.messages, found.readings.num_rows) == (5, 5, 5)
