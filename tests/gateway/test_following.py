"""A registry that changes, goes away, and comes back while clients are connected."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

import pytest

from allthings.gateway.access import Credentials, Principal
from allthings.gateway.following import Following
from allthings.gateway.quota import Quotas
from allthings.gateway.strict import Strict
from allthings.registry import Registry
from allthings.registry.access import Terms
from allthings.things.errors import UnavailableError
from allthings.things.times import now_ns


class Connection:
    """As much of a connection as following needs."""

    session = None
    quota = None
    client = "c"
    address = "10.0.0.1:1"

    def __init__(self, principal: Principal) -> None:
        self.principal = principal
        self.forgotten = 0
        self.refusals: list[str] = []

    def forget_verdicts(self) -> None:
        self.forgotten += 1

    def refuse(self, reason: object, why: str) -> None:
        self.refusals.append(why)


class Trail:
    def refused(self, *_: object, **__: object) -> None:
        """Not looked at here."""


class Sessions:
    """Nobody is away here; see test_access for who is."""

    by_client: ClassVar[dict[str, object]] = {}


class Broker:
    """As much of a broker as following needs."""

    def __init__(self, registry: Registry) -> None:
        self.credentials = Credentials(registry)
        self.connections: set[Connection] = set()
        self.quotas = Quotas()
        self.strict = Strict(now_ns)
        self.audit = Trail()
        self.sessions = Sessions()


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    opened = Registry(f"sqlite:///{tmp_path / 'registry.db'}")
    opened.migrate()
    opened.things.create({"title": "Lamp"}, now_ns(), "lamp")
    return opened


async def come_in(broker: Broker) -> Connection:
    principal = await broker.credentials.by_certificate("lamp")
    assert principal is not None
    principal.bind(broker.credentials.rules, "c")
    connection = Connection(principal)
    broker.connections.add(connection)
    return connection


async def test_while_the_registry_is_away_what_was_known_holds(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker(registry)
    following = Following(registry, broker)  # type: ignore[arg-type]
    assert await following.look()
    connection = await come_in(broker)
    assert connection.principal.may_publish("things/lamp/x")
    registry.access.remove("default-devices")

    def fail() -> None:
        raise UnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(registry, "versions", fail)
        assert not await following.look()
        assert connection.principal.may_publish("things/lamp/x")
    with monkeypatch.context() as patch:
        # In the middle of a change, too.
        patch.setattr(registry.credentials, "renew", lambda _: fail())
        assert not await following.look()
        assert connection.principal.may_publish("things/lamp/x")
    assert await following.look()
    assert not connection.principal.may_publish("things/lamp/x")
    assert connection.forgotten == 1
    assert connection.refusals == []
    registry.close()


async def test_what_does_not_concern_a_client_leaves_it_alone(registry: Registry) -> None:
    broker = Broker(registry)
    following = Following(registry, broker)  # type: ignore[arg-type]
    await following.look()
    connection = await come_in(broker)
    registry.access.create(Terms("users", "a", publish=True, subscribe=True), 1)
    registry.things.create({"title": "Pump"}, now_ns(), "pump")
    await following.look()
    assert (connection.forgotten, connection.refusals) == (0, [])
    registry.things.patch("pump", {"allthings:strict": True}, now_ns())
    await following.look()
    assert connection.forgotten == 1
    registry.things.remove("lamp")
    await following.look()
    assert connection.refusals == ["its credentials are no longer valid"]
    registry.close()


async def test_who_came_in_while_a_change_was_taken_over_is_not_missed(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker(registry)
    following = Following(registry, broker)  # type: ignore[arg-type]
    await following.look()
    late = await broker.credentials.by_certificate("lamp")
    assert late is not None
    registry.credentials.set_device_password("lamp", "first password", now_ns())
    known = await broker.credentials.by_password("lamp", "first password")
    assert known is not None
    registry.credentials.set_device_password("lamp", "second password", now_ns())
    assert broker.credentials.known("lamp", "first password") is not None
    renew = registry.credentials.renew
    connection = Connection(known)
    rounds: list[int] = []

    def slow(standings: set[object]) -> object:
        rounds.append(len(standings))
        broker.connections.add(connection)
        return renew(standings)  # type: ignore[arg-type]

    monkeypatch.setattr(registry.credentials, "renew", slow)
    other = Connection(late)
    broker.connections.add(other)
    async with asyncio.timeout(10):
        await following.look()
    assert rounds
    assert connection.refusals == ["its credentials are no longer valid"]
    assert other.refusals == []
    assert broker.credentials.known("lamp", "first password") is None
    registry.close()


async def test_it_begins_when_the_registry_is_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    registry = Registry(f"sqlite:///{tmp_path / 'late.db'}")
    broker = Broker(registry)
    stop = asyncio.Event()
    beginning = asyncio.create_task(Following(registry, broker).begin(stop))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    assert not beginning.done()
    await asyncio.to_thread(registry.migrate)
    async with asyncio.timeout(10):
        await beginning
    assert broker.credentials.rules.grants(None, "c").grants == ()
    # That the platform is a little later than the gateway is no trouble.
    assert [record.message for record in caplog.records if record.name.startswith("allthings.gateway")] == []
    registry.close()


async def test_it_says_what_it_waits_for_when_that_lasts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr("allthings.gateway.settings.MIGRATION_S", 0.0)
    registry = Registry(f"sqlite:///{tmp_path / 'never.db'}")
    stop = asyncio.Event()
    beginning = asyncio.create_task(Following(registry, Broker(registry)).begin(stop))  # type: ignore[arg-type]
    async with asyncio.timeout(10):
        while "to bring the registry up to date" not in caplog.text:
            await asyncio.sleep(0.01)
        stop.set()
        await beginning
    registry.close()
