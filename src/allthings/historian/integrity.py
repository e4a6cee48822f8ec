"""Is the history whole, and what is done when it is not.

At the start the parts that there are are compared with the ledger, which reads no data. When an error tells of damage,
or somebody wants to know, all parts are read through. What is damaged is put aside; what is gone is read from the log
once more (`keeper.py`), and then the rollups are made anew here for the times that it is about, and what is still
missing is said.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec

from allthings.historian import comparing, losses, parts, remaking, settings, words
from allthings.historian.buckets import ALWAYS, LEVELS, MINUTES
from allthings.historian.comparing import Difference
from allthings.historian.engine import Engine, Handles
from allthings.historian.ledger import FROM_LOG, Ledger, Loss, Missing, as_missing, lost
from allthings.historian.losses import Gone
from allthings.historian.parts import Damage
from allthings.historian.schema import TABLES
from allthings.historian.stretches import Stretch, joined
from allthings.readings.decoded import Decoded

_LOGGER = logging.getLogger(__name__)
#: The tables whose rows are counted in one another.
_COUNTED: Final = frozenset({"readings", *(level.table for level in LEVELS)})


class Integrity:
    """That of one open history. Blocks, and may be called from any thread."""

    def __init__(self, engine: Engine, ledger: Ledger) -> None:
        self._engine = engine
        self._ledger = ledger
        self._writing = threading.Lock()
        self._write_at = 0.0
        #: Whether the parts were compared with the ledger. Before that it must not be written anew.
        self._looked = False

    # The ledger

    @contextmanager
    def inserting(self, after: int, upto: int, decoded: Sequence[Decoded]) -> Iterator[None]:
        """Around an insert of blocks after `after` up to `upto`."""
        blocks = self._ledger.begin(after, upto, [each.readings for each in decoded])
        inserted = False
        try:
            yield
            inserted = True
        finally:
            self._ledger.end(blocks, inserted=inserted)

    @contextmanager
    def leaving(self, *tables: str) -> Iterator[None]:
        """Around what takes rows out of tables for a reason: these are no loss."""
        try:
            self._ledger.expect(tables)
        except OSError as error:
            _LOGGER.warning("the history's ledger cannot be written: %s", error)
        yield
        self._ledger.touch()
        self.keep()

    def keep(self, *, last: bool = False) -> None:
        """Write down what there is now. `last`: the history is about to be closed, and tells its state no more."""
        handles = self._engine.work if last else self._engine.state
        with self._writing:
            began = time.monotonic()
            self._note_parts(handles, parts.progress(handles))
            if self._ledger.kept.leaving and not parts.changing(handles):
                self._ledger.settled()
            self.save()
            took_s = time.monotonic() - began
            self._write_at = began + max(settings.LEDGER_EVERY_S, took_s * settings.LEDGER_PAUSE_FACTOR)

    def _note_parts(self, handles: Handles, progress: dict[str, int]) -> None:
        moment = self._ledger.moment()
        found = parts.active(handles)
        broken = [damage.detached for damage in parts.broken(handles)]
        self._ledger.note(moment, found, broken, progress)

    def save(self) -> None:
        """Put the ledger on disk as it is. What fails is said, and done another time."""
        try:
            self._ledger.write()
        except OSError as error:
            self._ledger.touch()
            _LOGGER.warning("the history's ledger cannot be written: %s", error)

    @property
    def due(self) -> bool:
        """Whether it is time to write down what has changed."""
        return self._ledger.changed and time.monotonic() >= self._write_at

    # What is missing: found

    def errors_met(self) -> int:
        """How often the embedded engine has met data that it cannot read, merges included, since it began."""
        if not self._engine.embedded:
            return 0
        return parts.errors_met(self._engine.state)

    def look_at_parts(self) -> list[Missing]:
        """Compare the parts that there are with those that were written down, once; what is missing, noted and said."""
        if self._looked:
            return []
        kept = self._ledger.kept
        active = parts.active(self._engine.work)
        known = {(part.table, part.name) for part in kept.parts}
        broken = [each for each in parts.broken(self._engine.work) if each.detached not in kept.broken]
        for each in broken:
            _LOGGER.error("part %s of the history's %s is damaged; the engine has put it aside", each.name, each.table)
        found = [
            _excused(each) if each.table in kept.leaving else each
            for each in lost(kept, active, {each.name for each in broken})
            # A newer version of ours may have no use for a table.
            if each.table in TABLES
        ]
        found += [self._unknown(each) for each in broken if (each.table, each.name) not in known]
        self._note(found, {part.table for part in active if part.rows})
        self._looked = True
        return found

    def put_aside_damaged(self) -> list[Missing]:
        """Read all parts through and put aside those that are damaged; what is missing now, noted and said."""
        damaged = parts.damaged(self._engine)
        if not damaged:
            return []
        if self._looked:
            # Which blocks of the log the newest parts came from. How far the rollups are may be what is damaged.
            with self._writing:
                self._note_parts(self._engine.state, self._ledger.kept.progress)
        known = {(part.table, part.name): part for part in self._ledger.kept.parts}
        for each in damaged:
            _LOGGER.error(
                "part %s of the history's %s is damaged and is put aside: %s", each.name, each.table, each.why
            )
        found = as_missing([known[each[:2]] for each in damaged if each[:2] in known], "damaged")
        found += [self._unknown(each) for each in damaged if each[:2] not in known]
        parts.put_aside(self._engine, damaged)
        self._note(found, {part.table for part in known.values()})
        if self._looked:
            self.keep()
        return found

    def _note(self, found: Sequence[Missing], there: set[str]) -> None:
        """Note what is missing. What rollups cannot do without is made at once; `there` are tables that have rows."""
        self._ledger.miss(found)
        tables = {each.table for each in found}
        if "progress" in tables:
            # A level whose rows are there is as far as it was; one that went with it begins anew.
            reached = {table: position for table, position in self._ledger.kept.progress.items() if table in there}
            parts.restore_progress(self._engine, reached)
        if "floors" in tables:
            remaking.remake_floors(self._engine.work)
        for each in found:
            _LOGGER.warning("the history has lost something: %s", words.missing(each))
        if found:
            self.save()

    def _unknown(self, damage: Damage) -> Missing:
        """A part that was not written down: it came since, or was merged since."""
        partition = damage.name.partition("_")[0]
        blocks = (1, self._ledger.sequence) if damage.table in FROM_LOG else (0, 0)
        return Missing(damage.table, partition, 1, 0, *blocks, *parts.partition_times(partition), "damaged")

    # What is missing: mended

    def compare(self, span: Stretch = ALWAYS, *, reflected_only: bool = False) -> list[Difference]:
        """Where the levels disagree. Nobody may bring rollups up meanwhile."""
        work = self._engine.work
        position = int(work.value(f"SELECT {MINUTES.rolled_up}"))
        return list(comparing.differences(work, span, position, reflected_only=reflected_only))

    def doubt(self) -> int:
        """Compare everything; note readings that are counted and not there, and rollups that are not what they should
        be. How many readings those are."""
        found = self.compare()
        return self._miss_counted(found) if found else 0

    def _miss_counted(self, found: Sequence[Difference]) -> int:
        gone: int = sum(each.lost_readings for each in found)
        span = min(each.day_ns for each in found), max(each.day_ns for each in found) + settings.NS_PER_DAY
        # Nobody knows which blocks they came from: all are read again.
        blocks = (1, self._ledger.sequence) if gone else (0, 0)
        reason = "counted and not there" if gone else "rollups that do not agree with the readings"
        self.miss(Missing("readings", "", 0, gone, *blocks, *span, reason))
        return gone

    def miss(self, missing: Missing) -> None:
        """Note something that has to be mended, and say it."""
        self._ledger.miss([missing])
        self.save()
        _LOGGER.warning("the history may have lost something: %s", words.missing(missing))

    def prove(self, missing: Sequence[Missing], gone: Gone) -> list[Loss] | None:
        """What the log did not give again, as far as rollups tell; they keep it from now on.

        To be called before rollups are brought up, which would forget it. None: more has to be read from the log.
        """
        found: list[Loss] = []
        beyond = any(0 < each.low < gone.first for each in missing)
        for span in self._spans(missing):
            differences = self.compare(span, reflected_only=beyond)
            if any(each.lost_readings for each in differences) and not any(each.low for each in missing):
                # Parts that were excused were not all that is gone.
                self._ledger.mended(missing, [])
                self._miss_counted(differences)
                return None
            self._keep_rollups(differences)
            found += losses.of_differences(differences)
        return found

    def finish(
        self, missing: Sequence[Missing], proved: list[Loss], gone: Gone, *, goes_on: Callable[[], bool]
    ) -> list[Loss] | None:
        """Make anew what is made of readings, after these were read from the log again; what is lost for good.

        `gone` is what the log no longer had. Rollups have to be brought up, and nobody may bring them up meanwhile.
        None: `goes_on` said that it has to end; to be done again.
        """
        work, spans = self._engine.work, self._spans(missing)
        for span in spans:
            if not remaking.remake(work, span, floors=self.floors(), goes_on=goes_on):
                return None
        found = [*proved, *losses.of_log(work, missing, gone, self._ledger.kept.things)]
        if any(each.table in ("newest", "heard") for each in missing):
            remaking.remake_newest(work, None)
        for span in spans:
            remaking.remake_newest(work, span)
        self._ledger.mended(missing, found)
        for each in found:
            _LOGGER.error("lost for good, since the log does not reach back so far: %s", words.loss(each))
        self.keep()
        return found

    def _spans(self, missing: Sequence[Missing]) -> list[Stretch]:
        """The times that rollups have to be looked at for."""
        stretches = [(each.start_ns, each.end_ns) for each in missing if each.table in _COUNTED]
        if any(start == end for start, end in stretches):
            # Nobody knows which times it is about.
            stretches += [(each.day_ns, each.day_ns + settings.NS_PER_DAY) for each in self.compare()]
        return joined((each for each in stretches if each[0] < each[1]), settings.REMAKE_STRETCHES_MAX)

    def floors(self) -> bool:
        """Whether anything has expired."""
        return bool(self._engine.work.value("SELECT count() FROM floors"))

    def _keep_rollups(self, differences: Sequence[Difference]) -> None:
        """What finer levels have lost for good counts as expired, so that the coarser ones keep what they know."""
        raw: dict[tuple[str, str], int] = {}
        minutes: dict[tuple[str, str], int] = {}
        for each in differences:
            key, end = (each.thing, each.name), each.day_ns + settings.NS_PER_DAY
            if each.lost_readings:
                raw[key] = max(end, raw.get(key, end))
            if each.lost_minutes or (each.lost_readings and each.minutes < max(each.hours, each.days)):
                minutes[key] = max(end, minutes.get(key, end))
                raw[key] = max(end, raw.get(key, end))
        if raw:
            remaking.raise_floors(self._engine, raw, minutes)


def _excused(missing: Missing) -> Missing:
    """Parts that may have left for a reason: nothing is read again unless rollups prove that it has to be."""
    return msgspec.structs.replace(missing, low=0, high=0, reason="gone while something was dropped")
