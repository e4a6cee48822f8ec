import re
from typing import Any

import pytest

from allthings.registry import Registry, SeenProperty
from allthings.registry.rows import Check, Thing
from allthings.things.errors import BadInputError, ConflictError, LimitExceededError, NotFoundError
from allthings.things.td import INFERRED, with_forms
from allthings.things.td.check import InvalidTdError
from allthings.things.types import Kind, PropertyType

T0, T1, T2 = 1_000, 2_000, 3_000
LAMP: dict[str, Any] = {
    "id": "https://example.com/things/lamp-1",
    "title": "Lamp",
    "properties": {"on": {"type": "boolean"}},
}


def seen(thing: str, name: str = "t_c", low: float = 1.0, high: float = 2.0) -> SeenProperty:
    return SeenProperty(thing, name, Kind.NUMBER, low, high)


def test_what_is_created_can_be_got_by_id_and_by_name(registry: Registry) -> None:
    thing = registry.things.create(LAMP, T0)
    assert (thing.name, thing.id, thing.title, thing.state) == ("lamp-1", LAMP["id"], "Lamp", "adopted")
    assert (thing.created_ns, thing.modified_ns, thing.version) == (T0, T0, 1)
    assert thing.td["properties"] == LAMP["properties"]
    assert registry.things.get("lamp-1") == registry.things.get(LAMP["id"]) == thing


def test_a_thing_without_an_id_gets_one(registry: Registry) -> None:
    first = registry.things.create({"title": "Pump 7"}, T0)
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", first.id)
    assert first.name == "Pump-7"
    assert first.td["id"] == first.id
    second = registry.things.create({"title": "Pump 7"}, T0)
    assert re.fullmatch(r"Pump-7-[0-9a-f]{8}", second.name)
    assert registry.things.create({"title": "Pump 7"}, T0, name="p7").id == "urn:allthings:p7"


@pytest.mark.parametrize("name", ["", "a/b", "ä", "a" * 129, "a\x00"])
def test_a_name_must_be_a_name(registry: Registry, name: str) -> None:
    with pytest.raises(BadInputError):
        registry.things.create(LAMP, T0, name=name)


def test_ids_and_names_belong_to_one_thing(registry: Registry) -> None:
    registry.things.create(LAMP, T0)
    with pytest.raises(ConflictError, match="id"):
        registry.things.create(LAMP, T1, name="other")
    with pytest.raises(ConflictError, match="name lamp-1"):
        registry.things.create({**LAMP, "id": "urn:x:1"}, T1, name="lamp-1")
    other = registry.things.create({**LAMP, "id": "https://example.org/lamp-1"}, T1)
    assert re.fullmatch(r"lamp-1-[0-9a-f]{8}", other.name)
    with pytest.raises(BadInputError, match="kept for"):
        registry.things.create({"title": "x", "id": "urn:allthings:lamp-9"}, T1, name="x")


def test_what_is_no_description_changes_nothing(registry: Registry) -> None:
    version = registry.things.version()
    for wrong in ({}, [], {"title": 7}, {"title": "x", "@type": "tm:ThingModel"}):
        with pytest.raises(InvalidTdError):
            registry.things.create(wrong, T0)
    with pytest.raises(LimitExceededError):
        registry.things.put("x", {"title": "x", "y": "z" * 300_000}, T0)
    assert registry.things.version() == version


@pytest.mark.parametrize("id_", ["nothing", "urn:no:thing", "", "a\x00b", "\ud800", "a b", "x" * 10_000])
def test_what_is_not_there_is_not_found(registry: Registry, id_: str) -> None:
    for call in (
        lambda: registry.things.get(id_),
        lambda: registry.things.patch(id_, {"title": "x"}, T1),
        lambda: registry.things.adopt(id_, T1),
        lambda: registry.things.remove(id_),
    ):
        with pytest.raises(NotFoundError):
            call()


def test_put_creates_then_replaces(registry: Registry) -> None:
    created, is_new = registry.things.put(LAMP["id"], LAMP, T0)
    assert is_new
    replaced, is_new = registry.things.put("lamp-1", {"title": "Light"}, T1)
    assert not is_new
    assert (replaced.id, replaced.name, replaced.title) == (created.id, "lamp-1", "Light")
    assert (replaced.created_ns, replaced.modified_ns, replaced.version) == (T0, T1, 2)
    assert "properties" not in replaced.td


