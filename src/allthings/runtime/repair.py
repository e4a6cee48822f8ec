"""`allthings repair`: a log that lost its end goes on behind the history.

The history is not touched. What is there of the log stays, and is copied aside first as it was found; only a log that
its server cannot open at all is moved aside whole, and another one begun.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from allthings.gateway import roster
from allthings.gateway.kept import decode_retained, decode_session
from allthings.historian.errors import HistorianUnavailableError
from allthings.historian.history import History
from allthings.log import block, losses
from allthings.log import settings as settings_of_log
from allthings.log.gaps import Gap, gaps
from allthings.log.losses import Loss
from allthings.log.reserve import room
from allthings.log.stream import Log
from allthings.runtime import datadir, logmark, logserver
from allthings.runtime.errors import StartError
from allthings.runtime.logserver import LogUnopenedError
from allthings.runtime.settings import Settings
from allthings.things.times import format_time, now_ns

_FAMILY: Final = "gateway"
_SESSIONS: Final = f"KV_{settings_of_log.TABLES}-sessions-{_FAMILY}"
_RETAINED: Final = f"KV_{settings_of_log.TABLES}-retained"

Say = Callable[[str], None]


class MissingBlocks(msgspec.Struct, frozen=True, kw_only=True):
    """Blocks that cannot be read, and the times (RFC 3339) between which they were stored, "" where nothing tells."""

    first: int
    last: int
    after: str
    before: str


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A client, and how many messages that waited for it are lost."""

    client: str
    messages: int


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """How the log stands to the history.

    `log_trouble`, `history_trouble`: why they cannot be opened, "" if they can. `unopened`: the streams of the log for
    which its server cannot, none if that is not known.

    `goes_on_behind`: the last block that anything knows of; the log's next one gets the number after it.
    """

    log_first: int
    log_last: int
    goes_on_behind: int
    missing: list[MissingBlocks]
    lost_sessions: list[Waiting]
    lost_messages: list[Waiting]
    lost_retained: list[str]
    log_trouble: str = ""
    unopened: list[str] = []
    history_trouble: str = ""

    @property
    def needed(self) -> bool:
        return bool(self.log_trouble) or self.log_last < self.goes_on_behind


class Repaired(msgspec.Struct, frozen=True, kw_only=True):
    """What was done: `aside` is where the log as it was found stands now."""

    findings: Findings
    done: bool
    aside: str = ""


async def repair(settings: Settings, say: Say, agree: Callable[[Findings], bool]) -> Repaired:
    """Look, and when something is to be done and `agree` to it, do it.

    Raises StartError when the platform runs, there is no data directory, or no room; AllthingsError.
    """
    if not settings.data.is_dir():
        raise StartError(f"there is no data directory {settings.data}: name it with --data")
    lock = datadir.claim(settings.data, settings.disk_reserve_mb)
    try:
        say("looking at the history")
        known, history_trouble = await asyncio.to_thread(_history_end, settings)
        findings = await _look(settings, lock, known, history_trouble, say)
        if not findings.needed or not agree(findings):
            return Repaired(findings=findings, done=False)
        aside = _aside(settings, findings, say)
        async with logserver.opened(settings, lock) as log:
            say(f"the log goes on behind block {findings.goes_on_behind}")
            await log.skip_to(findings.goes_on_behind)
        await asyncio.to_thread(os.sync)
        losses.write(settings.data, _as_losses(findings))
        return Repaired(findings=findings, done=True, aside=str(aside or ""))
    finally:
        os.close(lock)


# Looking


def _history_end(settings: Settings) -> tuple[int, str]:
    """The last block that the history has readings of, and why that cannot be said."""
    if not settings.clickhouse and not (settings.data / "history").exists():
        return 0, "there is none"
    history = History(settings.clickhouse_dsn)
    try:
        history.open()
        return block.sequence(history.newest_position()), ""
    except HistorianUnavailableError as error:
        return 0, error.detail
    finally:
        history.close()


