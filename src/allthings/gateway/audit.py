"""What was refused, on its way to the audit list: bounded for each client and for all, so that nobody fills a disk.

A refusal that has no room is counted; once a minute one entry tells how many there were.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from allthings.gateway import settings
from allthings.gateway.admission import host
from allthings.registry.attempts import Attempts, key_of
from allthings.registry.audit import REFUSAL, AuditEntry
from allthings.registry.settings import AUDIT_TEXT_MAX
from allthings.registry.trouble import Trouble
from allthings.things.times import NS_PER_S

if TYPE_CHECKING:
    from allthings.gateway.connection import Connection
    from allthings.registry.registry import Registry

_LOGGER = logging.getLogger(__name__)
_SAME_NS: Final = int(settings.AUDIT_SAME_S * NS_PER_S)


class AuditTrail:
    """Takes refusals at once, and writes them a few times a second in a thread."""

    def __init__(self, registry: Registry | None, now_ns: Callable[[], int]) -> None:
        """`registry` None: nothing is kept."""
        self._registry = registry
        self._now_ns = now_ns
        self._trouble = Trouble(_LOGGER, "entries of the audit list cannot be written")
        remembered = settings.AUDIT_REMEMBERED_MAX
        self._each = Attempts(settings.AUDIT_BURST, settings.AUDIT_EVERY_S, remembered)
        self._all = Attempts(settings.AUDIT_ALL_BURST, settings.AUDIT_ALL_EVERY_S, 1)
        #: Refusals listed within the last minute, oldest first, with how often they happened again.
        self._listed: OrderedDict[tuple[str, str, str, str], AuditEntry] = OrderedDict()
        self._pending: list[AuditEntry] = []
        self._left_out = 0
        self._left_out_since_ns = 0

    def refused(
        self, connection: Connection, kind: str, what: str, why: str, *, who: str = "", client: str = ""
    ) -> None:
        """A client was refused `what`. If it is not known: `who` and `client` are what it claims to be."""
        known = connection.principal.name
        who = known or who[:AUDIT_TEXT_MAX]
        address = connection.address
        self._note(kind, who, address, what, why, connection.client or client, known or key_of(host(address)))

    def refused_absent(self, client: str, owner: str, kind: str, what: str, why: str) -> None:
        """A client that is away was refused `what`; `owner` is whose its session is."""
        who = owner.partition(":")[2]
        self._note(kind, who, "", what, why, client, who or client)

    def _note(self, kind: str, who: str, address: str, what: str, why: str, client: str, payer: str) -> None:
        """List it, unless `payer` has had too many listed lately."""
        if self._registry is None:
            return
        now_ns = self._now_ns()
        what = what[:AUDIT_TEXT_MAX]
        key = (kind, who, key_of(host(address)) if address else client, what)
        before = self._listed.get(key)
        if before is not None and now_ns - before.time_ns < _SAME_NS:
            self._listed[key] = replace(before, repeated=before.repeated + 1)
            return
        if self._all.wait_s("", now_ns) or self._each.wait_s(payer, now_ns):
            self._leave_out(now_ns, 1)
            return
        self._all.failed("", now_ns)
        self._each.failed(payer, now_ns)
        entry = AuditEntry(
            time_ns=now_ns,
            area=REFUSAL,
            kind=kind,
            who=who,
            address=address,
            what=what,
            why=why[:AUDIT_TEXT_MAX],
            client=client[:AUDIT_TEXT_MAX],
        )
        self._pending.append(entry)
        self._listed[key] = entry
        if len(self._listed) > settings.AUDIT_REMEMBERED_MAX:
            self._leave_out(now_ns, self._listed.popitem(last=False)[1].repeated)

    def _leave_out(self, now_ns: int, count: int) -> None:
        if count and not self._left_out:
            self._left_out_since_ns = now_ns
        self._left_out += count

    def due(self, now_ns: int) -> list[AuditEntry]:
        """What is to be written now."""
        entries, self._pending = self._pending, []
        while self._listed:
            oldest = next(iter(self._listed))
            if now_ns - self._listed[oldest].time_ns < _SAME_NS:
                break
            entry = self._listed.pop(oldest)
            if entry.repeated:
                entries.append(replace(entry, time_ns=now_ns))
        if self._left_out and now_ns - self._left_out_since_ns >= _SAME_NS:
            what = f"{self._left_out} further refusals were not listed"
            entries.append(AuditEntry(now_ns, REFUSAL, "left-out", "", "", what, "too many at once"))
            self._left_out = 0
        return entries

    async def run(self) -> None:
        """Write what is due, until cancelled."""
        while self._registry is not None:
            await asyncio.sleep(settings.AUDIT_WRITE_EVERY_S)
            await self.write()

    async def write(self, *, last: bool = False) -> None:
        """Write what is due now; at the end, also what only repeated."""
        now_ns = self._now_ns()
        entries = self.due(now_ns + _SAME_NS if last else now_ns)
        if not entries or self._registry is None:
            return
        try:
            await asyncio.to_thread(self._registry.audit.add, entries)
        except Exception as error:  # noqa: BLE001
            # The list is not worth the gateway's life; the number that is missing will be told.
            self._trouble.tell(error)
            self._leave_out(now_ns, len(entries))