def test_put_by_name_creates_a_thing_of_that_name(registry: Registry) -> None:
    assert registry.things.put("pump-7", {"title": "Pump"}, T0)[0].id == "urn:allthings:pump-7"
    assert registry.things.put("lamp", LAMP, T0)[0].name == "lamp"
    assert registry.things.get(LAMP["id"]).name == "lamp"
    assert registry.things.put("dev:ops:1", {"title": "x", "id": "urn:dev:ops:1"}, T0)[0].name == "dev:ops:1"
    assert registry.things.put("dev:ops:2", {"title": "x"}, T0)[0].id == "dev:ops:2"


def test_put_with_another_id_is_refused(registry: Registry) -> None:
    registry.things.create(LAMP, T0)
    for address in ("lamp-1", LAMP["id"], "urn:some:thing"):
        with pytest.raises(BadInputError, match="id"):
            registry.things.put(address, {**LAMP, "id": "urn:an:other"}, T1)
    with pytest.raises(ConflictError):
        registry.things.put("second", LAMP, T1)
    with pytest.raises(BadInputError, match="neither"):
        registry.things.put("no name", {"title": "x"}, T1)


def test_patch_changes_members_only(registry: Registry) -> None:
    registry.things.create(LAMP, T0)
    patched = registry.things.patch("lamp-1", {"title": "Light", "properties": {"level": {"type": "number"}}}, T1)
    assert patched.title == "Light"
    assert patched.td["properties"] == {"on": {"type": "boolean"}, "level": {"type": "number"}}
    assert registry.things.patch("lamp-1", {"properties": None}, T2).td.keys() == patched.td.keys() - {"properties"}
    with pytest.raises(InvalidTdError):
        registry.things.patch("lamp-1", {"title": None}, T2)
    with pytest.raises(BadInputError, match="never changes"):
        registry.things.patch("lamp-1", {"id": "urn:x:y"}, T2)
    assert registry.things.patch("lamp-1", {"id": None}, T2).id == LAMP["id"]
    with pytest.raises(BadInputError):
        registry.things.patch("lamp-1", ["title"], T2)


class ChangedError(Exception):
    """What the checks of these tests raise."""


def as_read(read: Thing | None) -> Check:
    """A check that the thing is still the one that was read."""

    def check(thing: Thing | None) -> None:
        if thing != read:
            raise ChangedError

    return check


def test_a_change_that_its_check_refuses_changes_nothing(registry: Registry) -> None:
    first = registry.things.create(LAMP, T0)
    second = registry.things.patch("lamp-1", {"title": "Light"}, T1, check=as_read(first))
    for call in (
        lambda: registry.things.patch("lamp-1", {"title": "x"}, T2, check=as_read(first)),
        lambda: registry.things.put("lamp-1", LAMP, T2, check=as_read(first)),
        lambda: registry.things.put("lamp-1", LAMP, T2, check=as_read(None)),
        lambda: registry.things.remove("lamp-1", check=as_read(first)),
        lambda: registry.things.put("urn:x:new", {"title": "x"}, T2, check=as_read(first)),
    ):
        with pytest.raises(ChangedError):
            call()
    assert registry.things.get("lamp-1") == second
    with pytest.raises(NotFoundError):
        registry.things.get("urn:x:new")
    registry.things.put("urn:x:new", {"title": "x"}, T2, check=as_read(None))
    registry.things.remove("lamp-1", check=as_read(second))


def test_no_two_states_have_the_same_change(registry: Registry) -> None:
    seen: list[Thing] = []
    for _ in range(2):
        seen.append(registry.things.create(LAMP, T0))
        seen.append(registry.things.patch("lamp-1", {"title": "Light"}, T0))
        registry.things.remove("lamp-1")
    assert len({thing.change for thing in seen}) == len(seen)
    edition = registry.things.edition()
    registry.things.create(LAMP, T1)
    assert registry.things.edition() > edition


def test_nothing_changed_is_no_new_version(registry: Registry) -> None:
    thing = registry.things.create(LAMP, T0)
    version = registry.things.version()
    assert registry.things.put("lamp-1", thing.td, T1) == (thing, False)
    assert registry.things.patch("lamp-1", {"title": "Lamp"}, T1) == thing
    assert registry.things.adopt("lamp-1", T1) == thing
    assert registry.things.version() == version


