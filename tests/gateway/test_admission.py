"""Storms: who is connected has its turn while thousands come in, and few passwords are verified at once."""

from __future__ import annotations

import asyncio
import gc
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from allthings.gateway import settings
from allthings.gateway.access import Credentials, Principal
from allthings.gateway.admission import Admission, Refusal, host
from allthings.gateway.listeners import Listener
from allthings.mqtt.packets import Connect
from allthings.mqtt.reasons import ReasonCode
from allthings.mqtt.versions import V5
from allthings.registry import Registry
from allthings.registry.attempts import Attempts
from allthings.things.times import now_ns
from tests.gateway.codes import connect, packet, paho
from tests.gateway.conftest import Gateway, wire

STORM = 3_000
PASSWORD = "correct horse battery"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry(f"sqlite:///{tmp_path / 'registry.db'}")
    opened.migrate()
    opened.things.create({"title": "Lamp"}, now_ns(), "lamp")
    opened.users.create("ann", PASSWORD, "admin")
    yield opened
    opened.close()


class Client:
    """As much of a connection as admission needs."""

    checking = True
    certificate_name = ""

    def __init__(self, address: str = "10.0.0.1:1") -> None:
        self.address = address

    def abort(self) -> None:
        self.checking = False


Found = Principal | Refusal


class Desk:
    """An admission with what it decided."""

    def __init__(self, registry: Registry | None) -> None:
        self.credentials = Credentials(registry)
        self.decided: asyncio.Queue[tuple[Client, Found]] = asyncio.Queue()
        self.admission = Admission(self.credentials, Attempts(), now_ns, self._decided)  # type: ignore[arg-type]

    def _decided(self, connection: Client, packet: Connect, found: Found) -> None:
        connection.checking = False
        self.decided.put_nowait((connection, found))

    def come(self, client: Client, name: str | None = None, secret: str | None = None) -> None:
        password = None if secret is None else secret.encode()
        self.admission.add(client, Connect(version=V5, client_id="c", user_name=name, password=password))  # type: ignore[arg-type]

    async def next(self) -> Found:
        async with asyncio.timeout(30):
            return (await self.decided.get())[1]


async def run(desk: Desk, work: Callable[[], object]) -> None:
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(desk.admission.run())
        await work()  # type: ignore[misc]
        running.cancel()


async def test_each_gets_its_verdict(registry: Registry) -> None:
    desk = Desk(registry)
    token = registry.tokens.create("device", "lamp", "", now_ns()).secret

    async def work() -> None:
        for name, secret, expected in (
            ("lamp", token, "thing:lamp"),
            ("lamp", token, "thing:lamp"),
            ("ann", PASSWORD, "user:ann"),
            ("lamp", token[:-1] + "x", ReasonCode.BAD_USER_NAME_OR_PASSWORD),
            ("ann", token, ReasonCode.BAD_USER_NAME_OR_PASSWORD),
            ("ann", "", ReasonCode.BAD_USER_NAME_OR_PASSWORD),
            (None, None, ReasonCode.BAD_USER_NAME_OR_PASSWORD),
        ):
            desk.come(Client(), name, secret)
            found = await desk.next()
            assert (found.owner if isinstance(found, Principal) else found.reason) == expected
        certified = Client()
        certified.certificate_name = "lamp"
        desk.come(certified)
        found = await desk.next()
        assert isinstance(found, Principal)
        assert found.owner == "thing:lamp"
        certified = Client()
        certified.certificate_name = "nobody"
        desk.come(certified)
        assert isinstance(await desk.next(), Refusal)

    await run(desk, work)


async def test_few_passwords_wait_and_the_rest_is_asked_to_come_back(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "PASSWORDS_WAITING_MAX", 3)
    desk = Desk(registry)
    verified: list[str] = []
    monkeypatch.setattr(
        registry.credentials, "by_password", lambda name, secret: (verified.append(name), time.sleep(0.05), None)[2]
    )

    async def work() -> None:
        clients = [Client(f"10.0.{number}.1:1") for number in range(20)]
        for client in clients:
            desk.come(client, "ann", "guess")
        found = [await desk.next() for _ in clients]
        reasons = [one.reason for one in found if isinstance(one, Refusal)]
        assert reasons.count(ReasonCode.CONNECTION_RATE_EXCEEDED) == 17
        assert reasons.count(ReasonCode.BAD_USER_NAME_OR_PASSWORD) == 3
        gone = Client("10.1.0.1:1")
        desk.come(gone, "ann", "guess")
        gone.checking = False
        last = Client("10.1.0.2:1")
        desk.come(last, "ann", "guess")
        await desk.next()

    await run(desk, work)
    assert len(verified) == 4
    assert len(desk.admission) == 0


