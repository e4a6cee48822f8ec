"""The history: what the rest of the platform sees of this room."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from allthings.historian import opening, schema, settings, sql, views
from allthings.historian.aggregating import Aggregating
from allthings.historian.asking import Asking
from allthings.historian.buckets import ALWAYS, MINUTES
from allthings.historian.cancellation import Cancellation
from allthings.historian.deleting import Deleted, Deleting
from allthings.historian.engine import Engine, Handles
from allthings.historian.errors import HistorianUnavailableError
from allthings.historian.integrity import Integrity
from allthings.historian.ledger import Ledger, Loss, Missing
from allthings.historian.losses import Gone
from allthings.historian.merges import Merges
from allthings.historian.newest import event_names, heard, newest, not_removed
from allthings.historian.plot import Plotting
from allthings.historian.query import HistoryQuery, Series
from allthings.historian.refused import Page, Refused, events
from allthings.historian.retention import Retaining, Retention, RetentionReport
from allthings.historian.rollups import RollupReport, Rollups, at_once
from allthings.historian.sql import SqlLimits, SqlResult
from allthings.historian.unrolled import Unrolled
from allthings.historian.writing import write
from allthings.log import block
from allthings.readings.decoded import Decoded, Event, Reject
from allthings.readings.deletions import Deletions
from allthings.registry import Deletion, Removals


class History:
    """The history in one ClickHouse, embedded (`chdb:///absolute/path`) or a server (`http://user:pw@host:8123`).

    All methods block and may be called from any thread. Only one process may open an embedded history.

    `ledger` is a folder beside the history, where is kept what it has, so that what it loses is noticed and mended.
    """

    def __init__(self, dsn: str, ledger: Path | None = None) -> None:
        self._dsn = dsn
        self.ledger = Ledger(ledger)
        #: Why it is not open.
        self.away = "the history is not open"
        #: What was deleted and the log may bring back: it is left out when blocks are inserted.
        self.deletions = Deletions()
        self._opened: Engine | None = None
        self._working = threading.Lock()
        self._floors = False

    def open(self) -> None:
        """Connect, and create or upgrade the tables. Raises HistorianUnavailableError.

        What is damaged is put aside, and what is missing is noted (`missing`) and has to be mended.
        """
        self.away = "the history is being opened"
        engine = None
        try:
            self.ledger.read()
            engine = opening.begin(self._dsn, self.ledger.folder)
            self._opened = self._prepare(engine)
        except HistorianUnavailableError as error:
            self.away = error.detail
            if engine is not None:
                engine.close()
            raise
        opening.well(self._dsn, self.ledger.folder)

    def _prepare(self, engine: Engine) -> Engine:
        """Everything that uses the engine. Where it meets damage, what is damaged is put aside."""
        self.integrity = Integrity(engine, self.ledger)
        self._merges = Merges(engine)
        try:
            self._begin(engine)
        except HistorianUnavailableError:
            if not self.integrity.put_aside_damaged():
                raise
            self._begin(engine)
        return engine

    def _begin(self, engine: Engine) -> None:
        schema.upgrade(engine)
        self.integrity.look_at_parts()
        views.create(engine)
        self._merges.begin()
        self._refused = Refused(engine.query)
        # Others may insert into a server.
        self._unrolled = Unrolled(engine.query) if engine.embedded else None
        self._rollups = Rollups(engine.work, self._unrolled.moved if self._unrolled else None)
        self._deleting = Deleting(engine, self._bring_up, lambda: self._floors)
        self._floors = self.integrity.floors()
        if self._floors and not self._holds_rollups():
            # A step that was cut off has to be done again before late readings can be told from counted ones.
            self._rollups.bring_up(self._rollups.newest(), floors=True, upper=True)

    def _check_open(self) -> None:
        """Raises HistorianUnavailableError, which says why the history cannot be had."""
        _ = self._engine

    @property
    def _engine(self) -> Engine:
        if self._opened is None:
            raise HistorianUnavailableError(self.away)
        return self._opened

    def insert(self, decoded: Sequence[Decoded], after: int | None = None) -> None:
        """Keep what blocks say; it is on disk when this returns. To insert a block twice is the same as once.

        `after` is the block before the first of them; without it they follow what was inserted last.
        """
        engine = self._engine
        if not decoded:
            return
        after = min(self.ledger.sequence, decoded[0].sequence - 1) if after is None else after
        with self.integrity.inserting(after, decoded[-1].sequence, decoded):
            if self._unrolled:
                self._unrolled.insert([each.readings for each in decoded])
            write(engine, decoded, self.deletions)
        self._merges.look()

    def history(
        self, query: HistoryQuery, *, quick: bool = False, cancellation: Cancellation | None = None
    ) -> list[Series]:
        """Answer a question. One that is `quick` (see `weight.py`) may use little time and memory.

        Raises QueryRefusedError, QueryLimitError, BadInputError (its zone), QueryCancelledError,
        HistorianUnavailableError.
        """
        query.check()
        handles = (self._engine.quick if quick else self._engine.query).under(cancellation)
        asking = self._asking(handles, in_pieces=not quick)
        if query.points is not None:
            return Plotting(handles, asking).answer(query)
        return (Aggregating(handles, asking) if query.aggregates else asking).answer(query)

    def series(self, things: Sequence[str]) -> list[tuple[str, str]]:
        """All series of these things that have a history."""
        return self._asking(self._engine.quick).keys(tuple((thing, None) for thing in things))

    def _asking(self, handles: Handles, *, in_pieces: bool = True) -> Asking:
        return Asking(handles, lambda: self._floors, self._unrolled, in_pieces=in_pieces)

    def sql(self, text: str, limits: SqlLimits | None = None, *, cancellation: Cancellation | None = None) -> SqlResult:
        """Run one SELECT of a stranger over the views. Raises QueryRefusedError, QueryLimitError,
        QueryCancelledError."""
        return sql.run(self._engine.sql.under(cancellation), text, limits or SqlLimits())

    def current(self, series: Sequence[tuple[str, str]] | None = None, *, removals: Removals | None = None) -> pa.Table:
        """The newest reading of each series (None: of all): thing, property, time, number, text, kind, received,
        position; one row a series. One with a time that cannot be only where there is no better one, and nothing of
        what was removed."""
        query = self._engine.query
        return not_removed(query, newest(query, series), removals or Removals())

    def heard(self) -> list[tuple[str, int, int]]:
        """Every thing that ever sent something: when the last of it was received, and its position in the log.
        Uploads do not count."""
        return heard(self._engine.query)

    def event_names(self) -> list[tuple[str, str, int]]:
        """Every event that a thing has sent: thing, name, and the position of the last one."""
        return event_names(self._engine.query)

    def rollup(self, position: int, *, upper: bool = True, rest: Callable[[float], float] = at_once) -> RollupReport:
        """Bring minutes and, with `upper`, hours and days up to a log position.

        All readings up to it must have been inserted. Answers are exact without; this makes them fast. `rest` says for
        how many seconds to rest after a part that took so many. Nothing is done while readings are missing.
        """
        self._check_open()
        with self._working:
            if self._holds_rollups():
                return RollupReport(self._rollups.position(), 0, 0)
            return self._rollups.bring_up(position, floors=self._floors, upper=upper, rest=rest)

    def stop_rollups(self) -> None:
        """End a rollup under way after its step, since the history is about to be closed."""
        if self._opened is not None:
            self._rollups.stop()

    def rolled_up(self) -> int:
        """The log position that the minutes have reached."""
        return int(self._engine.state.value(f"SELECT {MINUTES.rolled_up}"))

    def newest_position(self) -> int:
        """The greatest log position of any reading kept, or the one that the rollups have reached."""
        self._check_open()
        with self._working:
            return self._rollups.newest()

    def retain(self, now_ns: int, retention: Retention) -> RetentionReport:
        """Drop what is older than the rules say, as far as the rollups reflect it. Inserts wait for a moment."""
        self._check_open()
        with self._working, self.integrity.leaving(*schema.TABLES):
            self._floors = True
            report = Retaining(self._engine, self._bring_up, self._merges.hurry).run(now_ns, retention)
            self._floors = self.integrity.floors()
        return report

    def count_deletion(self, deletion: Deletion) -> Deleted:
        """What a deletion would delete now."""
        self._check_open()
        return self._deleting.count(deletion)

    def delete(self, deletion: Deletion) -> Deleted:
        """Delete readings, and events where whole things are meant, for good; what was deleted.

        From this call on inserts leave out what it names. Rollups, newest values and every answer follow before this
        returns. When it fails or is cut off, it has to be made again.
        """
        with self._engine.inserting:
            self.deletions.add(deletion)
        with self._working, self._merges.hurried(), self.integrity.leaving(*schema.TABLES):
            found = self._deleting.count(deletion)
            self._deleting.run(deletion)
        return found

    def _bring_up(self) -> None:
        if self._holds_rollups():
            raise HistorianUnavailableError("readings that the history has lost are being made anew; try again later")
        self._bring_up_all()

    def _bring_up_all(self) -> None:
        newest = self._rollups.newest()
        if self._rollups.bring_up(newest, floors=True, upper=True).position < newest:
            raise HistorianUnavailableError("the history is being closed")

    # Whether it is whole

    def begins_at(self, position: int) -> int:
        """The block of the log after which inserts have to go on, given the position that was kept in the log.

        What the history has decides, not what somebody wrote down of it.
        """
        ledger = self.ledger
        if ledger.folder is None:
            return position
        if not ledger.found:
            known = block.sequence(self._rollups.newest())
            ledger.sequence = min(position, known) if known else position
            self.integrity.keep()
            ledger.found = True
            if position:
                # Everything that the log has is read once more.
                why = ledger.trouble or "there is no ledger of what it had"
                span = (0, 0) if known else ALWAYS
                self.integrity.miss(Missing("readings", "", 0, 0, 1, position, *span, why))
        return ledger.sequence

    @property
    def missing(self) -> list[Missing]:
        """What is missing and has to be read from the log again (`mend`)."""
        return list(self.ledger.kept.missing)

    @property
    def losses(self) -> list[Loss]:
        """What is lost for good."""
        return list(self.ledger.kept.losses)

    def errors_met(self) -> int:
        """How often an embedded engine has met data that it cannot read; when that grows, look for damage."""
        self._check_open()
        return self.integrity.errors_met()

    def look_for_damage(self) -> list[Missing]:
        """Read all parts through, and put aside what is damaged; what is missing now. Takes long."""
        self._check_open()
        return self.integrity.put_aside_damaged()

    def compare(self) -> int:
        """Count readings, minutes, hours and days against one another; how many of the readings that there were are
        missing, which is noted. Takes long."""
        self._check_open()
        with self._working:
            self._bring_up()
            return self.integrity.doubt()

    def mend(self, missing: Sequence[Missing], gone: Gone) -> list[Loss]:
        """Make anew what is made of what was missing, after that was read from the log again; what is lost for good.

        Raises HistorianUnavailableError when the history is being closed meanwhile.
        """
        self._check_open()
        with self._working:
            proved = self.integrity.prove(missing, gone)
            self._floors = self.integrity.floors()
            if proved is None:
                return []
            self._bring_up_all()
            lost = self.integrity.finish(missing, proved, gone, goes_on=self._rollups.goes_on)
        if lost is None:
            raise HistorianUnavailableError("the history is being closed")
        return lost

    def _holds_rollups(self) -> bool:
        """Whether readings are missing that rollups still count: made anew meanwhile they would forget them."""
        return any(each.table == "readings" for each in self.ledger.kept.missing)

    def keep_ledger(self, *, last: bool = False) -> None:
        """Write down what the history has, when it is time to, or (`last`) since it is about to be closed."""
        if self._opened and (last or self.integrity.due):
            self.integrity.keep(last=last)

    def disk_bytes(self) -> int:
        """Bytes that the history takes on disk."""
        return int(
            self._engine.state.value("SELECT sum(bytes_on_disk) FROM system.parts WHERE database = currentDatabase()")
        )

    def count_readings(self) -> int:
        """Readings kept, from what the engine knows of its parts: at once, but with repetitions not merged yet."""
        return int(
            self._engine.state.value(
                "SELECT sum(rows) FROM system.parts "
                "WHERE active AND database = currentDatabase() AND table = 'readings'"
            )
        )

    def rejects(
        self, limit: int = 100, after: str | None = None, *, topic: str | None = None, reason: str | None = None
    ) -> Page[Reject]:
        """Messages that could not be used and were not replayed since, newest first."""
        self._check_open()
        return self._refused.page(limit, after, topic, reason)

    def reject(self, position: int) -> Reject:
        """One reject. Raises NotFoundError."""
        self._check_open()
        return self._refused.one(position)

    def count_rejects(self, *, topic: str | None = None, reason: str | None = None) -> int:
        self._check_open()
        return self._refused.count(topic, reason)

    def waiting_rejects(self) -> int:
        """All rejects that wait for somebody to mend their cause; for the state of the platform."""
        return Refused(self._engine.state).count(None, None)

    def events(
        self,
        thing: str | None = None,
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[Event]:
        """Events of a thing (None: of all), newest first."""
        return events(self._engine.query, thing, start_ns, end_ns, limit, after)

    def stop_answers(self, within_s: float = settings.CLOSE_S_MAX) -> bool:
        """End questions under way, for good. False when some have not ended within so many seconds."""
        return self._opened is None or self._opened.stop_answers(within_s)

    def close(self, why: str = "the history is closed") -> None:
        """Close the engine. Inserts under way are waited for, questions and rollups are ended. `why`: what whoever asks
        is told from then on."""
        self.away = why
        opened, self._opened = self._opened, None
        if opened is not None:
            # The engine ends when its merges have noticed.
            self._merges.hurry()
            opened.stop_answers(settings.CLOSE_S_MAX)
            opened.close()
