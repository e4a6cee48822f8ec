"""What is known of the values of all plans, in columns: a *cell* is one property of one plan.

Decoding looks up the cells of a whole block at once, whoever's they are. Cells and plans are only ever added, and a
column that becomes too small is replaced by a longer one, so that threads need no lock to read.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from allthings.things.types import PropertyType

#: Classes of property types by how their values are checked.
ANY, NUMBER, INTEGER, BOOLEAN, STRING, INSPECT = range(6)

_CLASSES: Final = {"": ANY, "number": NUMBER, "integer": INTEGER, "boolean": BOOLEAN, "string": STRING}
_FREE: Final = (ANY, -np.inf, np.inf)
_FIRST_ROOM: Final = 256

Column = np.ndarray[Any, Any]


class Cells:
    """Columns over cells: `properties` (numbers of names), `classes`, `low`, `high`, and the lists `names`, `types`.

    Columns over plans: `things` (numbers of names), `first` cell and `count` of cells, and whether `constrained`, that
    is whether some property has a declared type.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.names: list[str] = []
        self.types: list[PropertyType | None] = []
        self._plans = 0
        self.properties = np.zeros(_FIRST_ROOM, np.int32)
        self.classes = np.zeros(_FIRST_ROOM, np.intp)
        self.low = np.zeros(_FIRST_ROOM, np.float64)
        self.high = np.zeros(_FIRST_ROOM, np.float64)
        self.things = np.zeros(_FIRST_ROOM, np.int32)
        self.first = np.zeros(_FIRST_ROOM, np.int64)
        self.count = np.zeros(_FIRST_ROOM, np.int64)
        self.constrained = np.zeros(_FIRST_ROOM, np.bool_)

    def __len__(self) -> int:
        return len(self.names) + self._plans

    def add(
        self, thing: int, names: Sequence[str], numbers: Sequence[int], types: Sequence[PropertyType | None]
    ) -> int:
        """A plan's cells; the number of the plan."""
        with self._lock:
            first, plan = len(self.names), self._plans
            self._make_room(first + len(names), plan + 1)
            end = first + len(names)
            classified = [classify(one) for one in types]
            self.properties[first:end] = numbers
            self.classes[first:end] = [one[0] for one in classified]
            self.low[first:end] = [one[1] for one in classified]
            self.high[first:end] = [one[2] for one in classified]
            self.things[plan], self.first[plan], self.count[plan] = thing, first, len(names)
            self.constrained[plan] = any(one != _FREE for one in classified)
            self.names.extend(names)
            self.types.extend(types)
            self._plans += 1
            return plan

    def _make_room(self, cells: int, plans: int) -> None:
        for needed, names in (
            (cells, ("properties", "classes", "low", "high")),
            (plans, ("things", "first", "count", "constrained")),
        ):
            for name in names:
                column = getattr(self, name)
                if needed > len(column):
                    setattr(self, name, np.concatenate((column, np.zeros(max(needed, len(column)), column.dtype))))


def classify(kind: PropertyType | None) -> tuple[int, float, float]:
    """How a property's values are checked: class, lowest and highest number."""
    if kind is None:
        return _FREE
    low = -np.inf if kind.minimum is None else kind.minimum
    high = np.inf if kind.maximum is None else kind.maximum
    if kind.enum or kind.schema is not None:
        return INSPECT, -np.inf, np.inf
    return _CLASSES.get(kind.type, INSPECT), low, high
