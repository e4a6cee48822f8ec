"""Failed logins are counted together by all that ask for a name."""

import asyncio
from pathlib import Path

import pytest

from allthings.gateway import settings
from allthings.gateway.attempts import SharedAttempts
from allthings.log.stream import Log
from allthings.registry.registry import Registry
from allthings.registry.settings import ATTEMPTS_BURST
from allthings.things.times import now_ns
from tests.gateway.codes import paho
from tests.gateway.conftest import Gateway

A, B = "203.0.113.7", "2001:db8::7"


async def told(teller: SharedAttempts, *hearers: SharedAttempts) -> bytes:
    async with asyncio.timeout(1):
        note = await teller.note()
    for hearer in hearers:
        hearer.hear(note, 0)
    return note


async def test_what_fails_at_one_counts_at_the_other() -> None:
    here, there = SharedAttempts(), SharedAttempts()
    for _ in range(ATTEMPTS_BURST // 2):
        here.failed(A, 0)
        there.failed(A, 0)
        here.failed(B, 0)
    note = await told(here, there)
    here.hear(note, 0)
    assert there.wait_s(A, 0) > 0
    assert here.wait_s(A, 0) == 0, "it heard itself"
    assert there.wait_s("2001:db8::ffff", 0) == 0
    await told(there, here)
    assert here.wait_s(A, 0) > 0
    # What was heard is not told again: two would go on for ever.
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await here.note()


async def test_who_succeeds_starts_anew_everywhere() -> None:
    here, there = SharedAttempts(), SharedAttempts()
    for _ in range(ATTEMPTS_BURST):
        there.failed(A, 0)
    await told(there, here)
    here.succeeded(A)
    here.failed(A, 0)
    await told(here, there)
    for _ in range(ATTEMPTS_BURST - 1):
        assert there.wait_s(A, 0) == 0
        there.failed(A, 0)
    assert there.wait_s(A, 0) > 0
    # Who never failed is nobody's business.
    here.succeeded("203.0.113.8")
    assert b"203.0.113.8" not in await told(there)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await here.note()


async def test_notes_are_bounded_however_many_fail() -> None:
    here, there = SharedAttempts(), SharedAttempts()
    for number in range(20 * settings.ATTEMPTS_TOLD_MAX):
        here.failed(f"2001:db8:{number:x}::1", 0)
    for _ in range(1000):
        here.failed("2001:db8:0::1", 0)
    assert len(await told(here, there)) < 40 * settings.ATTEMPTS_TOLD_MAX
    assert there.wait_s("2001:db8:0::1", 0) > 0


async def test_two_gateways_allow_no_more_than_one(
    gateway: Gateway, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(f"sqlite:///{tmp_path / 'registry.db'}")
    registry.migrate()
    registry.users.create("ann", "correct horse battery", "admin")
    verified: list[str] = []
    monkeypatch.setattr(registry.credentials, "by_password", lambda name, secret: verified.append(name))
    web = SharedAttempts()
    sharing = asyncio.create_task(web.share(log, now_ns))
    async with gateway(registry) as one, gateway(registry) as other:
        codes = []
        for turn in range(2 * ATTEMPTS_BURST):
            async with paho((one, other)[turn % 2], "ann", "wrong", accepted=False) as client:
                codes.append((await client.connected).code)
            await asyncio.sleep(2 * settings.ATTEMPTS_TOLD_EVERY_S)
        assert codes[:ATTEMPTS_BURST] == [0x86] * ATTEMPTS_BURST
        assert codes[-1] == 0x9F
        # One further attempt is earned each ATTEMPT_EVERY_S: this takes half a minute when the machine is busy.
        assert len(verified) < 2 * ATTEMPTS_BURST
        assert web.wait_s("127.0.0.1", now_ns()) > 0
    sharing.cancel()
    registry.close()
