"""What the history had on disk when it was last looked at, kept beside it: the proof of what is missing.

The engine tells of a part of a table that is gone as little as of a row that never was. So every few seconds the parts
are written down: which blocks of their table they hold, and which blocks of the log their rows came from. A part that
was written down is there, or merged into a larger one that spans its blocks, or lost.

`sequence` is the block of the log up to which everything was inserted at that moment. What came later is not written
down and is taken from the log once more after a start, so it needs no proof.

Parts may also leave because somebody wanted it (retention, a deletion): their tables are named in `leaving` before.
"""

from __future__ import annotations

import contextlib
import os
import threading
import zlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from allthings.historian import settings

_HEAD: Final = b"allthings history ledger 1 "
FILE: Final = "ledger"
#: The tables whose rows come from the log; all others are made of `readings`.
FROM_LOG: Final = ("readings", "events", "rejects")


class Part(msgspec.Struct, frozen=True, array_like=True):
    """A part of a table: blocks `first` to `last` of it, blocks `low` to `high` of the log (0 when it is made of
    other tables), times from `start_ns` up to `end_ns`."""

    table: str
    name: str
    partition: str
    first: int
    last: int
    rows: int
    digest: str
    start_ns: int
    end_ns: int
    low: int = 0
    high: int = 0


class Missing(msgspec.Struct, frozen=True):
    """Parts of one partition of a table that have to be made anew: as many rows, from these blocks of the log."""

    table: str
    partition: str
    parts: int
    rows: int
    low: int
    high: int
    start_ns: int
    end_ns: int
    reason: str = ""


class Loss(msgspec.Struct, frozen=True):
    """What is gone for good: about so many rows of a table (0: not known how many), of these things, of times from
    `start_ns` up to `end_ns`.

    `things` are the first by name, `more` counts the others.
    """

    table: str
    rows: int
    start_ns: int
    end_ns: int
    things: list[str] = []
    more: int = 0


class Kept(msgspec.Struct):
    """All that is written down. `things` has of each thing the first and the last time of its readings."""

    sequence: int = 0
    progress: dict[str, int] = {}
    parts: list[Part] = []
    leaving: list[str] = []
    broken: list[str] = []
    missing: list[Missing] = []
    losses: list[Loss] = []
    things: dict[str, tuple[int, int]] = {}


