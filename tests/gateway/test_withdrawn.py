"""What waits for a client that may not read it any more does not reach it, and is not lost to others who share it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from allthings.gateway import admission, settings
from allthings.gateway.access import Principal
from allthings.gateway.rules import Grant, Grants
from allthings.registry.access import AccessRule
from tests.gateway.station import Publish, Station, subscribe

#: Not `#`: others leave retained messages in the log.
EVERYTHING = "withdrawn/#"
SECRETS = ["withdrawn/secret/1", "withdrawn/secret/2", "withdrawn/secret/3"]
RULE = AccessRule("anonymous", "withdrawn/open/#", True, True, id="open", created_ns=0)
NARROW = Principal(None, Grants((Grant(("withdrawn", "open", "#"), True, True, RULE),)))

Withdraw = Callable[[], None]


@pytest.fixture
def withdraw(monkeypatch: pytest.MonkeyPatch) -> Withdraw:
    """From now on whoever comes may read what is open only."""
    return lambda: monkeypatch.setattr(admission, "ANYONE", NARROW)


async def publish(station: Station, qos: int, *topics: str) -> None:
    peer = await station.connect("publisher")
    for number, topic in enumerate(topics, 1):
        peer.send(Publish(topic, topic.encode(), qos, packet_id=number))
    await station.settle()
    peer.vanish()
    await station.settle()


@pytest.mark.parametrize("memory", [2, 1000])
@pytest.mark.parametrize("flying", [0, 1])
@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("crash", ["", "before", "after"])
async def test_who_comes_back_gets_only_what_it_may_read_now(
    station: Station,
    monkeypatch: pytest.MonkeyPatch,
    withdraw: Withdraw,
    memory: int,
    flying: int,
    qos: int,
    crash: str,
) -> None:
    monkeypatch.setattr(settings, "SESSION_MEMORY_MESSAGES_MAX", memory)
    peer = await station.session("a", EVERYTHING, qos=qos, receive_maximum=1)
    if not flying:
        peer.vanish()
        await station.settle()
    await publish(station, qos, "withdrawn/secret/1", "withdrawn/open/1", "withdrawn/secret/2", "withdrawn/open/2")
    assert len(peer.publishes()) == flying
    peer.vanish()
    await station.settle()
    if crash == "before":
        await station.restart()
    withdraw()
    if crash == "after":
        peer = await station.connect("a", clean=False, expiry_s=1000, receive_maximum=1)
        await station.restart()
    peer = await station.connect("a", clean=False, expiry_s=1000)
    assert await station.take_all(peer) == [b"withdrawn/open/1", b"withdrawn/open/2"]
    assert station.broker.sessions.by_client["a"].queued == 0
    assert EVERYTHING not in station.broker.sessions.by_client["a"].filters


@pytest.mark.parametrize("qos", [1, 2])
async def test_who_is_there_gets_no_more_of_it_at_once(
    station: Station, monkeypatch: pytest.MonkeyPatch, qos: int
) -> None:
    peer = await station.session("a", EVERYTHING, qos=qos, receive_maximum=1)
    await publish(station, qos, "withdrawn/open/1", "withdrawn/secret/1", "withdrawn/open/2", "withdrawn/secret/2")
    session = station.broker.sessions.by_client["a"]
    monkeypatch.setattr(peer.connection, "principal", NARROW)
    station.broker.subscriptions.withdraw(peer.connection, session)
    session.withdraw()
    assert await station.take_all(peer) == [b"withdrawn/open/1", b"withdrawn/open/2"]


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("memory", [2, 1000])
async def test_what_a_shared_subscription_gave_goes_to_another_member(
    station: Station, monkeypatch: pytest.MonkeyPatch, withdraw: Withdraw, qos: int, memory: int
) -> None:
    monkeypatch.setattr(settings, "SESSION_MEMORY_MESSAGES_MAX", memory)
    share = f"$share/g/{EVERYTHING}"
    one = await station.session("a", share, qos=qos)
    one.vanish()
    await station.settle()
    await publish(station, qos, *SECRETS, "withdrawn/open/1")
    other = await station.session("b", qos=qos)
    other.send(subscribe(share, qos))
    await station.settle()
    withdraw()
    one = await station.connect("a", clean=False, expiry_s=1000)
    assert await station.take_all(one) == [b"withdrawn/open/1"]
    assert await station.take_all(other) == [each.encode() for each in SECRETS]
