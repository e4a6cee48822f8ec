"""The catalogue keeps up with the registry, whatever happened to it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from allthings.registry.registry import Registry
from allthings.things.errors import NotFoundError
from allthings.web import catalogue
from allthings.web.catalogue import Catalogue, natural_order
from allthings.web.pools import Pool


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    registry = Registry(f"sqlite:///{tmp_path}/registry.db")
    registry.migrate()
    yield registry
    registry.close()


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool("registry", 1)
    yield pool
    pool.close()


@pytest.mark.parametrize("seed", range(3))
async def test_it_equals_one_that_is_read_anew(
    registry: Registry, pool: Pool, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "_CHANGED_PAGE", 2)
    chance = random.Random(seed)
    kept = Catalogue(registry, pool)
    for step in range(15):
        for _ in range(chance.randrange(4)):
            name = f"t-{chance.randrange(8)}"
            # The clock stands still now and then: changes of one instant have no order.
            now = step // 3 + 1
            try:
                if chance.random() < 0.3:
                    registry.things.remove(name)
                else:
                    registry.things.put(name, {"title": f"{name} {step}"}, now)
            except NotFoundError:
                continue
        fresh = await Catalogue(registry, pool).snapshot()
        assert await kept.snapshot() == fresh


async def test_the_best_property_comes_first(registry: Registry, pool: Pool) -> None:
    properties = {"note": {"type": "string"}, "level": {"type": "number"}, "heat": {"type": "number", "unit": "Cel"}}
    registry.things.put("t", {"title": "T", "@type": "Pump", "properties": properties}, 1)
    item = (await Catalogue(registry, pool).snapshot()).items["t"]
    assert [one.name for one in item.main] == ["heat", "level", "note"]
    assert item.types == ("Pump",)
    assert "pump" in item.search


async def test_nothing_is_read_when_nothing_has_changed(registry: Registry, pool: Pool) -> None:
    kept = Catalogue(registry, pool)
    registry.things.put("t", {"title": "T"}, 1)
    assert (await kept.snapshot()) is (await kept.snapshot())


def test_titles_sort_as_people_do() -> None:
    titles = ["", "3 lamps", "Room", "room 9", "Room 10", "ROOM 10 b", "Room 11", "Room x", "v01.2", "v1.9", "v1.10"]
    assert sorted(random.Random(1).sample(titles, len(titles)), key=natural_order) == titles
    assert natural_order("Lamp 007") == natural_order("lamp 7")
    assert len(natural_order("9" * 5_000)) <= 200