def test_version_grows_with_every_change(registry: Registry) -> None:
    versions = [registry.things.version()]
    for change in (
        lambda: registry.things.create(LAMP, T0),
        lambda: registry.things.put("lamp-1", {**LAMP, "title": "x"}, T1),
        lambda: registry.things.patch("lamp-1", {"title": "y"}, T1),
        lambda: registry.things.observe([seen("dev")], T1),
        lambda: registry.things.adopt("dev", T1),
        lambda: registry.things.remove("dev"),
    ):
        change()
        versions.append(registry.things.version())
    assert versions == sorted(set(versions))


def test_a_removed_thing_is_gone_and_its_name_free(registry: Registry) -> None:
    registry.things.create(LAMP, T0)
    registry.things.remove(LAMP["id"])
    with pytest.raises(NotFoundError):
        registry.things.get("lamp-1")
    assert registry.things.create(LAMP, T1).version == 1


def test_forms_and_registration_that_come_back_are_not_kept(registry: Registry) -> None:
    thing = registry.things.create(LAMP, T0)
    served = with_forms(thing.td, "http://h", mqtt="mqtt://h") | {"registration": {"created": "2026-11-22T00:00:00Z"}}
    stored = registry.things.put("lamp-1", served, T1)[0].td
    assert {**stored, "@context": thing.td["@context"]} == thing.td


def test_text_of_any_kind_is_kept(registry: Registry) -> None:
    title = "灯 \x00 'quoted\" %_\\ 💡"
    thing = registry.things.create({**LAMP, "title": title}, T0)
    assert registry.things.get("lamp-1").td["title"] == title
    assert thing.title == title.replace("\x00", "")
    assert registry.things.list(search="灯").total == 1


def test_an_unknown_device_becomes_a_discovered_thing(registry: Registry) -> None:
    assert registry.things.observe([seen("dev", "temperature_c", -3.0, 21.0), seen("dev", "humidity", 40, 50)], T0) == 1
    thing = registry.things.get("urn:allthings:dev")
    assert (thing.name, thing.title, thing.state, thing.version) == ("dev", "dev", "discovered", 1)
    assert thing.td["properties"]["temperature_c"]["unit"] == "Cel"
    assert registry.things.put("dev", thing.td, T1)[0].state == "adopted"


def test_seeing_the_same_again_changes_nothing(registry: Registry) -> None:
    registry.things.observe([seen("dev")], T0)
    version = registry.things.version()
    assert registry.things.observe([seen("dev"), seen("dev", low=1.5)], T1) == 0
    assert registry.things.observe([], T1) == 0
    assert registry.things.version() == version


def test_new_properties_are_added_to_any_thing_and_a_persons_stay(registry: Registry) -> None:
    registry.things.create(LAMP, T0)
    registry.things.observe([SeenProperty("lamp-1", "on", Kind.STRING), seen("lamp-1", "power_w")], T1)
    thing = registry.things.get("lamp-1")
    assert thing.td["properties"]["on"] == {"type": "boolean"}
    assert thing.td["properties"]["power_w"][INFERRED] is True
    assert thing.td["properties"]["power_w"]["unit"] == "W"
    assert {"allthings": "https://allthings.example/ns#"} in thing.td["@context"]
    assert (thing.state, thing.version, thing.modified_ns) == ("adopted", 2, T1)
    registry.things.patch("lamp-1", {"properties": {"power_w": {"unit": "kW"}}}, T2)
    assert registry.things.observe([seen("lamp-1", "power_w", -1e6, 1e6)], T2) == 0


def test_names_that_cannot_be_are_left_out(registry: Registry) -> None:
    wrong = [seen("a/b"), seen("ä"), seen("dev", "a/b"), seen("dev", ""), seen("dev", "x" * 129), seen("x" * 129)]
    assert registry.things.observe(wrong, T0) == 0
    assert registry.things.observe([*wrong, seen("dev")], T0) == 1


