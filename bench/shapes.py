"""The shapes of load that publishing is measured with, and what is asked of each."""

from __future__ import annotations

from typing import NamedTuple


class Shape(NamedTuple):
    """Connections, messages that each keeps unacknowledged, and the least ratio to mosquitto."""

    connections: int
    in_flight: int
    ratio_min: float

    @property
    def name(self) -> str:
        return f"{self.connections} x {self.in_flight}"


SHAPES = (Shape(50, 100, 2.0), Shape(1, 500, 2.0), Shape(1000, 1, 0.8))
