"""What decoding must know of things."""

from __future__ import annotations

from allthings.readings.plans import Plans
from allthings.things.types import PropertyType


class Model:
    """A snapshot of the things' property types: `types[thing name][property name]`. Never changed once made.

    Only what a person or a device's own description said belongs here; a type that was merely inferred from
    readings must not make later readings rejects. A property without a type takes any value.
    """

    __slots__ = ("_plans", "types")

    def __init__(self, types: dict[str, dict[str, PropertyType]] | None = None) -> None:
        self.types = {} if types is None else types
        self._plans = Plans(self.types)

    def renewed(self, types: dict[str, dict[str, PropertyType]]) -> Model:
        """A newer snapshot that keeps what decoding has learned of the things that are the same."""
        model = Model.__new__(Model)
        model.types = types
        model._plans = self._plans.renewed(types)
        return model

    def plans(self) -> Plans:
        """What decoding remembers under this snapshot; for one block. Safe to call from any thread."""
        if self._plans.full:
            self._plans = Plans(self.types)
        return self._plans
