"""What was removed stays away until it is sent again, and what was deleted is remembered."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
from alembic import command

from allthings.registry import Deletion, Registry, SeenEvent, SeenProperty, deletions, removals
from allthings.registry.database import Database
from allthings.registry.migrate import alembic_config, migrate
from allthings.registry.sealing import Sealing
from allthings.things.errors import LimitExceededError, NotFoundError
from allthings.things.types import Kind


def seen(thing: str, name: str, position: int) -> SeenProperty:
    return SeenProperty(thing, name, Kind.NUMBER, 1.0, 2.0, position)


def properties(registry: Registry, thing: str) -> list[str]:
    return list(registry.things.get(thing).td.get("properties", {}))


def test_a_removed_thing_comes_back_only_with_something_newer(registry: Registry) -> None:
    registry.things.observe([seen("pump", "a", 5), SeenEvent("pump", "worn", 6)], 1)
    registry.things.remove("pump", position=10)
    before = registry.things.version()
    assert registry.things.observe([seen("pump", "a", 10), SeenEvent("pump", "worn", 9)], 2) == 0
    assert registry.things.version() == before
    with pytest.raises(NotFoundError):
        registry.things.get("pump")
    assert registry.things.observe([seen("pump", "a", 9), seen("pump", "b", 11)], 3) == 1
    assert properties(registry, "pump") == ["b"]
    assert registry.removals.all().of_property("pump", "a") == 10


@pytest.mark.parametrize("way", ["patch", "put", "none"])
def test_a_removed_property_comes_back_only_with_something_newer(registry: Registry, way: str) -> None:
    registry.things.observe([seen("pump", "a", 5), seen("pump", "b", 5), SeenEvent("pump", "worn", 5)], 1)
    if way == "patch":
        registry.things.patch("pump", {"properties": {"b": None}, "events": None}, 2, position=7)
    elif way == "put":
        kept = {"title": "Pump", "properties": {"a": {"type": "number"}}}
        registry.things.put("pump", kept, 2, position=7)
    else:
        registry.things.patch("pump", {"properties": None, "events": {"worn": None}}, 2, position=7)
    version = registry.things.get("pump").version
    registry.things.observe([seen("pump", "b", 7), SeenEvent("pump", "worn", 7)], 3)
    assert registry.things.get("pump").version == version
    assert "b" not in properties(registry, "pump")
    known = registry.removals.of("pump")
    assert known.of_property("pump", "b") == known.of_event("pump", "worn") == 7
    assert known.of_property("pump", "a") == (7 if way == "none" else 0)
    registry.things.observe([seen("pump", "b", 8), SeenEvent("pump", "worn", 8)], 4)
    assert "b" in properties(registry, "pump")
    assert registry.things.get("pump").td["events"] == {"worn": {"allthings:inferred": True}}


def test_a_refused_change_removes_nothing(registry: Registry) -> None:
    registry.things.observe([seen("pump", "a", 5)], 1)

    def refuse(_thing: object) -> None:
        raise LookupError("it has changed")

    with pytest.raises(LookupError, match="has changed"):
        registry.things.patch("pump", {"properties": None}, 2, check=refuse, position=7)
    with pytest.raises(LookupError, match="has changed"):
        registry.things.remove("pump", check=refuse, position=7)
    assert not registry.removals.all()


def test_a_thing_made_anew_keeps_the_memory(registry: Registry) -> None:
    registry.things.observe([seen("pump", "a", 5)], 1)
    registry.things.patch("pump", {"properties": None}, 2, position=6)
    registry.things.remove("pump", position=7)
    registry.things.create({"title": "Pump"}, 3, name="pump")
    assert registry.things.observe([seen("pump", "a", 7)], 4) == 0
    found = registry.removals.all()
    assert (found.of_thing("pump"), found.of_property("pump", "a"), found.newest) == (7, 7, 7)


def test_events_alone_make_a_thing(registry: Registry) -> None:
    assert registry.things.observe([SeenEvent("bell", "rung", 3)], 1) == 1
    thing = registry.things.get("bell")
    assert (thing.state, thing.td["properties"]) == ("discovered", {})
    assert thing.td["events"] == {"rung": {"allthings:inferred": True}}
    assert registry.things.observe([SeenEvent("bell", "rung", 4)], 2) == 0
    adopted = registry.things.create({"title": "Bell"}, 3, name="bell")
    assert adopted.td["events"] == {"rung": {"allthings:inferred": True}}


def test_the_memory_is_bounded(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removals, "REMOVALS_MAX", 3)
    for place in range(1, 6):
        registry.things.create({"title": "x"}, 1, name=f"t{place}")
        registry.things.remove(f"t{place}", position=place)
    found = registry.removals.all()
    assert [found.of_thing(f"t{place}") for place in range(1, 6)] == [0, 0, 3, 4, 5]


def test_another_log_begins_anew(registry: Registry) -> None:
    """What is behind its end is news, whatever the positions of the former log were."""
    for name, position in (("old", 3), ("new", 9)):
        registry.things.create({"title": name}, 1, name=name)
        registry.things.remove(name, position=position)
        registry.deletions.note(Deletion((name,), (), None, None, position), 1)
    registry.removals.clamp(5)
    registry.deletions.clamp(5)
    found = registry.removals.all()
    assert (found.of_thing("old"), found.of_thing("new")) == (3, 5)
    assert [one.deletion.upto for one in registry.deletions.all()] == [3, 5]


def test_deletions_are_kept_until_the_log_has_dropped_them(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [
        Deletion(("pump",), ("a", "b"), 5, None, 100),
        Deletion(("pump", "lamp"), (), None, -7, 200),
        Deletion(("lamp",), (), 1, 2, 300),
    ]
    ids = [registry.deletions.note(one, 1) for one in wanted]
    assert [(one.deletion, one.done) for one in registry.deletions.all()] == [(one, False) for one in wanted]
    registry.deletions.done(ids[0])
    registry.deletions.done(ids[2])
    assert registry.deletions.drop_before(250) == 1
    assert [(one.id, one.done) for one in registry.deletions.all()] == [(ids[1], False), (ids[2], True)]
    monkeypatch.setattr(deletions, "DELETIONS_MAX", 2)
    with pytest.raises(LimitExceededError, match="deletions are remembered"):
        registry.deletions.note(wanted[0], 2)


def test_what_an_older_version_removed_is_settled_once(empty_url: str) -> None:
    """A registry of revision 0005 knows not why the history has more than it does: after the upgrade it is removed."""
    registry = Registry(empty_url)
    registry.migrate()
    registry.things.create({"title": "Pump", "properties": {"a": {}}}, 1, name="pump")
    database = Database(empty_url)
    config = alembic_config()
    with database.write_connection() as connection:
        config.attributes.update(connection=connection, sealing=Sealing())
        command.downgrade(config, "0005")
    migrate(database, Sealing())
    series = [("pump", "a"), ("pump", "b"), ("gone", "x"), ("gone", "y"), ("no name", "x")]
    assert registry.removals.settle(lambda: series, 50) == 2
    found = registry.removals.all()
    assert (found.of_property("pump", "a"), found.of_property("pump", "b"), found.of_thing("gone")) == (0, 50, 50)
    assert registry.removals.settle(lambda: [("later", "x")], 60) == 0
    registry.close()
    database.close()


def test_a_new_registry_has_nothing_to_settle(registry: Registry) -> None:
    """A registry that was lost is filled again from the history."""
    assert registry.removals.settle(lambda: [("pump", "a")], 50) == 0
    assert registry.things.observe([seen("pump", "a", 5)], 1) == 1


def test_the_tables_hold_names_of_any_kind(registry: Registry, url: str) -> None:
    name = "ü" * 128
    registry.things.observe([seen("t", name, 1)], 1)
    registry.things.patch("t", {"properties": {name: None}}, 2, position=2)
    registry.deletions.note(Deletion(("t",), (name,), None, None, 2), 3)
    assert registry.removals.all().of_property("t", name) == 2
    assert registry.deletions.all()[0].deletion.properties == (name,)
    database = Database(url)
    with database.read() as session:
        assert json.loads(session.execute(sa.text("SELECT properties FROM deletions")).scalar_one()) == [name]
    database.close()
