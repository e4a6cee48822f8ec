from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allthings.things.errors import BadInputError, LimitExceededError
from allthings.things.td import TD_BYTES_MAX, TD_PROPERTIES_MAX, check_td
from allthings.things.td.check import InvalidTdError
from allthings.things.td.limits import CONTEXT_1_0, CONTEXT_1_1, PROBLEMS_MAX, TD_DEPTH_MAX
from tests.reaching import must_reach, reach


def problems(doc: Any) -> dict[str, str]:
    """The problems of a document by pointer; {} if it is a Thing Description."""
    try:
        check_td(doc)
    except InvalidTdError as error:
        return {problem["pointer"]: problem["problem"] for problem in error.extensions["problems"]}
    return {}


def td(**members: Any) -> dict[str, Any]:
    return {
        "@context": CONTEXT_1_1,
        "title": "Lamp",
        "securityDefinitions": {"nosec_sc": {"scheme": "nosec"}},
        "security": "nosec_sc",
        **members,
    }


def test_the_smallest_document_gets_its_defaults() -> None:
    assert check_td({"title": "Lamp"}) == td()


def test_what_is_there_stays_and_the_argument_is_not_changed() -> None:
    doc = td(id="urn:x:lamp", properties={"on": {"type": "boolean", "x:extension": [1]}})
    before = msgspec.json.encode(doc)
    checked = check_td(doc)
    assert checked == doc
    checked["properties"]["on"]["x:extension"].append(2)
    assert msgspec.json.encode(doc) == before


@pytest.mark.parametrize("doc", [None, [], "td", 7, True])
def test_only_objects_are_descriptions(doc: object) -> None:
    with pytest.raises(BadInputError, match="JSON object"):
        check_td(doc)


def test_all_problems_are_listed_with_their_places() -> None:
    found = problems(
        td(
            title=7,
            id="no uri",
            created="yesterday",
            version={"model": "1"},
            links=[{"rel": "item"}],
            properties={"a/b": {"type": "float"}, "on": {"minimum": "1"}},
        )
    )
    assert found.keys() == {
        "/title",
        "/id",
        "/created",
        "/version/instance",
        "/links/0/href",
        "/properties/a~1b",
        "/properties/a~1b/type",
        "/properties/on/minimum",
    }


def test_the_message_says_all_of_it() -> None:
    with pytest.raises(InvalidTdError) as caught:
        check_td({"id": "x"})
    assert str(caught.value) == (
        "not a valid Thing Description: /title is missing; /id must be a URI of at most 512 characters, not 'x'"
    )


def test_a_list_of_problems_has_an_end() -> None:
    bad = {f"p{number}": {"type": "float"} for number in range(PROBLEMS_MAX + 7)}
    with pytest.raises(InvalidTdError, match="and 7 more") as caught:
        check_td(td(properties=bad))
    assert len(caught.value.extensions["problems"]) == PROBLEMS_MAX


@pytest.mark.parametrize(
    "context",
    [
        CONTEXT_1_1,
        CONTEXT_1_0,
        [CONTEXT_1_1],
        [CONTEXT_1_0, CONTEXT_1_1, {"@language": "en"}],
        [CONTEXT_1_1, "https://example.com/x", {"x": "https://example.com/x#"}],
    ],
)
def test_contexts_that_are_right(context: object) -> None:
    assert problems(td(**{"@context": context})) == {}


@pytest.mark.parametrize(
    "context", ["https://example.com", [], {}, None, [{"x": "y"}, CONTEXT_1_1], [CONTEXT_1_1, 7], [[CONTEXT_1_1]]]
)
def test_contexts_that_are_wrong(context: object) -> None:
    assert any(pointer.startswith("/@context") for pointer in problems(td(**{"@context": context})))


@pytest.mark.parametrize("type_", ["tm:ThingModel", ["Lamp", "tm:ThingModel"]])
def test_a_thing_model_is_told_apart(type_: object) -> None:
    with pytest.raises(InvalidTdError, match="Thing Model"):
        check_td(td(**{"@type": type_}))


@pytest.mark.parametrize("missing", ["security", "securityDefinitions"])
def test_security_with_only_one_half_is_a_problem(missing: str) -> None:
    doc = td()
    del doc[missing]
    assert f"/{missing}" in problems(doc)


def test_a_description_that_is_too_large_is_refused() -> None:
    with pytest.raises(LimitExceededError, match=str(TD_BYTES_MAX)):
        check_td(td(**{"x:padding": ["x" * 1000] * 300}))


def test_a_description_that_is_nested_too_deep_is_refused() -> None:
    nested: Any = {}
    for _ in range(100_000):
        nested = {"a": nested}
    with pytest.raises(LimitExceededError, match=f"deeper than {TD_DEPTH_MAX}"):
        check_td(td(x=nested))


def test_the_depth_that_is_allowed() -> None:
    def nested(levels: int) -> Any:
        return {"a": nested(levels - 1)} if levels else 1

    assert problems(td(x=nested(TD_DEPTH_MAX - 1))) == {}
    with pytest.raises(LimitExceededError):
        check_td(td(x=nested(TD_DEPTH_MAX)))


def test_the_number_of_properties_has_a_limit() -> None:
    assert problems(td(properties={f"p{i}": {} for i in range(TD_PROPERTIES_MAX)})) == {}
    assert "/properties" in problems(td(properties={f"p{i}": {} for i in range(TD_PROPERTIES_MAX + 1)}))


@pytest.mark.parametrize("value", [object(), "\ud800"])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(InvalidTdError, match="not JSON"):
        check_td(td(x=value))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_MEMBERS = [
    "@context", "@type", "id", "title", "titles", "description", "descriptions", "version", "created", "base", "links",
    "forms", "profile", "security", "securityDefinitions", "schemaDefinitions", "uriVariables", "properties", "actions",
    "events",
]  # fmt: skip


@must_reach("refused", "accepted")
@given(st.dictionaries(st.sampled_from(_MEMBERS), st.sampled_from(["text", {}, {"en": "text"}]) | _JSON, max_size=4))
@settings(max_examples=300)
def test_no_document_does_more_than_be_refused(members: dict[str, Any]) -> None:
    try:
        checked = check_td(td(**members))
    except BadInputError:
        reach("refused")
        return
    reach("accepted", len(members))
    assert check_td(checked) == checked


_AFFORDANCE_MEMBERS = [
    "type", "unit", "oneOf", "enum", "const", "items", "properties", "required", "minimum", "multipleOf", "pattern",
    "forms", "readOnly", "uriVariables", "observable", "@type", "minLength", "input", "data",
]  # fmt: skip


@must_reach("refused", "accepted")
@given(
    st.sampled_from(["properties", "actions", "events"]),
    st.dictionaries(st.sampled_from(_AFFORDANCE_MEMBERS), _JSON, max_size=4),
)
def test_no_affordance_does_more_than_be_refused(kind: str, affordance: dict[str, Any]) -> None:
    found = problems(td(**{kind: {"x": affordance}}))
    reach("refused" if found else "accepted")
    assert all(pointer.startswith(f"/{kind}/x") for pointer in found)
