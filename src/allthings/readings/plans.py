"""What is remembered of topics and shapes of payloads, so that the hot loop looks nothing up twice.

A *plan* is one thing with one sequence of property names: where the values of such a payload go, and which values
each property admits. Both are kept in columns, so that a block's values are checked in columns (see `columns.py`).
"""

from __future__ import annotations

import threading
from typing import Any, Final, cast

from allthings.readings.cells import Cells
from allthings.readings.payload import RefusedError
from allthings.readings.settings import CELLS_MAX, PROPERTIES_MAX, ROUTES_MAX, SHAPES_MAX
from allthings.readings.topics import Target, bad_name, parse_topic
from allthings.things.names import valid_property_name
from allthings.things.types import PropertyType

TIME_KEY: Final = "@time"


class Names:
    """Numbers for names, given once and never changed. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self.names: list[str] = []

    def number(self, name: str) -> int:
        number = self._numbers.get(name)
        if number is None:
            with self._lock:
                number = self._numbers.get(name)
                if number is None:
                    number = len(self.names)
                    self.names.append(name)
                    self._numbers[name] = number
        return number


class Plan:
    """One thing with one sequence of property names. `number` is its place in the columns of `cells.Cells`.

    `simple`: an object's values are the plan's, in order, and have no time; else they must be picked by name.
    `as_text`: the first property is declared a string. `fault`: the reason for the names that were left out, or "".
    """

    __slots__ = ("as_text", "fault", "names", "number", "simple", "thing", "timed")

    def __init__(self, number: int, thing: int, names: tuple[str, ...], *, as_text: bool) -> None:
        self.number = number
        self.thing = thing
        self.names = names
        self.as_text = as_text
        self.simple = False
        self.timed = False
        self.fault = ""


class Route:
    """A topic with the plans of the payloads seen on it. `name` as in `topics.Topic`."""

    __slots__ = ("name", "plan", "plans", "target", "thing")

    def __init__(self, target: Target, thing: str = "", name: str = "") -> None:
        self.target = target
        self.thing = thing
        self.name = name
        #: By property names, for OBJECT.
        self.plans: dict[tuple[str, ...], Plan] = {}
        #: The one plan of a VALUE topic.
        self.plan: Plan | None = None


UNCLAIMED: Final = Route(Target.UNCLAIMED)
_Types = dict[str, dict[str, PropertyType]]


class Plans:
    """Routes and plans for one snapshot of the property types, bounded in memory."""

    def __init__(self, types: _Types) -> None:
        self._types = types
        self._routes: dict[str, Route] = {}
        self.cells = Cells()
        self.things = Names()
        self.properties = Names()

    @property
    def full(self) -> bool:
        """Whether so much is remembered that it is better to start anew."""
        return len(self._routes) > ROUTES_MAX or len(self.cells) > CELLS_MAX

    def renewed(self, types: _Types) -> Plans:
        """Plans for newer types; what concerns things whose types are the same is kept."""
        fresh = Plans(types)
        fresh.things, fresh.properties, fresh.cells = self.things, self.properties, self.cells
        old = self._types
        for topic, route in self._routes.copy().items():
            before, after = old.get(route.thing), types.get(route.thing)
            if before is after or before == after:
                fresh._routes[topic] = route
        return fresh

    def routes(self, topics: list[str]) -> list[Route]:
        """The route of each topic."""
        routes = list(map(self._routes.get, topics))
        if None in routes:
            return [route or self._route(topic) for route, topic in zip(routes, topics, strict=True)]
        return cast(list[Route], routes)

    def _route(self, topic: str) -> Route:
        known = self._routes.get(topic)
        if known is not None:
            return known
        target, thing, name = parse_topic(topic)
        if target is Target.UNCLAIMED:
            return UNCLAIMED
        route = Route(target, thing, name)
        if target is Target.VALUE:
            route.plan = self._plan(thing, (name,))
        self._routes[topic] = route
        return route

    def shape(self, route: Route, document: dict[str, Any]) -> Plan:
        """The plan for an object on an OBJECT route, made and remembered. Raises RefusedError."""
        if len(document) > PROPERTIES_MAX + 1:
            raise RefusedError(f"{len(document):,} properties in one object, more than {PROPERTIES_MAX:,}")
        names = tuple(document)
        kept = tuple(name for name in names if name != TIME_KEY and valid_property_name(name))
        plan = self._plan(route.thing, kept)
        plan.timed = TIME_KEY in document
        plan.simple = 0 < len(kept) == len(names)
        refused = [name for name in names if name != TIME_KEY and not valid_property_name(name)]
        if refused:
            plan.fault = bad_name(refused[0])
        if len(route.plans) >= SHAPES_MAX:
            route.plans.clear()
        route.plans[names] = plan
        return plan

    def single(self, thing: str, name: str) -> Plan:
        """A plan of one property, not remembered."""
        return self._plan(thing, (name,))

    def _plan(self, thing: str, names: tuple[str, ...]) -> Plan:
        known = self._types.get(thing, {})
        types = [known.get(name) for name in names]
        numbers = [self.properties.number(name) for name in names]
        number = self.things.number(thing)
        as_text = bool(types) and types[0] is not None and types[0].type == "string"
        return Plan(self.cells.add(number, names, numbers, types), number, names, as_text=as_text)