async def _look(settings: Settings, lock: int, known: int, history_trouble: str, say: Say) -> Findings:
    known = max(known, logmark.read(settings.data))
    sessions, retained = (roster.read(settings.data / roster.FOLDER, name) for name in ("sessions", "retained"))
    try:
        async with logserver.opened(settings, lock) as log:
            say("looking through the log")
            status = await log.status()
            known = max(known, status.last, *status.positions.values())
            found = await gaps(log)
            there, waiting = await _sessions(log, found, status.last)
            topics = await _topics(log)
            return Findings(
                log_first=status.first,
                log_last=status.last,
                goes_on_behind=known,
                missing=[_as_missing(gap) for gap in _with_lost_end(found, status.last, known)],
                lost_sessions=[
                    Waiting(client=client, messages=noted.waiting)
                    for client, noted in sessions.items()
                    if client not in there
                ],
                lost_messages=waiting,
                lost_retained=sorted(topic for topic in retained if topic not in topics),
                history_trouble=history_trouble,
            )
    except LogUnopenedError as error:
        # What the rosters say is all that is known.
        streams = error.streams or [settings_of_log.STREAM, _SESSIONS, _RETAINED]
        counted = [Waiting(client=client, messages=noted.waiting) for client, noted in sessions.items()]
        return Findings(
            log_first=0,
            log_last=0,
            goes_on_behind=known,
            missing=[_as_missing(Gap(1, known, 0, 0))] if known and settings_of_log.STREAM in streams else [],
            lost_sessions=counted if _SESSIONS in streams else [],
            lost_messages=[] if _SESSIONS in streams else counted,
            lost_retained=sorted(retained) if _RETAINED in streams else [],
            log_trouble=error.detail,
            unopened=error.streams,
            history_trouble=history_trouble,
        )


def _with_lost_end(found: list[Gap], last: int, known: int) -> list[Gap]:
    if last >= known:
        return found
    if found and found[-1].last == last:
        return [*found[:-1], found[-1]._replace(last=known)]
    return [*found, Gap(last + 1, known, 0, 0)]


def _as_missing(gap: Gap) -> MissingBlocks:
    after, before = (format_time(time) if time else "" for time in (gap.after_ns, gap.before_ns))
    return MissingBlocks(first=gap.first, last=gap.last, after=after, before=before)


async def _sessions(log: Log, found: list[Gap], last: int) -> tuple[set[str], list[Waiting]]:
    """Clients with sessions, and how many messages wait for which of them in blocks that cannot be read."""
    clients, waiting = set(), []
    trimmed = await log.trimmed()
    first = (await log.status()).first
    async for _, row in (await log.table(f"sessions-{_FAMILY}")).rows():
        with contextlib.suppress(msgspec.DecodeError):
            kept, _ = decode_session(row)
            clients.add(kept.client)
            lost = 0
            for position in memoryview(kept.positions).cast("Q"):
                sequence = block.sequence(position)
                gone = sequence < first or sequence > last or any(gap.first <= sequence <= gap.last for gap in found)
                lost += gone and sequence > trimmed
            if lost:
                waiting.append(Waiting(client=kept.client, messages=lost))
    return clients, waiting


async def _topics(log: Log) -> set[str]:
    topics: set[str] = set()
    async for _, row in (await log.table("retained")).rows():
        with contextlib.suppress(msgspec.DecodeError):
            topics.update(kept.topic for kept in decode_retained(row))
    return topics


def _as_losses(findings: Findings) -> list[Loss]:
    """The blocks; gateways find out themselves, and say, what sessions miss of them."""
    why = "`allthings repair` went on behind them; what the history had of them it still has"
    return [
        losses.found(now_ns(), losses.BLOCKS, f"{gap.first} to {gap.last}", gap.last - gap.first + 1, why)
        for gap in findings.missing
    ]


# Doing


def _aside(settings: Settings, findings: Findings, say: Say) -> Path | None:
    """Put the log as it was found aside."""
    if settings.nats:
        return None
    store = logserver.store(settings)
    if not store.exists():
        return None
    stamp = datetime.fromtimestamp(now_ns() // 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = settings.data / f"log.damaged-{stamp}"
    if findings.log_trouble:
        folders = [found for name in findings.unopened for found in store.glob(f"*/streams/{name}")] or [store]
        for folder in folders:
            say(f"moving {folder} to {aside}")
            to = aside / folder.relative_to(store.parent)
            to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.rename(to)
        return aside
    needed_mb = logserver.stored_bytes(settings) // 1_000_000 + 1
    free_mb = room(settings.data).free_bytes // 1_000_000 - settings.disk_reserve_mb
    if free_mb < needed_mb:
        raise StartError(
            f"a copy of the log as it is now needs {needed_mb} MB, and {max(free_mb, 0)} MB are free above the "
            "reserve: make room and try again"
        )
    say(f"copying the log as it is now to {aside}")
    aside.mkdir(mode=0o700)
    shutil.copytree(store, aside / store.name)
    return aside
