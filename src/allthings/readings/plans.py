"""What is remembered of topics and shapes of payloads, so that the hot loop looks nothing up twice.

A *plan* is one thing with one sequence of property names: where the values of such a payload go, and which values
each property admits. Plans hold arrays, so that a block's values are checked in columns (see `columns.py`).
"""

from __future__ import annotations

import threading
from typing import Any, Final, cast

import numpy as np

from allthings.readings.payload import RefusedError
from allthings.readings.settings import CELLS_MAX, PROPERTIES_MAX, ROUTES_MAX, SHAPES_MAX
from allthings.readings.topics import Target, bad_name, parse_topic
from allthings.things.names import valid_property_name
from allthings.things.types import PropertyType

TIME_KEY: Final = "@time"

#: Classes of property types by how their values are checked.
ANY, NUMBER, INTEGER, BOOLEAN, STRING, INSPECT = range(6)

_CLASSES: Final = {"": ANY, "number": NUMBER, "integer": INTEGER, "boolean": BOOLEAN, "string": STRING}
_FREE: Final = (ANY, -np.inf, np.inf)


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
    """One thing with one sequence of property names; arrays have one element per property.

    `simple`: an object's values are the plan's, in order, and have no time; else they must be picked by name.
    `constrained`: some property has a declared type. `as_text`: the first property is declared a string.
    `fault`: the reason for the names that were left out, or "".
    """

    __slots__ = (
        "as_text",
        "classes",
        "constrained",
        "fault",
        "high",
        "low",
        "names",
        "properties",
        "simple",
        "thing",
        "timed",
        "types",
    )

    def __init__(self, thing: int, names: tuple[str, ...], numbers: list[int], types: list[PropertyType | None]):
        self.thing = thing
        self.names = names
        self.properties = np.array(numbers, np.int32)
        self.types = types
        classified = [classify(one) for one in types]
        self.classes = np.array([one[0] for one in classified], np.intp)
        self.low = np.array([one[1] for one in classified], np.float64)
        self.high = np.array([one[2] for one in classified], np.float64)
        self.constrained = any(one != _FREE for one in classified)
        self.as_text = bool(types) and types[0] is not None and types[0].type == "string"
        self.simple = False
        self.timed = False
        self.fault = ""


def classify(kind: PropertyType | None) -> tuple[int, float, float]:
    """How a property's values are checked: class, lowest and highest number."""
    if kind is None:
        return _FREE
    low = -np.inf if kind.minimum is None else kind.minimum
    high = np.inf if kind.maximum is None else kind.maximum
    if kind.enum or kind.schema is not None:
        return INSPECT, -np.inf, np.inf
    return _CLASSES.get(kind.type, INSPECT), low, high


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
        self._cells = 0
        self.things = Names()
        self.properties = Names()

    @property
    def full(self) -> bool:
        """Whether so much is remembered that it is better to start anew."""
        return len(self._routes) > ROUTES_MAX or self._cells > CELLS_MAX

    def renewed(self, types: _Types) -> Plans:
        """Plans for newer types; what concerns things whose types are the same is kept."""
        fresh = Plans(types)
        fresh.things, fresh.properties, fresh._cells = self.things, self.properties, self._cells
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
        self._cells += len(names) + 1
        types = self._types.get(thing, {})
        numbers = [self.properties.number(name) for name in names]
        return Plan(self.things.number(thing), names, numbers, [types.get(name) for name in names])
