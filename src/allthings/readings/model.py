"""What decoding must know of things."""

from __future__ import annotations

from dataclasses import dataclass, field

from allthings.things.types import PropertyType


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A snapshot of the things' property types: `types[thing name][property name]`.

    Only what a person or a device's own description said belongs here; a type that was merely inferred from the
    readings must not make later readings rejects.
    """

    types: dict[str, dict[str, PropertyType]] = field(default_factory=dict)
