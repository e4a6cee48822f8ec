import base64
from typing import Any

import pytest

from allthings.registry import Registry, SeenProperty
from allthings.registry.listing import Sort
from allthings.registry.settings import PAGE_MAX
from allthings.things.errors import BadInputError
from allthings.things.types import Kind

_THINGS: list[dict[str, Any]] = [
    {"id": "urn:x:5", "title": "Pump", "description": "In the cellar", "@type": "saref:Actuator"},
    {"id": "urn:x:4", "title": "pump 2", "titles": {"de": "Zweite Förderpumpe"}},
    {"id": "urn:x:3", "title": "Lamp", "@type": ["Light", "OnOffSwitch"]},
    {"id": "urn:x:2", "title": "50% off_er \\ 'x'"},
    {"id": "urn:x:1", "title": "Ärmelkanal"},
]


@pytest.fixture
def five(registry: Registry) -> Registry:
    for number, td in enumerate(_THINGS):
        registry.things.create(td, 100 - number // 2, name=f"t{number}")
    return registry


def _names(registry: Registry, **query: Any) -> list[str]:
    return [thing.name for thing in registry.things.list(**query).things]


@pytest.mark.parametrize(
    ("search", "names"),
    [
        ("", ["t0", "t1", "t2", "t3", "t4"]),
        ("pump", ["t0", "t1"]),
        ("PUMP cellar", ["t0"]),
        ("förderpumpe", ["t1"]),
        ("FÖRDERPUMPE", ["t1"]),
        ("onoffswitch", ["t2"]),
        ("actuator", ["t0"]),
        ("t3", ["t3"]),
        ("urn:x:1", ["t4"]),
        ("%", ["t3"]),
        ("_", ["t3"]),
        ("\\", ["t3"]),
        ("'", ["t3"]),
        ("ärmel", ["t4"]),
        ("nothing", []),
        ("pump\x00", ["t0", "t1"]),
    ],
)
def test_search(five: Registry, search: str, names: list[str]) -> None:
    page = five.things.list(search=search)
    assert [thing.name for thing in page.things] == names
    assert page.total == len(names)
    assert page.next == ""


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("name", ["t0", "t1", "t2", "t3", "t4"]),
        ("id", ["t4", "t3", "t2", "t1", "t0"]),
        ("title", ["t3", "t2", "t0", "t1", "t4"]),
        ("created", ["t4", "t2", "t3", "t0", "t1"]),
        ("modified", ["t4", "t2", "t3", "t0", "t1"]),
    ],
)
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 5, 7])
def test_pages_are_the_whole_in_order(
    five: Registry, sort: Sort, names: list[str], descending: bool, limit: int
) -> None:
    found: list[str] = []
    after = ""
    while True:
        page = five.things.list(sort=sort, descending=descending, limit=limit, after=after)
        assert page.total == 5
        assert 1 <= len(page.things) <= limit
        found += [thing.name for thing in page.things]
        after = page.next
        if not after:
            break
    assert found == (names[::-1] if descending else names)


def test_offset(five: Registry) -> None:
    assert _names(five, sort="id", offset=3, limit=1) == ["t1"]
    assert _names(five, offset=9) == []


def test_pages_stay_right_while_things_come_and_go(five: Registry) -> None:
    page = five.things.list(limit=2)
    five.things.remove("t1")
    five.things.create({"title": "early"}, 1, name="a")
    assert _names(five, limit=9, after=page.next) == ["t2", "t3", "t4"]


def test_state(five: Registry) -> None:
    five.things.observe([SeenProperty("dev", "x", Kind.BOOLEAN)], 1)
    assert _names(five, state="discovered") == ["dev"]
    assert five.things.list(state="adopted").total == 5
    assert _names(five, state="discovered", search="pump") == []


def test_names_sort_by_code_point_everywhere(registry: Registry) -> None:
    names = ["B", "_", "a", "A", "b", "-", "0", ":", "a1", "a.1", "a-1"]
    for name in names:
        registry.things.create({"title": name}, 1, name=name)
    assert _names(registry) == sorted(names)


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": PAGE_MAX + 1},
        {"sort": "td"},
        {"search": "x" * 1000},
        {"offset": -1},
        {"offset": 1 << 70},
        {"after": "x"},
        {"after": "\ud800"},
        {"after": "é"},
        {"after": "x" * 10_000},
        {"after": base64.urlsafe_b64encode(b'["name",false,1,"a"]').decode()},
        {"after": base64.urlsafe_b64encode(b'["name",false,"a\\u0000","a"]').decode()},
        {"after": base64.urlsafe_b64encode(b'["created",false,123456789012345678901234567890,"a"]').decode()},
        {"after": base64.urlsafe_b64encode(b'["created",false,9223372036854775808,"a"]').decode(), "sort": "created"},
    ],
)
def test_what_cannot_be_asked(registry: Registry, query: dict[str, Any]) -> None:
    with pytest.raises(BadInputError):
        registry.things.list(**query)


def test_a_place_belongs_to_its_order(five: Registry) -> None:
    after = five.things.list(limit=2).next
    with pytest.raises(BadInputError):
        five.things.list(after=after, descending=True)
    with pytest.raises(BadInputError):
        five.things.list(after=after, sort="title")
