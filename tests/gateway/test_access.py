"""Who may do what, with real clients: credentials, rules, and their changes while clients are connected."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from allthings.gateway import settings
from allthings.gateway.access import ANYONE, Credentials
from allthings.mqtt.codec import encode
from allthings.mqtt.packets import Connect, Will
from allthings.mqtt.properties import Properties
from allthings.mqtt.versions import V5
from allthings.registry import Registry
from allthings.registry.access import Terms
from allthings.registry.settings import ATTEMPTS_BURST
from allthings.things.times import now_ns
from tests.gateway.codes import Paho, connect, packet, paho
from tests.gateway.conftest import Gateway, Wire, wire

VERSIONS = [pytest.param(4, id="3.1.1"), pytest.param(5, id="5")]
NOT_AUTHORIZED = 0x87
PASSWORD = "correct horse battery"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry(f"sqlite:///{tmp_path / 'registry.db'}")
    opened.migrate()
    for name in ("lamp", "pump"):
        opened.things.create({"title": name}, now_ns(), name)
    opened.users.create("ann", PASSWORD, "admin")
    opened.users.create("eve", PASSWORD, "viewer")
    yield opened
    opened.close()


@pytest.fixture
def token(registry: Registry) -> str:
    return registry.tokens.create("device", "lamp", "", now_ns()).secret


def allow(registry: Registry, subject: str, topic_filter: str, *, publish: bool = True, subscribe: bool = True) -> str:
    return registry.access.create(Terms(subject, topic_filter, publish, subscribe), now_ns()).id


#: A change holds within a second; this machine may be busy with other tests.
WITHIN_S = 3.0


async def until_published(client: Paho, topic: str, code: int) -> None:
    """Publish until the answer is `code`."""
    async with asyncio.timeout(WITHIN_S):
        while (await client.publish(topic, "1")).code != code:
            await asyncio.sleep(0.02)


async def test_a_rule_made_at_run_time_holds_for_open_connections(
    gateway: Gateway, registry: Registry, token: str
) -> None:
    async with gateway(registry) as port, paho(port, "lamp", token) as lamp:
        assert (await lamp.publish("things/lamp/x", "1")).code == 0
        answer = await lamp.publish("shared/lamp/x", "1")
        assert answer.code == NOT_AUTHORIZED
        assert "lamp may not publish to shared/lamp/x" in answer.why
        rule = allow(registry, "devices", "shared/{thing}/#")
        await until_published(lamp, "shared/lamp/x", 0)
        assert (await lamp.publish("shared/pump/x", "1")).code == NOT_AUTHORIZED
        registry.access.remove(rule)
        await until_published(lamp, "shared/lamp/x", NOT_AUTHORIZED)
        assert (await lamp.publish("things/lamp/x", "1")).code == 0


@pytest.mark.parametrize("sockets", [pytest.param(1, id="in the lane"), pytest.param(1000, id="alone")])
async def test_the_shortest_way_of_a_message_obeys_too(
    gateway: Gateway, registry: Registry, token: str, monkeypatch: pytest.MonkeyPatch, sockets: int
) -> None:
    """Equal packets one by one take ways of their own, which remember the verdict."""
    monkeypatch.setattr(settings, "LANE_SOCKETS_MIN", sockets)
    topic = b"things/lamp/x"
    async with gateway(registry) as port, wire(port) as client:
        await client.send(connect("lamp", token).hex())
        assert (await packet(client))[2] == 0
        publish = len(topic).to_bytes(2) + topic + b"\x00\x07\x00" + b"1"
        message = (b"\x32" + bytes([len(publish)]) + publish).hex()
        for _ in range(3):
            await client.send(message)
            assert await client.receive(4) == "40 02 00 07"
        registry.access.remove("default-devices")
        async with asyncio.timeout(WITHIN_S):
            while True:
                await client.send(message)
                if (await packet(client))[3:4] == b"\x87":
                    break
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("protocol", VERSIONS)
async def test_what_is_too_broad_is_refused_in_the_suback(
    gateway: Gateway, registry: Registry, token: str, protocol: int
) -> None:
    refused = NOT_AUTHORIZED if protocol == 5 else 0x80
    async with gateway(registry) as port, paho(port, "lamp", token, protocol=protocol) as lamp:
        for topic_filter in ("#", "+/#", "things/#", "things/+/desired", "things/pump/desired", "$SYS/#", "+/lamp/x"):
            assert await lamp.subscribe(topic_filter) == refused, topic_filter
        for topic_filter in ("things/lamp/#", "things/lamp/desired", "things/lamp/+/x"):
            assert await lamp.subscribe(topic_filter) == 1, topic_filter
        async with asyncio.timeout(WITHIN_S):
            while not _refused(registry) >= {("lamp", "#"), ("lamp", "things/pump/desired")}:
                await asyncio.sleep(0.02)


def _refused(registry: Registry) -> set[tuple[str, str]]:
    """Whose subscriptions to what the audit list has as refused."""
    return {(one.who, one.what) for one in registry.audit.list(kind="subscribe-refused").entries}


async def test_a_subscription_that_is_no_longer_allowed_ends(gateway: Gateway, registry: Registry, token: str) -> None:
    rule = allow(registry, "thing:lamp", "news/#")
    async with (
        gateway(registry) as port,
        paho(port, "lamp", token) as lamp,
        paho(port, "ann", PASSWORD) as ann,
    ):
        assert await lamp.subscribe("news/#") == 1
        assert await lamp.subscribe("things/lamp/#") == 1
        await ann.publish("news/a", "first")
        assert (await lamp.next_message()).payload == b"first"
        registry.access.remove(rule)
        await until_published(lamp, "news/a", NOT_AUTHORIZED)
        while not lamp.messages.empty():
            lamp.messages.get_nowait()
        await ann.publish("news/a", "second")
        await ann.publish("things/lamp/desired", "last")
        assert (await lamp.next_message()).payload == b"last"
    entries = registry.audit.list(kind="subscription-removed").entries
    assert [(one.who, one.what) for one in entries] == [("lamp", "news/#")]


@pytest.mark.parametrize("protocol", VERSIONS)
async def test_a_revoked_token_ends_its_connections_without_their_will(
    gateway: Gateway, registry: Registry, protocol: int
) -> None:
    lost, kept = (registry.tokens.create("device", "lamp", "", now_ns()) for _ in range(2))
    async with (
        gateway(registry) as port,
        paho(port, "ann", PASSWORD) as ann,
        paho(port, "lamp", lost.secret, protocol=protocol) as first,
        paho(port, "lamp", kept.secret, protocol=protocol) as second,
    ):
        assert await ann.subscribe("things/#") == 1
        registry.tokens.revoke(lost.id)
        async with asyncio.timeout(WITHIN_S):
            answer = await first.ended()
        if protocol == 5:
            assert answer.code == NOT_AUTHORIZED
        assert (await second.publish("things/lamp/x", "1")).code == 0
        async with paho(port, "lamp", lost.secret, protocol=protocol, accepted=False):
            pass


@pytest.mark.parametrize("away", [True, False])
@pytest.mark.parametrize("removed", ["rule", "thing", "token"])
async def test_a_will_is_not_said_when_its_owner_may_no_longer_say_it(
    gateway: Gateway, registry: Registry, removed: str, away: bool
) -> None:
    rule = allow(registry, "thing:lamp", "wills/+")
    allow(registry, "thing:pump", "wills/+")
    async with (
        gateway(registry) as port,
        paho(port, "ann", PASSWORD) as ann,
        wire(port) as lamp,
        wire(port) as pump,
    ):
        assert await ann.subscribe("wills/#") == 1
        token = await _with_will(lamp, registry, "lamp")
        await _with_will(pump, registry, "pump")
        if away:
            lamp.close()
        if removed == "rule":
            registry.access.remove(rule)
        elif removed == "token":
            registry.tokens.revoke(token)
        else:
            registry.things.remove("lamp")
        if removed == "rule" or away:
            async with asyncio.timeout(WITHIN_S):
                while [one.what for one in registry.audit.list(kind="message-refused").entries] != ["wills/lamp"]:
                    await asyncio.sleep(0.02)
        lamp.close()
        pump.close()
        # Its delay is the same, so that of the lamp would have come before.
        assert (await ann.next_message()).payload == b"pump"


async def _with_will(client: Wire, registry: Registry, thing: str) -> str:
    """Connect as a device with a will that waits for some seconds after its loss; the id of its token."""
    will = Will(f"wills/{thing}", thing.encode(), properties=Properties(will_delay_interval=4))
    token = registry.tokens.create("device", thing, "", now_ns())
    lasting = Properties(session_expiry_interval=100)
    connecting = Connect(thing, user_name=thing, password=token.secret.encode(), will=will, properties=lasting)
    await client.send(encode(connecting, V5).hex())
    assert (await packet(client))[2] == 0
    return token.id


async def test_what_else_ends_a_connection(gateway: Gateway, registry: Registry) -> None:
    registry.credentials.set_device_password("pump", PASSWORD, now_ns())
    program = registry.tokens.create("api", "eve", "", now_ns()).secret
    lamp = registry.tokens.create("device", "lamp", "", now_ns()).secret
    async with (
        gateway(registry) as port,
        paho(port, "pump", PASSWORD) as pump,
        paho(port, "eve", program) as program_of_eve,
        paho(port, "eve", PASSWORD) as eve,
        paho(port, "lamp", lamp) as device,
        paho(port, "ann", PASSWORD) as ann,
    ):
        registry.users.set_password("eve", PASSWORD + "2")
        assert (await eve.ended()).code == NOT_AUTHORIZED
        registry.credentials.set_device_password("pump", PASSWORD, now_ns())
        assert (await pump.ended()).code == NOT_AUTHORIZED
        registry.users.remove("eve")
        assert (await program_of_eve.ended()).code == NOT_AUTHORIZED
        registry.things.remove("lamp")
        assert (await device.ended()).code == NOT_AUTHORIZED
        assert (await ann.publish("a", "1")).code == 0


async def test_a_role_that_changes_holds_within_a_second(gateway: Gateway, registry: Registry) -> None:
    async with gateway(registry) as port, paho(port, "eve", PASSWORD) as eve:
        assert (await eve.publish("a/b", "1")).code == NOT_AUTHORIZED
        registry.users.change("eve", role="operator")
        await until_published(eve, "a/b", 0)
        registry.users.change("eve", role="viewer")
        await until_published(eve, "a/b", NOT_AUTHORIZED)


async def test_a_device_may_have_a_password(gateway: Gateway, registry: Registry) -> None:
    registry.credentials.set_device_password("lamp", "chosen by a person", now_ns())
    async with gateway(registry) as port:
        for _ in range(2):
            async with paho(port, "lamp", "chosen by a person", protocol=4) as lamp:
                assert (await lamp.publish("things/lamp/x", "1")).code == 0
        async with paho(port, "pump", "chosen by a person", accepted=False):
            pass


async def test_clients_without_credentials_come_in_only_by_a_rule(gateway: Gateway, registry: Registry) -> None:
    async with gateway(registry) as port:
        async with paho(port, accepted=False):
            pass
        rule = allow(registry, "anonymous", "public/{client}/#")
        await asyncio.sleep(WITHIN_S / 2)
        async with paho(port, client_id="kiosk") as kiosk:
            assert (await kiosk.publish("public/kiosk/x", "1")).code == 0
            assert (await kiosk.publish("public/other/x", "1")).code == NOT_AUTHORIZED
            assert await kiosk.subscribe("#") == NOT_AUTHORIZED
            registry.access.remove(rule)
            assert (await kiosk.ended()).code == NOT_AUTHORIZED


@pytest.mark.parametrize("client_id", ["#", "+", "+/#", "a/b"])
async def test_a_client_id_that_looks_like_a_wildcard_opens_nothing(
    gateway: Gateway, registry: Registry, token: str, client_id: str
) -> None:
    allow(registry, "devices", "clients/{client}/#")
    async with gateway(registry) as port, paho(port, "lamp", token, client_id=client_id) as lamp:
        assert await lamp.subscribe("clients/#") == NOT_AUTHORIZED
        assert (
            await lamp.subscribe(f"clients/{client_id}/#" if "#" not in client_id else "clients/+/#") == NOT_AUTHORIZED
        )
        assert (await lamp.publish("clients/other/x", "1")).code == NOT_AUTHORIZED


@pytest.mark.parametrize("protocol", VERSIONS)
async def test_who_fails_too_often_is_not_even_verified(
    gateway: Gateway, registry: Registry, token: str, protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    # At once, so that the test takes less time than a further attempt is earned in.
    monkeypatch.setattr(registry.credentials, "by_password", lambda name, secret: verified.append(name))
    async with gateway(registry) as port:
        async with paho(port, "lamp", token, protocol=protocol):
            pass
        codes = []
        for _ in range(ATTEMPTS_BURST + 3):
            async with paho(port, "ann", "wrong", protocol=protocol, accepted=False) as client:
                codes.append((await client.connected).code)
        assert len(verified) <= ATTEMPTS_BURST + 1
        if protocol == 5:
            assert codes[:ATTEMPTS_BURST] == [0x86] * ATTEMPTS_BURST
            assert codes[-1] == 0x9F
        before = len(verified)
        async with paho(port, "ann", PASSWORD, protocol=protocol, accepted=False):
            pass
        assert len(verified) == before
        # Nobody can guess a token, so a device that was here before is not kept out by its neighbour.
        async with paho(port, "lamp", token, protocol=protocol) as lamp:
            assert (await lamp.publish("things/lamp/x", "1")).code == 0
    refused = registry.audit.list(kind="login-refused").entries
    assert {one.who for one in refused} == {"ann"}
    assert any("too many logins" in one.why for one in refused) or refused[0].repeated


async def test_certificates_are_things(registry: Registry) -> None:
    credentials = Credentials(registry)
    principal = await credentials.by_certificate("lamp")
    assert principal is not None
    principal.bind(credentials.rules, "c")
    assert principal.owner == "thing:lamp"
    assert await credentials.by_certificate("nobody") is None
    assert await Credentials(None).by_certificate("nobody") is ANYONE


async def test_in_open_mode_anyone_may_do_anything(gateway: Gateway) -> None:
    async with gateway() as port, paho(port) as client:
        assert await client.subscribe("#") == 1
        assert await client.subscribe("$SYS/#") == 1
        assert (await client.publish("anything", "1")).code == 0
        assert (await client.publish("$SYS/x", "1")).code == NOT_AUTHORIZED
