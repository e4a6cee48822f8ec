import pytest

from allthings.things.types import Kind, PropertyType


def test_the_stored_numbers_of_kinds_never_change() -> None:
    assert {kind.name: kind.value for kind in Kind} == {"NUMBER": 0, "BOOLEAN": 1, "STRING": 2, "JSON": 3}


def test_a_property_type_is_frozen() -> None:
    with pytest.raises(AttributeError):
        PropertyType().type = "number"  # type: ignore[misc]
