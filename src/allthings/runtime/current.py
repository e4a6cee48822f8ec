"""What the twin begins with: what the history has, without what was removed."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

from allthings.historian.history import History
from allthings.registry import Removals


class Past(NamedTuple):
    """What `Twin.load` takes."""

    current: pa.Table
    heard: list[tuple[str, int, int]]
    events: list[tuple[str, str, int]]


def past(history: History, removals: Removals) -> Past:
    """Everything that is current as far as the history knows. Blocks. Raises HistorianUnavailableError."""
    return Past(history.current(removals=removals), history.heard(), history.event_names())
