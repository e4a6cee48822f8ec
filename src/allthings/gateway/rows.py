"""Many small things by name in few rows of a table: many that change together are few writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Final

from allthings.gateway.kept import encode_several
from allthings.log.table import key_of

#: A thing as large as this has a row of its own.
_OWN_ROW_BYTES: Final = 16 * 1024


class Rows:
    """Which of `count` rows each name stands in, and whose things have changed since they were last kept."""

    def __init__(self, count: int) -> None:
        self._count = count
        #: The names by the number of the row.
        self.names: defaultdict[int, set[str]] = defaultdict(set)
        self.dirty: set[str] = set()
        #: Names with a row of their own.
        self._own: set[str] = set()

    def put(self, name: str) -> None:
        """There is something new of this name."""
        self.names[self._row_of(name)].add(name)
        self.dirty.add(name)

    def remove(self, name: str) -> None:
        """There is nothing of this name any more."""
        self.names[self._row_of(name)].discard(name)
        self.dirty.add(name)

    def loaded(self, key: str, name: str) -> None:
        """What there is of this name stood in the row with this key."""
        if key.startswith("own-"):
            self._own.add(name)

    def take_dirty(self) -> set[str]:
        """Whose rows are to be written; the caller gives them back to `dirty` if that fails."""
        dirty, self.dirty = self.dirty, set()
        return dirty

    def encode(self, names: Iterable[str], one: Callable[[str], bytes | None]) -> list[tuple[str, bytes]]:
        """The rows in which these names stand, whole: key and value, b"" for one that is empty now.

        `one` gives what there is of a name, encoded.
        """
        rows: list[tuple[str, bytes]] = []
        numbers: set[int] = set()
        for name in names:
            numbers.add(self._row_of(name))
            encoded = one(name)
            if encoded is not None and len(encoded) >= _OWN_ROW_BYTES:
                self._own.add(name)
                rows.append((f"own-{key_of(name)}", _row([encoded])))
            elif name in self._own:
                self._own.discard(name)
                rows.append((f"own-{key_of(name)}", b""))
        for number in numbers:
            small = [
                encoded
                for name in self.names[number]
                if (encoded := one(name)) is not None and len(encoded) < _OWN_ROW_BYTES
            ]
            rows.append((f"row-{number}", _row(small)))
        return rows

    def _row_of(self, name: str) -> int:
        return int.from_bytes(blake2b(name.encode(), digest_size=2).digest()) % self._count


def _row(encoded: list[bytes]) -> bytes:
    return encode_several(encoded) if encoded else b""
