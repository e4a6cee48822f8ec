"""What lists need of every thing, in memory, kept up with the registry.

The console's list joins the registry with the twin (online, last seen, main value) and sorts by either, which no
database can do for us. An entry is a few hundred bytes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from allthings.registry.registry import Registry
from allthings.registry.things import Thing
from allthings.web.pools import Pool

_PAGE: Final = 1_000
#: Usually little has changed, and a description costs time to read.
_CHANGED_PAGE: Final = 50
#: Changes are read alone at most this often in a row; then everything is read again, whatever the clocks said.
_CHANGES_IN_A_ROW_MAX: Final = 100
#: One for all: few things have titles in several languages.
_NO_TITLES: Final[dict[str, str]] = {}
_NUMBER: Final = re.compile("[0-9]+")
#: What of a title sorts it; a place in the list, which holds it, is part of an address.
_ORDER_MAX: Final = 200


class MainProperty(NamedTuple):
    """The property that stands for the whole thing in a list."""

    name: str
    title: str
    titles: dict[str, str]
    unit: str


class Item(NamedTuple):
    """One thing as lists need it. `search` is the text that a search looks into, without capitals; `order` sorts it
    by title."""

    name: str
    id: str
    title: str
    titles: dict[str, str]
    types: tuple[str, ...]
    state: str
    created_ns: int
    modified_ns: int
    version: int
    properties: int
    main: tuple[MainProperty, ...]
    search: str
    order: str


class Snapshot(NamedTuple):
    """All things at one version of the registry."""

    version: int
    items: dict[str, Item]


class Catalogue:
    """Gives the newest snapshot; a change costs one page, not a reading of all things."""

    def __init__(self, registry: Registry, pool: Pool) -> None:
        self._registry = registry
        self._pool = pool
        self._lock = asyncio.Lock()
        self._snapshot = Snapshot(-1, {})
        self._changes = 0

    async def snapshot(self) -> Snapshot:
        """Everything that the registry holds now. Not to be changed by the caller."""
        async with self._lock:
            version = await self._pool.run(self._registry.things.version)
            if version != self._snapshot.version:
                self._snapshot = Snapshot(version, await self._pool.run(self._read, version))
            return self._snapshot

    def _read(self, version: int) -> dict[str, Item]:
        self._changes += 1
        if self._snapshot.items and self._changes <= _CHANGES_IN_A_ROW_MAX:
            items = dict(self._snapshot.items)
            if self._read_changes(items, version - self._snapshot.version):
                return items
        self._changes = 0
        return self._read_everything()

    def _read_changes(self, items: dict[str, Item], changes: int) -> bool:
        """Bring what was modified last into `items`; False if that cannot be all of so many changes.

        Every change raises the version of a thing, or removes one. So things are missing when the versions found
        have not risen by the number of changes (a clock was set back, and a change sorts far behind), or when the
        number of things is another one (some were removed).
        """
        after, rise = "", 0
        while True:
            page = self._registry.things.list(sort="modified", descending=True, limit=_CHANGED_PAGE, after=after)
            changed = [one for one in page.things if _differs(items.get(one.name), one)]
            for one in changed:
                rise += one.version - (items[one.name].version if one.name in items else 0)
                items[one.name] = _item(one)
            after = page.next
            if len(changed) < len(page.things) or not after:
                return len(items) == page.total and rise >= changes

    def _read_everything(self) -> dict[str, Item]:
        items: dict[str, Item] = {}
        after = ""
        while True:
            page = self._registry.things.list(sort="name", limit=_PAGE, after=after)
            items.update({one.name: _item(one) for one in page.things})
            after = page.next
            if not after:
                return items


def _differs(item: Item | None, thing: Thing) -> bool:
    return item is None or (item.version, item.modified_ns) != (thing.version, thing.modified_ns)


def _item(thing: Thing) -> Item:
    td = thing.td
    types = td.get("@type", [])
    types = [types] if isinstance(types, str) else types
    properties: dict[str, Any] = td.get("properties", {})
    titles = td.get("titles") or _NO_TITLES
    searched: Iterable[str] = [
        thing.name,
        thing.id,
        thing.title,
        *titles.values(),
        td.get("description", ""),
        *types,
    ]
    return Item(
        name=thing.name,
        id=thing.id,
        title=thing.title,
        titles=titles,
        types=tuple(types),
        state=thing.state,
        created_ns=thing.created_ns,
        modified_ns=thing.modified_ns,
        version=thing.version,
        properties=len(properties),
        main=_main(properties),
        search="\n".join(searched)[:2_000].casefold(),
        order=natural_order(thing.title),
    )


def natural_order(title: str) -> str:
    """Sorts as people do: capitals do not matter, and `Room 9` comes before `Room 10`."""

    def by_size(number: re.Match[str]) -> str:
        digits = number[0].lstrip("0")
        return f"{len(digits):03}{digits}"

    return _NUMBER.sub(by_size, title.casefold()[:_ORDER_MAX])[:_ORDER_MAX]


def _main(properties: dict[str, Any]) -> tuple[MainProperty, ...]:
    """Candidates, the best first: numbers with a unit, then other numbers, then the rest; as the description orders."""

    def rank(affordance: dict[str, Any]) -> int:
        number = affordance.get("type") in ("number", "integer")
        return 0 if number and affordance.get("unit") else 1 if number else 2

    best = sorted(properties.items(), key=lambda one: rank(one[1]))[:3]
    return tuple(
        MainProperty(name, str(one.get("title") or name), one.get("titles") or _NO_TITLES, str(one.get("unit") or ""))
        for name, one in best
    )