async def test_one_address_burns_no_more_than_its_attempts(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(registry)
    verified: list[str] = []
    monkeypatch.setattr(registry.credentials, "by_password", lambda name, secret: verified.append(name))

    async def work() -> None:
        for number in range(200):
            desk.come(Client(f"2001:db8::{number:x}:1883"), "ann", f"guess {number}")
        found = [await desk.next() for _ in range(200)]
        assert all(isinstance(one, Refusal) for one in found)

    await run(desk, work)
    assert 10 <= len(verified) <= 10 + settings.PASSWORDS_AT_ONCE


async def test_a_registry_that_is_away_refuses_and_does_not_stop_the_gateway(tmp_path: Path) -> None:
    away = Registry(f"sqlite:///{tmp_path / 'empty.db'}")
    desk = Desk(away)

    async def work() -> None:
        for _ in range(2):
            desk.come(Client(), "ann", "guess")
            found = await desk.next()
            assert isinstance(found, Refusal)
            assert found.reason == ReasonCode.SERVER_UNAVAILABLE

    await run(desk, work)
    away.close()


@pytest.mark.parametrize(
    ("address", "expected"),
    [("10.0.0.1:1883", "10.0.0.1"), ("fe80::1:1883", "fe80::1"), ("local", "local"), ("", "")],
)
def test_the_host_of_an_address(address: str, expected: str) -> None:
    assert host(address) == expected


#: A process of its own: thousands of sockets that say CONNECT as fast as they can, and then wait for their answers.
_STORM = """
import socket, struct, sys
port, secret, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
sockets = []
for number in range(count):
    one = socket.create_connection(("127.0.0.1", port), 60)
    texts = [each.encode() for each in (f"s{number}", "lamp", secret)]
    body = b"\\0\\4MQTT\\5\\xc2\\0\\x3c\\0" + b"".join(struct.pack(">H", len(each)) + each for each in texts)
    one.sendall(bytes([0x10, len(body)]) + body)
    sockets.append(one)
codes = [one.recv(4)[3:4].hex() for one in sockets]
print({code: codes.count(code) for code in set(codes)})
"""


@pytest.fixture
def settled() -> Iterator[None]:
    """Garbage collection as in the gateway's own process: not over all that a test run has loaded."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def wide() -> Iterator[socket.socket]:
    """A listening socket with a backlog as the platform's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 2 * STORM), hard), hard))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(4_096)
        listener.setblocking(False)
        yield listener


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.usefixtures("settled")
async def test_a_storm_does_not_starve_who_is_connected(
    gateway: Gateway, registry: Registry, wide: socket.socket, right: bool
) -> None:
    token = registry.tokens.create("device", "lamp", "", now_ns()).secret
    shown = token if right else token[:-1] + "x"
    body = b"\x00\x0dthings/lamp/x\x00\x07\x00" + b"1"
    message = (b"\x32" + bytes([len(body)]) + body).hex()

    async with gateway(registry, further=[Listener(wide)]) as port, wire(port) as client:

        async def publish() -> float:
            began = time.monotonic()
            await client.send(message)
            assert (await packet(client))[0] == 0x40
            return time.monotonic() - began

        await client.send(connect("lamp", token, client_id="me").hex())
        assert (await packet(client))[2] == 0
        await publish()
        arguments = ["-c", _STORM, str(wide.getsockname()[1]), shown, str(STORM)]
        storm = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
        ended = asyncio.create_task(storm.communicate())
        slowest = 0.0
        while not ended.done():
            slowest = max(slowest, await publish())
        codes = (await ended)[0].decode().strip()
        # 0.2 s where two cores have nothing else to do.
        assert slowest < 1.0
        if right:
            assert codes == f"{{'00': {STORM}}}"
        else:
            assert "00" not in codes
        async with paho(port, "lamp", token) as lamp:
            assert (await lamp.publish("things/lamp/x", "1")).code == 0
