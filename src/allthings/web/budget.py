"""How much memory what is under way holds together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Budget:
    """Bytes that are held for a while. `freed` is called when some are held no more."""

    def __init__(self, bytes_max: int, freed: Callable[[], None]) -> None:
        self._bytes_max = bytes_max
        self._freed = freed
        self.held_bytes = 0

    def room(self) -> bool:
        """Whether something more may begin, however much it will hold."""
        return self.held_bytes < self._bytes_max

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """While this is open so many bytes more are held."""
        self.held_bytes += size
        try:
            yield
        finally:
            self.held_bytes -= size
            self._freed()
