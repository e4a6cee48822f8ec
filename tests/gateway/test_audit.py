"""What goes onto the audit list, and what a stranger cannot do to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from allthings.gateway import settings
from allthings.gateway.access import NOBODY, Principal
from allthings.gateway.audit import AuditTrail
from allthings.registry.credentials import Standing
from allthings.registry.registry import Registry

S = 1_000_000_000


class Client:
    def __init__(self, address: str, name: str = "", client: str = "c") -> None:
        self.address = address
        self.client = client
        self.principal = Principal(Standing("device", name, "", "main", "certificate")) if name else NOBODY


class Clock:
    now_ns = 1_000 * S

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry(f"sqlite:///{tmp_path}/registry.db")
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def trail(registry: Registry, clock: Clock) -> AuditTrail:
    return AuditTrail(registry, clock)


def test_a_refusal_is_listed_once_and_its_repetitions_are_counted(trail: AuditTrail, clock: Clock) -> None:
    client = Client("10.0.0.1:5", "lamp")
    for _ in range(1_000):
        trail.refused(client, "publish-refused", "a/b", "may not")  # type: ignore[arg-type]
    (entry,) = trail.due(clock.now_ns)
    assert (entry.kind, entry.who, entry.address, entry.what, entry.why, entry.client, entry.repeated) == (
        "publish-refused",
        "lamp",
        "10.0.0.1:5",
        "a/b",
        "may not",
        "c",
        0,
    )
    clock.now_ns += 61 * S
    (again,) = trail.due(clock.now_ns)
    assert (again.what, again.repeated, again.time_ns) == ("a/b", 999, clock.now_ns)
    assert trail.due(clock.now_ns + 600 * S) == []


def test_what_a_stranger_claims_is_told_and_cut(trail: AuditTrail, clock: Clock) -> None:
    trail.refused(Client("10.0.0.1:5", client=""), "login-refused", "connection", "no", who="x" * 9_999, client="y")  # type: ignore[arg-type]
    (entry,) = trail.due(clock.now_ns)
    assert len(entry.who) == 512
    assert entry.client == "y"


def test_one_client_has_little_room_and_others_have_theirs(trail: AuditTrail, clock: Clock) -> None:
    for number in range(1_000):
        trail.refused(Client(f"10.0.0.1:{number}", client=str(number)), "login-refused", f"x{number}", "no")  # type: ignore[arg-type]
    trail.refused(Client("10.0.0.2:1"), "login-refused", "x", "no")  # type: ignore[arg-type]
    trail.refused(Client("10.0.0.1:1", "lamp"), "publish-refused", "x", "no")  # type: ignore[arg-type]
    entries = trail.due(clock.now_ns)
    assert len(entries) == settings.AUDIT_BURST + 2
    clock.now_ns += 61 * S
    (told,) = trail.due(clock.now_ns)
    assert told.kind == "left-out"
    assert told.what == f"{1_000 - settings.AUDIT_BURST} further refusals were not listed"


def test_many_addresses_have_no_more_room_than_all_together(trail: AuditTrail, clock: Clock) -> None:
    for number in range(5_000):
        trail.refused(Client(f"10.0.{number // 250}.{number % 250}:1"), "login-refused", "x", "no")  # type: ignore[arg-type]
    assert len(trail.due(clock.now_ns)) == settings.AUDIT_ALL_BURST


def test_what_is_remembered_is_bounded(trail: AuditTrail, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "AUDIT_REMEMBERED_MAX", 3)
    for number in range(10):
        for _ in range(2):
            trail.refused(Client(f"10.0.0.{number}:1"), "login-refused", "x", "no")  # type: ignore[arg-type]
    assert len(trail.due(clock.now_ns)) == 10
    clock.now_ns += 61 * S
    later = trail.due(clock.now_ns)
    assert [entry.repeated for entry in later if entry.kind != "left-out"] == [1, 1, 1]
    assert [entry.what for entry in later if entry.kind == "left-out"] == ["7 further refusals were not listed"]


async def test_entries_are_written(trail: AuditTrail, registry: Registry) -> None:
    for _ in range(2):
        trail.refused(Client("10.0.0.1:5"), "login-refused", "connection", "no", who="eve")  # type: ignore[arg-type]
    await trail.write()
    assert [(one.who, one.repeated) for one in registry.audit.list().entries] == [("eve", 0)]
    await trail.write(last=True)
    assert [(one.who, one.repeated) for one in registry.audit.list().entries] == [("eve", 1), ("eve", 0)]


async def test_a_registry_that_is_away_costs_the_entries_and_nothing_else(clock: Clock, tmp_path: Path) -> None:
    away = Registry(f"sqlite:///{tmp_path}/not-migrated.db")
    trail = AuditTrail(away, clock)
    trail.refused(Client("10.0.0.1:5"), "login-refused", "connection", "no")  # type: ignore[arg-type]
    await trail.write()
    clock.now_ns += 61 * S
    assert [entry.what for entry in trail.due(clock.now_ns)] == ["1 further refusals were not listed"]
    away.close()


def test_without_a_registry_nothing_is_kept(clock: Clock) -> None:
    trail = AuditTrail(None, clock)
    trail.refused(Client("10.0.0.1:5"), "login-refused", "connection", "no")  # type: ignore[arg-type]
    assert trail.due(clock.now_ns) == []
