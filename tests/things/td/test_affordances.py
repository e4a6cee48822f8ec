from typing import Any

import pytest

from allthings.things.td.affordances import check_affordances, check_forms, check_links
from allthings.things.td.limits import TD_ACTIONS_MAX
from allthings.things.td.problems import Problems

from .problem_lists import pointers

_FORM = {"href": "/x", "contentType": "application/json"}
_TD: dict[str, Any] = {"securityDefinitions": {"basic_sc": {"scheme": "basic"}}}


def _in(kind: str, affordance: Any) -> set[str]:
    problems = Problems()
    check_affordances(_TD | {kind: {"x": affordance}}, problems)
    return {pointer.removeprefix(f"/{kind}/x") for pointer, _ in problems.found}


@pytest.mark.parametrize(
    ("kind", "affordance"),
    [
        ("properties", {}),
        ("properties", {"type": "number", "observable": True, "forms": [_FORM | {"op": "readproperty"}]}),
        ("actions", {"input": {"type": "object"}, "output": {}, "safe": True, "synchronous": False, "forms": [_FORM]}),
        ("events", {"data": {"type": "string"}, "subscription": {}, "cancellation": {}, "dataResponse": {}}),
        ("events", {"forms": [_FORM | {"op": ["subscribeevent", "unsubscribeevent"], "subprotocol": "sse"}]}),
        ("actions", {"uriVariables": {"q": {"type": "string"}}}),
    ],
)
def test_affordances_that_are_right(kind: str, affordance: dict[str, Any]) -> None:
    assert _in(kind, affordance) == set()


@pytest.mark.parametrize(
    ("kind", "affordance", "found"),
    [
        ("properties", [], {""}),
        ("properties", {"observable": "yes"}, {"/observable"}),
        ("properties", {"forms": []}, {"/forms"}),
        ("properties", {"forms": [{}]}, {"/forms/0/href"}),
        ("properties", {"forms": [_FORM | {"op": "invokeaction"}]}, {"/forms/0/op"}),
        ("properties", {"forms": [_FORM | {"op": ["readproperty", "x"]}]}, {"/forms/0/op/1"}),
        ("actions", {"input": 3}, {"/input"}),
        ("actions", {"forms": [_FORM | {"security": "other"}]}, {"/forms/0/security"}),
        ("actions", {"forms": [_FORM | {"response": {}}]}, {"/forms/0/response/contentType"}),
        (
            "actions",
            {"forms": [_FORM | {"additionalResponses": [{"success": 1}]}]},
            {"/forms/0/additionalResponses/0/success"},
        ),
        ("events", {"data": {"type": "event"}}, {"/data/type"}),
        ("events", {"title": 3}, {"/title"}),
    ],
)
def test_affordances_that_are_wrong(kind: str, affordance: Any, found: set[str]) -> None:
    assert _in(kind, affordance) == found


@pytest.mark.parametrize("name", ["", "a/b", "a\n", "a" * 129])
def test_names_of_affordances(name: str) -> None:
    problems = Problems()
    check_affordances({"events": {name: {}}}, problems)
    assert problems


def test_the_number_of_actions_has_a_limit() -> None:
    problems = Problems()
    check_affordances({"actions": {f"a{number}": {} for number in range(TD_ACTIONS_MAX + 1)}}, problems)
    assert [pointer for pointer, _ in problems.found] == ["/actions"]


def test_a_form_of_the_thing_itself_names_its_operation() -> None:
    problems = Problems()
    check_forms([_FORM, _FORM | {"op": "readallproperties"}], "thing", _TD, "/forms", problems)
    assert [pointer for pointer, _ in problems.found] == ["/forms/0/op"]


def test_links() -> None:
    assert pointers(check_links, [{"href": "a", "rel": "item", "hreflang": ["de", "en"], "sizes": "16x16"}]) == set()
    assert pointers(check_links, [{}, 7, {"href": 7}]) == {"/0/href", "/1", "/2/href"}
    assert pointers(check_links, {}) == {""}