class Ledger:
    """The ledger of one history, in a folder of its own; None keeps it in memory only. Called from any thread."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.kept = Kept()
        #: Whether there was one when it was last read, and why it could not be used ("" when it could).
        self.found = False
        self.trouble = ""
        #: The block of the log up to which everything is inserted.
        self.sequence = 0
        self._lock = threading.Lock()
        #: Blocks of the log whose inserts may have made parts that are not written down yet.
        self._pending: tuple[int, int] | None = None
        self._under_way: list[tuple[int, int]] = []
        self._changed = False

    # The file

    def read(self) -> None:
        """Begin with what is on disk."""
        self.kept, self.found, self.trouble = Kept(), False, ""
        self._pending, self._under_way, self._changed, self.sequence = None, [], False, 0
        if self.folder is None:
            return
        try:
            data = (self.folder / FILE).read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            self.trouble = f"its ledger cannot be read: {error.strerror}"
            return
        head, _, body = data.partition(b"\n")
        if head != _HEAD + b"%08x" % zlib.crc32(body):
            self.trouble = "its ledger is damaged"
            return
        try:
            self.kept = msgspec.json.decode(body, type=Kept)
        except msgspec.DecodeError as error:
            self.trouble = f"its ledger is not one of ours: {error}"
            return
        self.found = True
        self.sequence = self.kept.sequence

    def write(self) -> None:
        """Put it on disk; it is there when this returns. Raises OSError."""
        with self._lock:
            body = msgspec.json.encode(self.kept)
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            replace(self.folder / FILE, _HEAD + b"%08x\n" % zlib.crc32(body) + body)

    # What is inserted

    def begin(self, after: int, upto: int, readings: Sequence[pa.RecordBatch]) -> tuple[int, int]:
        """Blocks after `after` up to `upto` of the log are about to be inserted; to be given to `end`."""
        seen = _things(readings)
        with self._lock:
            self._changed = True
            blocks = (after + 1, upto)
            self._under_way.append(blocks)
            self._pending = _joined([blocks, *([self._pending] if self._pending else [])])
            things = self.kept.things
            for thing, first, last in seen:
                known = things.get(thing)
                if known is not None:
                    things[thing] = (min(known[0], first), max(known[1], last))
                elif len(things) < settings.LEDGER_THINGS_MAX:
                    things[thing] = (first, last)
        return blocks

    def end(self, blocks: tuple[int, int], *, inserted: bool) -> None:
        """An insert has ended."""
        with self._lock:
            self._under_way.remove(blocks)
            if inserted:
                self.sequence = max(self.sequence, blocks[1])

    # What is on disk

    @property
    def changed(self) -> bool:
        return self._changed

    def touch(self) -> None:
        """Something else than an insert changed the parts."""
        self._changed = True

    def moment(self) -> tuple[int, tuple[int, int] | None]:
        """To be taken before the parts are looked at, and given to `note`: the block up to which they are complete,
        and the blocks that the new among them may have come from."""
        with self._lock:
            self._changed = False
            pending = self._pending
            self._pending = _joined(self._under_way)
            return self.sequence, pending

    def note(
        self,
        moment: tuple[int, tuple[int, int] | None],
        parts: Iterable[Part],
        broken: Sequence[str],
        progress: dict[str, int],
    ) -> None:
        """Write down, in memory, the parts that were found, and the names of those that the engine put aside."""
        sequence, pending = moment
        with self._lock:
            known = {(part.table, part.name): part for part in self.kept.parts}
            spans = _Spans(self.kept.parts)
            noted = []
            for part in parts:
                before = known.get((part.table, part.name))
                if before is not None and before.digest == part.digest:
                    noted.append(before)
                elif part.table in FROM_LOG:
                    low, high = spans.blocks_of(part, pending) or (1, sequence)
                    noted.append(msgspec.structs.replace(part, low=low, high=high))
                else:
                    noted.append(part)
            self.kept.parts = noted
            self.kept.broken = list(broken)
            self.kept.progress = progress
            self.kept.sequence = sequence

    def expect(self, tables: Iterable[str]) -> None:
        """Parts of these tables are about to go because somebody wants it. Raises OSError."""
        with self._lock:
            self.kept.leaving = sorted({*self.kept.leaving, *tables})
        self.write()

    def settled(self) -> None:
        """Nothing more goes by itself."""
        with self._lock:
            self.kept.leaving = []

    def miss(self, missing: Iterable[Missing]) -> None:
        with self._lock:
            self.kept.missing = [*self.kept.missing, *missing]

    def mended(self, missing: Sequence[Missing], losses: Sequence[Loss]) -> None:
        """What was missing is there again, but for what is lost."""
        with self._lock:
            self.kept.missing = [each for each in self.kept.missing if each not in missing]
            self.kept.losses = [*self.kept.losses, *losses][-settings.LEDGER_LOSSES_MAX :]


def lost(kept: Kept, active: Sequence[Part], broken: Collection[str]) -> list[Missing]:
    """What was written down and is not there any more. `broken` are names of parts that the engine has put aside."""
    there: dict[tuple[str, str], list[Part]] = {}
    for part in active:
        there.setdefault((part.table, part.partition), []).append(part)
    gone = [
        part
        for part in kept.parts
        if part.rows and not any(_holds(other, part) for other in there.get((part.table, part.partition), ()))
    ]
    return [
        *as_missing([part for part in gone if part.name in broken], "damaged"),
        *as_missing([part for part in gone if part.name not in broken], "gone from the disk"),
    ]


def _holds(other: Part, part: Part) -> bool:
    """Whether a part that is there is the other one, or one that it was merged into."""
    if other.name == part.name:
        return other.digest == part.digest
    return other.first <= part.first and other.last >= part.last


def as_missing(parts: Sequence[Part], reason: str) -> list[Missing]:
    """Parts as what is missing, by table and partition."""
    together: dict[tuple[str, str], list[Part]] = {}
    for part in parts:
        together.setdefault((part.table, part.partition), []).append(part)
    return [
        Missing(
            table,
            partition,
            len(some),
            sum(part.rows for part in some),
            min(part.low for part in some),
            max(part.high for part in some),
            min(part.start_ns for part in some),
            max(part.end_ns for part in some),
            reason,
        )
        for (table, partition), some in together.items()
    ]


class _Spans:
    """Which blocks of the log the parts that are known came from."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts: dict[tuple[str, str], list[Part]] = {}
        self._last: dict[str, int] = {}
        for part in parts:
            self._parts.setdefault((part.table, part.partition), []).append(part)
            self._last[part.table] = max(part.last, self._last.get(part.table, 0))

    def blocks_of(self, part: Part, pending: tuple[int, int] | None) -> tuple[int, int] | None:
        """The blocks of the log that a new part may hold rows of: those of the parts merged into it, and those that
        were inserted since. None when that is not known."""
        found = [
            (other.low, other.high)
            for other in self._parts.get((part.table, part.partition), ())
            if other.first >= part.first and other.last <= part.last
        ]
        if part.last > self._last.get(part.table, 0):
            if pending is None:
                return None
            found.append(pending)
        return _joined(found)


def _joined(blocks: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    return (min(low for low, _ in blocks), max(high for _, high in blocks)) if blocks else None


def _things(readings: Sequence[pa.RecordBatch]) -> list[tuple[str, int, int]]:
    """Each thing, and the first and the last time of its readings."""
    found = []
    for batch in readings:
        if not batch.num_rows:
            continue
        things, times = batch.column("thing"), batch.column("time").cast(pa.int64())
        if batch.num_rows == 1:
            found.append((things[0].as_py(), times[0].as_py(), times[0].as_py()))
            continue
        codes = things.indices if isinstance(things, pa.DictionaryArray) else things
        grouped = pa.table({"thing": codes, "time": times}).group_by("thing").aggregate([("time", "min_max")])
        spans = grouped.column("time_min_max").combine_chunks()
        names = grouped.column("thing")
        if isinstance(things, pa.DictionaryArray):
            names = pc.take(things.dictionary, names)
        found += zip(names.to_pylist(), spans.field("min").to_pylist(), spans.field("max").to_pylist(), strict=True)
    return found


def replace(path: Path, data: bytes) -> None:
    """Write a file as a whole, synced. Raises OSError."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Names in a folder are on disk when this returns, where the system can do it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
