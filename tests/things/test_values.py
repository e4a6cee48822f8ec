import math
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allthings.things.types import PropertyType
from allthings.things.values import VALUE_DEPTH_MAX, check_schema, check_value, compilable_pattern, same, shown
from tests.reaching import must_reach, reach

_NUMBER = PropertyType(type="number", minimum=0.0, maximum=10.0)


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (5, _NUMBER),
        (0, _NUMBER),
        (10.0, _NUMBER),
        (3.0, PropertyType(type="integer")),
        (True, PropertyType(type="boolean")),
        ("on", PropertyType(type="string", enum=("on", "off"))),
        (1.0, PropertyType(enum=(1, 2))),
        (None, PropertyType(type="null")),
        ([1, {}], PropertyType(type="array")),
        ({"a": 1}, PropertyType(type="object")),
        ("anything", PropertyType()),
        (10**300, PropertyType(type="number")),
    ],
)
def test_values_that_are_allowed(value: object, type_: PropertyType) -> None:
    assert check_value(value, type_) == ""


@pytest.mark.parametrize(
    ("value", "type_", "reason"),
    [
        (-1, _NUMBER, "minimum is 0, got -1"),
        (10.5, _NUMBER, "maximum is 10, got 10.5"),
        ("5", _NUMBER, "type is number, got '5'"),
        (True, _NUMBER, "type is number, got True"),
        (math.nan, _NUMBER, "a number must be finite, got nan"),
        (math.inf, PropertyType(), "a number must be finite, got inf"),
        (3.5, PropertyType(type="integer"), "type is integer, got 3.5"),
        (1, PropertyType(type="boolean"), "type is boolean, got 1"),
        ("dim", PropertyType(type="string", enum=("on", "off")), "enum allows ['on', 'off'], got 'dim'"),
        (True, PropertyType(enum=(1, 0)), "enum allows [1, 0], got True"),
        (None, PropertyType(type="object"), "type is object, got None"),
        ([], PropertyType(type="object"), "type is object, got []"),
    ],
)
def test_a_refusal_names_the_rule_and_the_value(value: object, type_: PropertyType, reason: str) -> None:
    assert check_value(value, type_) == reason


_PLACE = {
    "type": "object",
    "required": ["lat"],
    "properties": {
        "lat": {"type": "number", "minimum": -90, "maximum": 90},
        "tags": {"type": "array", "maxItems": 2, "items": {"type": "string", "pattern": "^[a-z]+$"}},
        "a/b~c": {"type": "boolean"},
    },
}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"lat": 48.1, "tags": ["a", "b"], "more": 1}, ""),
        ({}, "required is 'lat', it is missing"),
        ({"lat": 91}, "maximum is 90, got 91 at /lat"),
        ({"lat": 1, "tags": ["a", "B"]}, "pattern is '^[a-z]+$', got 'B' at /tags/1"),
        ({"lat": 1, "tags": ["a", "b", "c"]}, "maxItems is 2, got 3 at /tags"),
        ({"lat": 1, "a/b~c": 1}, "type is boolean, got 1 at /a~1b~0c"),
    ],
)
def test_objects_are_checked_all_through(value: object, reason: str) -> None:
    assert check_value(value, PropertyType(type="object", schema=_PLACE)) == reason


@pytest.mark.parametrize(
    ("value", "schema", "reason"),
    [
        (1, {"exclusiveMinimum": 1}, "exclusiveMinimum is 1, got 1"),
        (0.3, {"multipleOf": 0.1}, ""),
        (0.35, {"multipleOf": 0.1}, "multipleOf is 0.1, got 0.35"),
        (10**400, {"multipleOf": 0.5}, "multipleOf is 0.5, got an integer of 1329 bits"),
        ("ab", {"minLength": 3}, "minLength is 3, got 2 characters"),
        (2, {"const": 1}, "const is 1, got 2"),
        (True, {"const": 1}, "const is 1, got True"),
        (3, {"oneOf": [{"type": "integer"}, {"type": "string"}]}, ""),
        (3, {"oneOf": [{"type": "integer"}, {"type": "number"}]}, "oneOf needs exactly one fitting schema, 2 fit 3"),
        ([1, "a"], {"items": [{"type": "number"}, {"type": "number"}]}, "type is number, got 'a' at /1"),
        ([1, "a"], {"items": [{"type": "number"}]}, ""),
        ([math.inf], {"type": "array"}, "a number must be finite, got inf at /0"),
    ],
)
def test_the_other_rules(value: object, schema: dict[str, Any], reason: str) -> None:
    assert check_schema(value, schema) == reason


def test_deep_values_are_refused_without_recursion_without_end() -> None:
    value: Any = 1
    for _ in range(10_000):
        value = [value]
    assert check_schema(value, {"type": "array"}).startswith(f"nested deeper than {VALUE_DEPTH_MAX}")


def test_a_pattern_that_would_take_ages_takes_none() -> None:
    assert compilable_pattern("^(a+)+$")
    assert check_schema("a" * 50_000 + "b", {"pattern": "^(a+)+$"}).startswith("pattern is")


@pytest.mark.parametrize("pattern", ["(?=a)b", r"(a)\1", "(", "[", "a{2000}"])
def test_patterns_that_cannot_be_used(pattern: str) -> None:
    assert not compilable_pattern(pattern)


def test_long_values_are_cut_in_messages() -> None:
    assert len(shown("x" * 10_000)) == 64
    assert len(shown(list(range(10_000)))) == 64
    assert len(shown({str(i): i for i in range(100)})) == 64


_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.floats(-5, 5, width=16), st.sampled_from(["", "a", "bc"])
)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner), max_leaves=6
)
_RULES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["number", "integer", "boolean", "string", "object", "array", "null"]),
        "minimum": st.integers(-3, 3),
        "maximum": st.integers(-3, 3),
        "exclusiveMinimum": st.integers(-3, 3),
        "exclusiveMaximum": st.integers(-3, 3),
        "multipleOf": st.integers(1, 3),
        "minLength": st.integers(0, 2),
        "maxLength": st.integers(0, 2),
        "minItems": st.integers(0, 2),
        "maxItems": st.integers(0, 2),
        "const": _VALUES,
        "enum": st.lists(_VALUES, min_size=1, max_size=3),
        "pattern": st.sampled_from(["^a", "c$", ""]),
        "required": st.lists(st.sampled_from("ab"), max_size=2),
    },
)
_SCHEMAS = st.recursive(
    _RULES,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"items": inner | st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"properties": st.dictionaries(st.sampled_from("ab"), inner)}),
        st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1, max_size=2)}),
    ),
    max_leaves=4,
)


@must_reach("valid", "invalid")
@settings(max_examples=500, deadline=None)
@given(_VALUES, _SCHEMAS)
def test_verdicts_agree_with_a_json_schema_validator(value: Any, schema: dict[str, Any]) -> None:
    stranger = jsonschema.Draft7Validator(schema)
    reach("valid" if stranger.is_valid(value) else "invalid")
    assert (check_schema(value, schema) == "") == stranger.is_valid(value)


@must_reach("same", "different")
@given(_VALUES, _VALUES)
def test_sameness_is_symmetric(a: Any, b: Any) -> None:
    reach("same" if same(a, b) else "different")
    assert same(a, b) == same(b, a)
    assert same(a, a)
