"""How much clients and tenants may send: over quota they are slowed, or refused where the protocol has a word for it.

A connection without a quota has `quota` None and pays nothing. With one, what a read of its socket brought is taken in
portions; when the account is overdrawn, its socket is not read until it is balanced, so the device feels it through
TCP and through acknowledgements that come later. `refuse`: QoS 1 and 2 messages of MQTT 5 clients that are over quota
are answered with 0x97 (Quota exceeded) instead; QoS 0 has no answer and MQTT 3.1.1 no codes, so these are slowed.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from allthings.gateway import settings
from allthings.mqtt.reasons import ReasonCode
from allthings.mqtt.scanner import Run

if TYPE_CHECKING:
    from allthings.gateway.access import Principal
    from allthings.gateway.broker import Broker
    from allthings.gateway.connection import Connection
    from allthings.registry.quotas import Quota

#: Of a PUBLISH besides topic and payload, about.
_OVERHEAD_BYTES: Final = 6
#: What is taken at once of what a read brought: a tenth of a second's worth, but not less than this.
_PORTION_BYTES_MIN: Final = 256


class Account:
    """Messages and bytes of one client or tenant: one second's worth at once, then as they are earned.

    Each is one number, the moment at which all that was spent will be earned; what lies more than a second ahead is
    overdrawn.
    """

    __slots__ = ("_bytes_s", "_bytes_until", "_messages_s", "_messages_until", "refuse")

    def __init__(self) -> None:
        self._messages_s = self._bytes_s = float("inf")
        self._messages_until = self._bytes_until = 0.0
        self.refuse = False

    def limit(self, quota: Quota, share: float) -> None:
        """Hold to a quota from now on; `share` is this process's part of it."""
        self._messages_s = float("inf") if quota.messages_s is None else quota.messages_s * share
        self._bytes_s = float("inf") if quota.bytes_s is None else quota.bytes_s * share
        self.refuse = quota.over == "refuse"

    def spend(self, messages: int, size: int, now: float) -> None:
        self._messages_until = max(self._messages_until, now) + messages / self._messages_s
        self._bytes_until = max(self._bytes_until, now) + size / self._bytes_s

    def overdrawn_s(self, now: float) -> float:
        """0 if more may be spent, else for how many seconds not."""
        return max(0.0, self._messages_until - now - 1.0, self._bytes_until - now - 1.0)

    def portion(self, message_bytes: float) -> float:
        """About how many bytes are a tenth of a second's worth."""
        return 0.1 * min(self._messages_s * message_bytes, self._bytes_s)


