"""Quotas: what accounts earn and spend, and what clients feel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from allthings.gateway.quota import Account
from allthings.log.stream import Log
from allthings.registry import Quota, Registry
from allthings.things.times import now_ns
from tests.gateway.codes import Paho, paho
from tests.gateway.conftest import Gateway
from tests.log.test_stream import take

EXCEEDED = 0x97


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry(f"sqlite:///{tmp_path / 'registry.db'}")
    opened.migrate()
    opened.things.create({"title": "Lamp", "allthings:tenant": "acme"}, now_ns(), "lamp")
    opened.things.create({"title": "Pump"}, now_ns(), "pump")
    yield opened
    opened.close()


@pytest.fixture
def tokens(registry: Registry) -> dict[str, str]:
    return {name: registry.tokens.create("device", name, "", now_ns()).secret for name in ("lamp", "pump")}


def account(messages_s: float | None = None, bytes_s: float | None = None) -> Account:
    made = Account()
    made.limit(Quota("client", messages_s, bytes_s, "slow"), 1.0)
    return made


def test_an_account_has_a_second_s_worth_and_then_what_it_earns() -> None:
    one = account(messages_s=10)
    one.spend(10, 10**9, 100.0)
    assert one.overdrawn_s(100.0) == 0
    one.spend(5, 0, 100.0)
    assert one.overdrawn_s(100.0) == pytest.approx(0.5)
    assert one.overdrawn_s(100.4) == pytest.approx(0.1)
    assert one.overdrawn_s(100.6) == 0
    one.spend(10, 0, 200.0)
    assert one.overdrawn_s(200.0) == 0


def test_bytes_count_as_well_and_the_tighter_limit_wins() -> None:
    one = account(messages_s=1_000, bytes_s=100)
    one.spend(1, 400, 0.0)
    assert one.overdrawn_s(0.0) == pytest.approx(3.0)
    assert account().overdrawn_s(0.0) == 0
    assert account(messages_s=10).portion(50) == pytest.approx(50)
    assert account(bytes_s=1_000).portion(50) == pytest.approx(100)


async def seconds(client: Paho, topic: str, messages: int, qos: int = 1, size: int = 1) -> tuple[float, list[int]]:
    """How long it takes until all are answered, and the codes."""
    began = time.monotonic()
    answers = await asyncio.gather(*(client.publish(topic, b"1" * size, qos) for _ in range(messages)))
    return time.monotonic() - began, [answer.code for answer in answers]


@pytest.mark.parametrize("protocol", [4, 5])
async def test_a_client_over_its_quota_is_slowed_and_loses_nothing(
    gateway: Gateway, registry: Registry, tokens: dict[str, str], log: Log, protocol: int
) -> None:
    registry.quotas.put(Quota("client", 50, None, "slow"))
    before = (await log.status()).last
    async with (
        gateway(registry) as port,
        paho(port, "lamp", tokens["lamp"], protocol=protocol) as lamp,
        paho(port, "pump", tokens["pump"], protocol=protocol) as pump,
    ):
        took, codes = await seconds(lamp, "things/lamp/x", 150)
        assert codes == [0] * 150
        # One second's worth at once, the rest at 50 a second.
        assert 1.6 <= took <= 6
        took, _ = await seconds(pump, "things/pump/x", 20)
        assert took < 1
    count = sum(entry.batch.num_rows for entry in await take(log, before, (await log.status()).last - before))
    assert count >= 170
    (entry,) = [one for one in registry.audit.list(kind="over-quota").entries if not one.repeated]
    assert (entry.who, entry.what) == ("lamp", "slowed")


async def test_messages_without_an_answer_are_slowed_too(
    gateway: Gateway, registry: Registry, tokens: dict[str, str], log: Log
) -> None:
    registry.quotas.put(Quota("thing:lamp", None, 2_000, "refuse"))
    before = (await log.status()).last
    async with gateway(registry) as port, paho(port, "lamp", tokens["lamp"]) as lamp:
        began = time.monotonic()
        for number in range(100):
            await lamp.publish("things/lamp/x", str(number).rjust(30), 0)
        # 100 * (30 + 13 + 6) bytes = 4,900: one second's worth at once, then 1.4 s.
        count = 0
        while count < 100:
            await asyncio.sleep(0.05)
            entries = await take(log, before, (await log.status()).last - before)
            count = sum(1 for one in entries for topic in one.batch.column("topic").to_pylist() if topic)
        assert 1.0 <= time.monotonic() - began <= 6


async def test_refused_where_the_protocol_can_say_so(
    gateway: Gateway, registry: Registry, tokens: dict[str, str]
) -> None:
    registry.quotas.put(Quota("client", 20, None, "refuse"))
    async with (
        gateway(registry) as port,
        paho(port, "lamp", tokens["lamp"]) as new,
        paho(port, "pump", tokens["pump"], protocol=4) as old,
    ):
        took, codes = await seconds(new, "things/lamp/x", 200, qos=1)
        assert took < 3
        assert set(codes) == {0, EXCEEDED}
        assert 20 <= codes.count(0) <= 100
        for qos in (1, 2):
            answers = await asyncio.gather(*(new.publish("things/lamp/x", "1", qos) for _ in range(40)))
            refused = [answer for answer in answers if answer.code]
            # paho keeps the PUBREC's code to itself and shows that of the PUBCOMP: nothing was begun.
            assert {answer.code for answer in refused} == {EXCEEDED if qos == 1 else 0x92}
            assert qos == 2 or refused[0].why.startswith("over quota")
        await asyncio.sleep(0.2)
        assert (await new.publish("things/lamp/x", "1")).code == 0
        took, _ = await seconds(old, "things/pump/x", 60)
        assert 1.5 <= took <= 6


async def test_the_clients_of_a_tenant_share_its_quota(
    gateway: Gateway, registry: Registry, tokens: dict[str, str]
) -> None:
    registry.quotas.put(Quota("tenant:acme", 40, None, "slow"))
    async with (
        gateway(registry) as port,
        paho(port, "lamp", tokens["lamp"], client_id="a") as one,
        paho(port, "lamp", tokens["lamp"], client_id="b") as two,
        paho(port, "pump", tokens["pump"]) as free,
    ):
        began = time.monotonic()
        await asyncio.gather(seconds(one, "things/lamp/x", 60), seconds(two, "things/lamp/x", 60))
        assert 1.6 <= time.monotonic() - began <= 7
        took, _ = await seconds(free, "things/pump/x", 200)
        assert took < 1.5


async def test_a_quota_holds_and_is_lifted_within_a_second(
    gateway: Gateway, registry: Registry, tokens: dict[str, str]
) -> None:
    async with gateway(registry) as port, paho(port, "lamp", tokens["lamp"]) as lamp:
        took, _ = await seconds(lamp, "things/lamp/x", 100)
        assert took < 1.5
        registry.quotas.put(Quota("client", 5, None, "slow"))
        await asyncio.sleep(1)
        waiting = asyncio.create_task(seconds(lamp, "things/lamp/x", 500))
        await asyncio.sleep(1)
        assert not waiting.done()
        registry.quotas.remove("client")
        async with asyncio.timeout(3):
            _, codes = await waiting
        assert codes == [0] * 500


async def test_reconnecting_earns_nothing(gateway: Gateway, registry: Registry, tokens: dict[str, str]) -> None:
    registry.quotas.put(Quota("client", 20, None, "slow"))
    async with gateway(registry) as port:
        began = time.monotonic()
        for _ in range(4):
            async with paho(port, "lamp", tokens["lamp"], client_id="same") as lamp:
                await seconds(lamp, "things/lamp/x", 20)
        assert time.monotonic() - began >= 2


async def test_a_more_special_quota_wins(gateway: Gateway, registry: Registry, tokens: dict[str, str]) -> None:
    registry.quotas.put(Quota("client", 1, None, "slow"))
    registry.quotas.put(Quota("thing:lamp", None, None, "slow"))
    async with gateway(registry) as port, paho(port, "lamp", tokens["lamp"]) as lamp:
        took, _ = await seconds(lamp, "things/lamp/x", 100)
        assert took < 1.5
