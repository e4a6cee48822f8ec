"""Readings of things and properties that were removed since: they are no news, however late they are read."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from allthings.registry import Removals


def not_removed(readings: pa.RecordBatch, removals: Removals) -> pa.RecordBatch:
    """Those of the readings (schema DECODED) that came after the removals of their thing and property.

    Mostly that is all: only readings which were under way when something was removed are looked at.
    """
    positions = readings.column("position").to_numpy()
    if not removals or positions.min() > removals.newest:
        return readings
    things, names = readings.column("thing"), readings.column("property")
    known_things, known_names = things.dictionary.to_pylist(), names.dictionary.to_pylist()
    pairs = things.indices.to_numpy().astype(np.int64) * len(known_names) + names.indices.to_numpy()
    found, inverse = np.unique(pairs, return_inverse=True)
    bounds = np.array(
        [
            removals.of_property(known_things[pair // len(known_names)], known_names[pair % len(known_names)])
            for pair in found.tolist()
        ],
        np.uint64,
    )
    later = positions > bounds[inverse]
    return readings if later.all() else readings.filter(pa.array(later))
