from typing import Any

import pytest

from allthings.things.td.data_schema import check_data_schema, check_data_schemas

from .problem_lists import pointers


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "number", "minimum": 0, "maximum": 1.5, "multipleOf": 0.5, "unit": "Cel"},
        {"type": "array", "items": [{"type": "string"}, {}], "minItems": 0, "maxItems": 2},
        {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"]},
        {"oneOf": [{"const": 1}, {"enum": [1, None, {}]}]},
        {"type": "string", "pattern": "^a+$", "maxLength": 3, "contentEncoding": "base64"},
        {"x:unknown": 1, "default": object},
    ],
)
def test_schemas_that_are_right(schema: dict[str, Any]) -> None:
    assert pointers(check_data_schema, schema) == set()


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        (7, {""}),
        ({"type": ["number", "null"]}, {"/type"}),
        ({"type": "float"}, {"/type"}),
        ({"enum": []}, {"/enum"}),
        ({"enum": "a"}, {"/enum"}),
        ({"oneOf": {}}, {"/oneOf"}),
        ({"oneOf": [1, {"type": "x"}]}, {"/oneOf/0", "/oneOf/1/type"}),
        ({"items": [{"minimum": True}]}, {"/items/0/minimum"}),
        ({"properties": {"a": {"minLength": -1}}}, {"/properties/a/minLength"}),
        ({"required": "a"}, {"/required"}),
        ({"pattern": "(?=a)"}, {"/pattern"}),
        ({"pattern": "a" * 1000}, {"/pattern"}),
        ({"multipleOf": 0}, {"/multipleOf"}),
        ({"readOnly": 1, "unit": 3}, {"/readOnly", "/unit"}),
    ],
)
def test_schemas_that_are_wrong(schema: Any, found: set[str]) -> None:
    assert pointers(check_data_schema, schema) == found


def test_maps_of_schemas() -> None:
    assert pointers(check_data_schemas, {"a": {}, "b/c": 1}) == {"/b~1c"}
    assert pointers(check_data_schemas, []) == {""}
