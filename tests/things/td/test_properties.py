import math

from allthings.things.td import check_td, property_types
from allthings.things.types import PropertyType


def test_what_decoding_must_know() -> None:
    td = check_td(
        {
            "title": "Station",
            "properties": {
                "temperature": {"type": "number", "unit": "degree celsius", "minimum": -40, "maximum": 60},
                "mode": {"type": "string", "enum": ["on", "off"], "readOnly": True},
                "anything": {},
                "guess": {"type": "number", "unit": "Cel", "allthings:inferred": True, "readOnly": True},
                "level": {"type": "integer", "exclusiveMinimum": 0, "title": "Level"},
                "place": {"type": "object", "properties": {"lat": {"type": "number"}}, "description": "where"},
                "huge": {"type": "integer", "maximum": 2**63, "minimum": -(2**63)},
            },
        }
    )
    assert property_types(td) == {
        "temperature": PropertyType(type="number", unit="Cel", minimum=-40.0, maximum=60.0, read_only=False),
        "mode": PropertyType(type="string", enum=("on", "off"), read_only=True),
        "anything": PropertyType(read_only=False),
        "guess": PropertyType(unit="Cel", read_only=True),
        "level": PropertyType(type="integer", read_only=False, schema={"type": "integer", "exclusiveMinimum": 0}),
        "place": PropertyType(
            type="object", read_only=False, schema={"type": "object", "properties": {"lat": {"type": "number"}}}
        ),
        "huge": PropertyType(type="integer", minimum=-(2.0**63), maximum=2.0**63, read_only=False),
    }


def test_a_thing_without_properties_has_no_types() -> None:
    assert property_types({"title": "Lamp"}) == {}


def test_a_limit_beyond_all_floats_limits_nothing() -> None:
    types = property_types({"properties": {"x": {"maximum": 10**400, "minimum": -(10**400)}}})
    assert (types["x"].minimum, types["x"].maximum) == (-math.inf, math.inf)