class ConnectionQuota:
    """What one connection may send: its client's account, and its tenant's."""

    def __init__(self, broker: Broker, connection: Connection, accounts: list[Account]) -> None:
        self._broker = broker
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self.accounts = accounts
        self._waiting: list[bytes] = []
        self._taking = False
        #: QoS 0 messages have overdrawn an account that refuses: they can only be slowed.
        self._unanswered = False
        self._timer: asyncio.TimerHandle | None = None
        #: The size of a message, a moving average.
        self._message_bytes = 64.0
        #: Seconds that the connection was slowed in all.
        self.slowed_s = 0.0

    @property
    def refuses(self) -> bool:
        """Whether messages are answered one by one."""
        return self._connection.v5 and any(account.refuse for account in self.accounts)

    def takes(self, data: bytes) -> bool:
        """Called with each read. True: it was taken here, and goes on as the quota allows. False: go on with it."""
        if self._taking:
            return False
        self._waiting.append(data)
        if self._timer is None:
            self._go_on()
        else:
            self._connection.hold_reading(True)
        return True

    def lift(self) -> None:
        """The quota is gone: let what waits go on."""
        self.accounts = []
        if self._timer is not None:
            self._timer.cancel()
            self._go_on()

    def close(self) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()

    def _go_on(self) -> None:
        connection = self._connection
        paused, self._timer = self._timer is not None, None
        while self._waiting and connection.up:
            now = self._loop.time()
            wait_s = max((account.overdrawn_s(now) for account in self.accounts), default=0.0)
            if wait_s > 0 and (self._unanswered or not self.refuses):
                self._pause(wait_s, now)
                return
            self._unanswered = False
            self._take(self._next_portion(), now)
        if paused and connection.up:
            connection.hold_reading(self._broker.holding)

    def _pause(self, wait_s: float, now: float) -> None:
        connection = self._connection
        connection.hold_reading(True)
        # It is not silent: we do not listen.
        connection.heard = now + wait_s
        self.slowed_s += wait_s
        self._broker.statistics.slowed_s += wait_s
        why = f"over quota: slowed, for {wait_s:.1f} s now"
        self._broker.audit.refused(connection, "over-quota", "slowed", why)
        self._timer = self._loop.call_later(wait_s, self._go_on)

    def _next_portion(self) -> bytes:
        data = self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)
        worth = min((account.portion(self._message_bytes) for account in self.accounts), default=len(data))
        size = max(_PORTION_BYTES_MIN, int(min(worth, len(data))))
        self._waiting = [data[size:]] if size < len(data) else []
        return data[:size]

    def _take(self, data: bytes, now: float) -> None:
        connection = self._connection
        before = connection.received
        self._taking = True
        try:
            connection.data_received(data)
        finally:
            self._taking = False
        messages = connection.received - before
        if messages:
            self._message_bytes += 0.2 * (len(data) / messages - self._message_bytes)
        if not self.refuses:
            self.spend(messages, len(data), now)

    def spend(self, messages: int, size: int, now: float) -> None:
        for account in self.accounts:
            account.spend(messages, size, now)

    def admit(self, broker: Broker, connection: Connection, topic: str, run: Run) -> Run:
        """With `refuse`: the messages of a run that are within the quota; the others are answered with 0x97."""
        now = self._loop.time()
        qos = run.first >> 1 & 3
        payloads: list[bytes] = []
        identifiers: list[bytes] = []
        for number, payload in enumerate(run.payloads):
            if qos and any(account.overdrawn_s(now) > 0 for account in self.accounts):
                broker.statistics.over_quota += 1
                why = "over quota: send it again later, more slowly"
                broker.refuse_message(connection, topic, qos, run.identifiers[number], ReasonCode.QUOTA_EXCEEDED, why)
                continue
            self.spend(1, len(payload) + len(run.topic) + _OVERHEAD_BYTES, now)
            payloads.append(payload)
            if qos:
                identifiers.append(run.identifiers[number])
        self._unanswered = self._unanswered or not qos
        return run._replace(payloads=payloads, identifiers=identifiers)


class Quotas:
    """The quotas that hold, and the accounts of the clients and tenants that they concern."""

    def __init__(self, share: float = 1.0) -> None:
        """`share`: the part of a tenant's quota that this process gives, when several serve it."""
        self._share = share
        self._quotas: dict[str, Quota] = {}
        self._clients: OrderedDict[tuple[str, str], Account] = OrderedDict()
        self._tenants: dict[str, Account] = {}

    def replace(self, quotas: Iterable[Quota]) -> bool:
        """From now on these; whether anything is different."""
        before, self._quotas = self._quotas, {quota.scope: quota for quota in quotas}
        return before != self._quotas

    def attach(self, broker: Broker, connection: Connection) -> None:
        """Give a connection that was accepted the quota that holds for it, or none."""
        accounts = self._accounts(connection.principal, connection.client) if self._quotas else []
        if not accounts:
            if connection.quota is not None:
                quota, connection.quota = connection.quota, None
                quota.lift()
        elif connection.quota is None:
            connection.quota = ConnectionQuota(broker, connection, accounts)
            connection.forget_verdicts()
        else:
            connection.quota.accounts = accounts
            connection.forget_verdicts()

    def _accounts(self, principal: Principal, client: str) -> list[Account]:
        found: list[Account] = []
        quota = self._quotas.get(principal.owner) or self._quotas.get("client")
        if quota is not None and _limits(quota):
            key = (principal.owner, client)
            account = self._clients.pop(key, None) or Account()
            account.limit(quota, 1.0)
            self._clients[key] = account
            if len(self._clients) > settings.CONNECTIONS_MAX:
                self._clients.popitem(last=False)
            found.append(account)
        quota = self._quotas.get(f"tenant:{principal.tenant}") or self._quotas.get("tenant")
        if quota is not None and _limits(quota):
            account = self._tenants.setdefault(principal.tenant, Account())
            account.limit(quota, self._share)
            found.append(account)
        return found


def _limits(quota: Quota) -> bool:
    return quota.messages_s is not None or quota.bytes_s is not None
