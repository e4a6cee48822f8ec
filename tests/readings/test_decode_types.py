"""What a thing's description says of its values, and what becomes of those that it forbids."""

from __future__ import annotations

import json

import pytest

from allthings.readings.model import Model
from allthings.readings.settings import FAULTS_NAMED_MAX
from allthings.things.types import PropertyType
from tests.readings.blocks import OBJECT, Message, decode_messages, only_reason, rows_of, values_of

TYPES = {
    "n": PropertyType("number", minimum=-40, maximum=120),
    "i": PropertyType("integer"),
    "b": PropertyType("boolean"),
    "s": PropertyType("string"),
    "e": PropertyType("string", enum=("on", "off")),
    "o": PropertyType("object", schema={"type": "object", "required": ["x"]}),
    "any": PropertyType(),
}


@pytest.mark.parametrize(
    ("name", "json_value"),
    [
        ("n", "-40"),
        ("n", "120.0"),
        ("i", "3"),
        ("i", "3.0"),
        ("i", str(2**60)),
        ("b", "false"),
        ("s", '"x"'),
        ("e", '"off"'),
        ("o", '{"x":1}'),
        ("any", "[1]"),
        ("unknown", '"x"'),
        *((name, "null") for name in TYPES),
    ],
)
def test_values_that_fit_their_type(name: str, json_value: str) -> None:
    decoded = decode_messages(Message(OBJECT, f'{{"{name}":{json_value}}}'.encode()), model=Model({"a": TYPES}))
    assert not decoded.rejects
    assert values_of(decoded) == {name: json.loads(json_value)}


@pytest.mark.parametrize(
    ("name", "json_value", "reason"),
    [
        ("n", "-40.1", "minimum is -40, got -40.1"),
        ("n", "121", "maximum is 120, got 121"),
        ("n", "true", "type is number, got True"),
        ("n", '"21.5"', "type is number, got '21.5'"),
        ("i", "3.5", "type is integer"),
        ("b", "1", "type is boolean, got 1"),
        ("s", "1", "type is string"),
        ("e", '"of"', "enum allows"),
        ("o", "{}", "required is 'x'"),
        ("o", "1", "type is object"),
    ],
)
def test_values_that_break_their_type(name: str, json_value: str, reason: str) -> None:
    message = Message(OBJECT, f'{{"good":1,"{name}":{json_value},"more":"x"}}'.encode())
    decoded = decode_messages(message, model=Model({"a": TYPES}))
    assert decoded.rejects[0].reason.startswith(f"property '{name}': ")
    assert reason in decoded.rejects[0].reason
    # The other values of the message are kept.
    assert values_of(decoded) == {"good": 1, "more": "x"}


def test_a_declared_string_takes_plain_text_as_it_is() -> None:
    model = Model({"a": TYPES})
    for payload, value in ((b"1.10", "1.10"), (b"true", "true"), (b'"1.10"', "1.10"), (b"null", None), (b"NaN", "NaN")):
        assert values_of(decode_messages(Message("things/a/properties/s", payload), model=model)) == {"s": value}


def test_types_belong_to_their_thing() -> None:
    model = Model({"a": {"t": PropertyType("number")}, "b": {"t": PropertyType("string")}})
    decoded = decode_messages(
        Message("things/a/properties", b'{"t":1}'),
        Message("things/b/properties", b'{"t":1}'),
        Message("things/c/properties", b'{"t":true}'),
        model=model,
    )
    assert [row.thing for row in rows_of(decoded)] == ["a", "c"]
    assert [reject.topic for reject in decoded.rejects] == ["things/b/properties"]


def test_several_faults_make_one_reject() -> None:
    reason = only_reason(Message(OBJECT, b'{"n":"x","b":"y","i":"z","s":1,"e":2}'), model=Model({"a": TYPES}))
    assert reason.count("property ") == FAULTS_NAMED_MAX
    assert reason.endswith("; and 2 more")


def test_a_newer_model_keeps_what_is_the_same_and_changes_what_is_not() -> None:
    first = Model({"a": {"t": PropertyType("number")}})
    message, other = Message(OBJECT, b'{"t":"x"}'), Message("things/b/properties", b'{"t":"x"}')
    assert len(decode_messages(message, other, model=first).rejects) == 1
    second = first.renewed({"b": {"t": PropertyType("number")}})
    decoded = decode_messages(message, other, model=second)
    assert [reject.topic for reject in decoded.rejects] == ["things/b/properties"]
    # The older snapshot says what it said.
    assert [reject.topic for reject in decode_messages(message, other, model=first).rejects] == [OBJECT]