def test_a_description_has_a_limit_for_devices_too(registry: Registry) -> None:
    flood = [SeenProperty("dev", f"p{number}", Kind.BOOLEAN) for number in range(5_000)]
    registry.things.observe(flood, T0)
    thing = registry.things.get("dev")
    assert len(thing.td["properties"]) == 2_000
    assert registry.things.patch("dev", {"title": "Still editable"}, T1).title == "Still editable"
    long_names = [SeenProperty("dev-2", f"{number:0128}", Kind.BOOLEAN) for number in range(2_000)]
    registry.things.observe(long_names[:500], T0)
    registry.things.observe(long_names, T1)
    assert len(registry.things.get("dev-2").td["properties"]) == 500


def test_discovered_things_have_a_limit(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allthings.registry.seen.DISCOVERED_MAX", 3)
    assert registry.things.observe([seen(f"dev-{number}") for number in range(10)], T0) == 3
    assert registry.things.observe([seen("dev-9"), seen("dev-0", "other")], T1) == 1
    assert registry.things.list().total == 3


def test_adopting(registry: Registry) -> None:
    registry.things.observe([seen("dev")], T0)
    thing = registry.things.adopt("dev", T1, title="Freezer")
    assert (thing.state, thing.title, thing.version) == ("adopted", "Freezer", 2)
    assert thing.td["title"] == "Freezer"
    assert thing.td["properties"]["t_c"][INFERRED] is True
    with pytest.raises(InvalidTdError):
        registry.things.adopt("dev", T1, title="x" * 2_000)


def test_a_description_for_a_discovered_thing_adopts_it(registry: Registry) -> None:
    registry.things.observe([seen("lamp-1", "power_w"), seen("lamp-1", "on", 0, 1)], T0)
    token = registry.tokens.create("device", "lamp-1", "", T0)
    thing = registry.things.create(LAMP, T1)
    assert (thing.name, thing.id, thing.state, thing.created_ns) == ("lamp-1", LAMP["id"], "adopted", T0)
    assert thing.td["properties"]["on"] == {"type": "boolean"}
    assert thing.td["properties"]["power_w"][INFERRED] is True
    assert registry.tokens.verify_device("lamp-1", token.secret)
    with pytest.raises(NotFoundError):
        registry.things.get("urn:allthings:lamp-1")
    assert registry.things.observe([seen("lamp-1", "power_w")], T2) == 0


def test_all_types_follows_every_change(registry: Registry, url: str) -> None:
    other = Registry(url)
    assert registry.things.all_types() == {}
    other.things.create(LAMP, T0)
    first = registry.things.all_types()
    assert first == {"lamp-1": {"on": PropertyType(type="boolean", read_only=False)}}
    other.things.observe([seen("dev")], T1)
    second = registry.things.all_types()
    assert second["dev"] == {"t_c": PropertyType(unit="Cel")}
    assert second["lamp-1"] is first["lamp-1"]
    assert first.keys() == {"lamp-1"}
    other.things.remove("dev")
    other.things.create({"title": "new"}, T1, name="new")
    assert registry.things.all_types().keys() == {"lamp-1", "new"}
    assert registry.things.all_types() is registry.things.all_types()
    other.close()


def test_the_types_of_strict_things(registry: Registry) -> None:
    td = {"title": "Tank", "properties": {"level": {"type": "number", "maximum": 100}}}
    registry.things.create(td | {"allthings:strict": True}, T0, "tank")
    registry.things.create(td, T0, "other")
    assert registry.things.strict_types() == {
        "tank": {"level": PropertyType(type="number", maximum=100.0, read_only=False)}
    }
    registry.things.patch("other", {"allthings:strict": True}, T0)
    registry.things.patch("tank", {"properties": {"level": {"maximum": 50}}}, T0)
    strict = registry.things.strict_types()
    assert {name: types["level"].maximum for name, types in strict.items()} == {"tank": 50.0, "other": 100.0}
    registry.things.patch("tank", {"allthings:strict": None}, T0)
    registry.things.remove("other")
    assert registry.things.strict_types() == {}


@pytest.mark.parametrize("wrong", [{"allthings:strict": "yes"}, {"allthings:tenant": "a/b"}, {"allthings:tenant": 1}])
def test_our_own_members_are_checked(registry: Registry, wrong: dict[str, object]) -> None:
    with pytest.raises(BadInputError, match="must be"):
        registry.things.create({"title": "x", **wrong}, T0)
