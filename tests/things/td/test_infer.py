import math
from typing import Any

import pytest

from allthings.things.td import (
    INFERRED,
    check_td,
    confirm_changed,
    discovered_td,
    infer_property,
    merge_inferred,
    property_types,
    seen_range,
)
from allthings.things.types import Kind, PropertyType


@pytest.mark.parametrize(
    ("name", "kind", "low", "high", "type_", "unit", "seen"),
    [
        ("temperature_c", Kind.NUMBER, 20.0, 21.5, "number", "Cel", (20.0, 21.5)),
        ("humidity", Kind.NUMBER, 0.4, 0.5, "number", None, (0.4, 0.5)),
        ("humidity", Kind.NUMBER, None, None, "number", "%", (None, None)),
        ("humidity", Kind.NUMBER, math.nan, math.inf, "number", "%", (None, None)),
        ("humidity", Kind.STRING, None, None, "string", None, (None, None)),
        ("on", Kind.BOOLEAN, None, None, "boolean", None, (None, None)),
        ("place", Kind.JSON, None, None, None, None, (None, None)),
    ],
)
def test_what_is_inferred(
    name: str,
    kind: Kind,
    low: float | None,
    high: float | None,
    type_: str | None,
    unit: str | None,
    seen: tuple[float | None, float | None],
) -> None:
    affordance = infer_property(name, kind, low, high)
    assert affordance.get("type") == type_
    assert affordance.get("unit") == unit
    assert seen_range(affordance) == seen
    assert affordance["readOnly"] is affordance["observable"] is affordance[INFERRED] is True
    assert "minimum" not in affordance


def test_a_discovered_description_is_valid_and_holds_no_value_back() -> None:
    td = discovered_td("dev-1", {"temperature_c": infer_property("temperature_c", Kind.NUMBER, 1.0, 2.0)})
    assert check_td(td) == td
    assert td["id"] == "urn:allthings:dev-1"
    assert property_types(td) == {"temperature_c": PropertyType(unit="Cel")}


def _merged(known: dict[str, Any], kind: Kind, low: float | None = None, high: float | None = None) -> Any:
    return merge_inferred("battery", known, kind, low, high)


def test_a_new_property_is_inferred() -> None:
    assert merge_inferred("on", None, Kind.BOOLEAN, None, None) == infer_property("on", Kind.BOOLEAN)


def test_what_a_person_wrote_stays() -> None:
    assert _merged({"type": "string"}, Kind.NUMBER, 1.0, 2.0) is None


def test_a_range_grows_but_not_for_noise() -> None:
    known = infer_property("battery", Kind.NUMBER, 10.0, 20.0)
    assert _merged(known, Kind.NUMBER, 12.0, 18.0) is None
    assert _merged(known, Kind.NUMBER, 9.95, 20.05) is None
    assert seen_range(_merged(known, Kind.NUMBER, 15.0, 25.0)) == (10.0, 25.0)
    assert seen_range(_merged(known, Kind.NUMBER, 5.0, 6.0)) == (5.0, 20.0)
    assert _merged(known, Kind.NUMBER) is None
    assert _merged(known, Kind.NUMBER, math.nan, math.nan) is None


def test_a_range_may_come_later() -> None:
    known = infer_property("battery", Kind.NUMBER)
    assert seen_range(_merged(known, Kind.NUMBER, 5.0, 6.0)) == (5.0, 6.0)


def test_a_unit_that_no_longer_fits_goes() -> None:
    known = infer_property("battery", Kind.NUMBER, 10.0, 100.0)
    assert known["unit"] == "%"
    assert "unit" not in _merged(known, Kind.NUMBER, 3000.0, 3000.0)


def test_after_two_types_there_is_none() -> None:
    known = {**infer_property("battery", Kind.NUMBER, 10.0, 20.0), "title": "Akku"}
    mixed = _merged(known, Kind.STRING)
    assert mixed == {"title": "Akku", **infer_property("battery", Kind.JSON)}
    assert _merged(mixed, Kind.NUMBER, 1.0, 2.0) is None
    assert _merged(mixed, Kind.BOOLEAN) is None


def test_titles_of_people_survive_a_wider_range() -> None:
    known = {**infer_property("battery", Kind.NUMBER, 10.0, 20.0), "title": "Akku"}
    assert _merged(known, Kind.NUMBER, 0.0, 90.0)["title"] == "Akku"


def test_what_a_person_changes_is_no_guess_any_more() -> None:
    guess = infer_property("t", Kind.NUMBER, 1.0, 2.0)
    old = {"properties": {"a": guess, "b": guess}}
    new = {"properties": {"a": {**guess, "unit": "K"}, "b": {**guess, "title": "B"}, "c": guess}}
    confirmed = confirm_changed(new, old)["properties"]
    assert confirmed["a"] == {"type": "number", "unit": "K", "readOnly": True, "observable": True}
    assert confirmed["b"] == {**guess, "title": "B"}
    assert confirmed["c"] == guess
