"""Another stranger: what mosquitto_pub and mosquitto_sub write, and what the broker makes of our packets."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from allthings.mqtt.codec import decode, encode
from allthings.mqtt.frames import FrameReader
from allthings.mqtt.packets import (
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Will,
)
from allthings.mqtt.properties import Properties
from allthings.mqtt.reasons import ReasonCode
from allthings.mqtt.versions import V3, V5, Sender, Version
from tests.servers import Mosquitto

_WAIT_S = 20

versions = pytest.mark.parametrize("version", [V3, V5], ids=["3.1.1", "5"])


class Wire:
    """One end of a connection."""

    def __init__(self, connection: socket.socket, version: Version, peer: Sender) -> None:
        self._socket = connection
        self._socket.settimeout(_WAIT_S)
        self._version = version
        self._peer = peer
        self._reader = FrameReader(version=version)
        self._waiting: list[tuple[int, bytes]] = []

    def receive(self) -> Packet:
        while not self._waiting:
            data = self._socket.recv(65_536)
            assert data, "closed"
            self._waiting.extend(self._reader.feed(data))
        return decode(*self._waiting.pop(0), self._version, self._peer)

    def send(self, *packets: Packet) -> None:
        self._socket.sendall(b"".join(encode(packet, self._version) for packet in packets))

    def close(self) -> None:
        self._socket.close()


def _mosquitto_client(program: str, version: Version, arguments: list[str]) -> tuple[subprocess.Popen[str], Wire]:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed (Debian: mosquitto-clients)")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_WAIT_S)
        where = ["-h", "127.0.0.1", "-p", str(listener.getsockname()[1]), "-i", "mosq"]
        process = subprocess.Popen(
            [path, *where, "-V", "mqttv5" if version == V5 else "mqttv311", *arguments],
            stdout=subprocess.PIPE,
            text=True,
        )
        connection, _ = listener.accept()
    return process, Wire(connection, version, Sender.CLIENT)


@versions
def test_mosquitto_pub(version: Version) -> None:
    arguments = ["-t", "a/é", "-m", "hello", "-q", "2", "-r", "-u", "me", "-P", "secret", "-k", "33"]
    arguments += ["--will-topic", "will", "--will-payload", "gone", "--will-qos", "1"]
    sent = given = will = Properties()
    if version == V5:
        arguments += ["-D", "connect", "user-property", "a", "b", "-D", "connect", "receive-maximum", "9"]
        arguments += ["-D", "publish", "content-type", "text/plain", "-D", "publish", "correlation-data", "xyz"]
        arguments += ["-D", "publish", "message-expiry-interval", "7", "-D", "will", "will-delay-interval", "3"]
        given = Properties(user_property=(("a", "b"),), receive_maximum=9)
        sent = Properties(content_type="text/plain", correlation_data=b"xyz", message_expiry_interval=7)
        will = Properties(will_delay_interval=3)
    process, wire = _mosquitto_client("mosquitto_pub", version, arguments)
    connect = wire.receive()
    assert connect == Connect(
        "mosq", version, True, 33, "me", b"secret", Will("will", b"gone", 1, properties=will), given
    )
    wire.send(Connack())
    publish = wire.receive()
    assert publish == Publish("a/é", b"hello", 2, retain=True, packet_id=1, properties=sent)
    wire.send(Pubrec(1))
    assert wire.receive() == Pubrel(1)
    wire.send(Pubcomp(1))
    assert wire.receive() == Disconnect()
    wire.close()
    assert process.wait(_WAIT_S) == 0
    process.communicate()


@versions
def test_mosquitto_sub(version: Version) -> None:
    arguments = ["-t", "a/#", "-t", "b/+", "-q", "1", "-U", "c", "-C", "2", "-F", "%t %p %q %r"]
    process, wire = _mosquitto_client("mosquitto_sub", version, arguments)
    assert isinstance(wire.receive(), Connect)
    wire.send(Connack())
    assert wire.receive() == Subscribe(1, (Subscription("a/#", 1), Subscription("b/+", 1)))
    wire.send(Suback(1, (ReasonCode.GRANTED_QOS_1, ReasonCode.GRANTED_QOS_1)))
    assert wire.receive() == Unsubscribe(2, ("c",))
    wire.send(Unsuback(2, (ReasonCode.NO_SUBSCRIPTION_EXISTED,)))
    properties = Properties(subscription_identifier=(5,), user_property=(("x", "y"),))
    wire.send(
        Publish("a/é", b"one", 0, retain=True, properties=properties),
        Publish("b/2", b"two", 1, packet_id=77, properties=properties),
    )
    assert wire.receive() == Puback(77)
    assert wire.receive() == Disconnect()
    wire.close()
    output, _ = process.communicate(timeout=_WAIT_S)
    assert output.splitlines() == ["a/é one 0 1", "b/2 two 1 0"]


@pytest.fixture(scope="module")
def broker_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    broker = Mosquitto(tmp_path_factory.mktemp("mosquitto"))
    broker.start()
    yield broker.port
    broker.stop()


@versions
def test_broker(broker_port: int, version: Version) -> None:
    wire = Wire(socket.create_connection(("127.0.0.1", broker_port)), version, Sender.SERVER)
    v5 = version == V5
    will = Will("gone", b"bye", 1, True, Properties(will_delay_interval=1) if v5 else Properties())
    asked = Properties(session_expiry_interval=60, topic_alias_maximum=5) if v5 else Properties()
    wire.send(Connect("", version, True, 30, "me", b"secret", will, asked))
    connack = wire.receive()
    assert isinstance(connack, Connack)
    assert connack.reason_code == ReasonCode.SUCCESS
    assert bool(connack.properties.assigned_client_identifier) is v5
    wire.send(Pingreq())
    assert wire.receive() == Pingresp()
    subscription = Subscription("a/+", 2, retain_as_published=v5, retain_handling=1 if v5 else 0)
    wire.send(Subscribe(7, (subscription,), Properties(subscription_identifier=(9,)) if v5 else Properties()))
    assert wire.receive() == Suback(7, (ReasonCode.GRANTED_QOS_2,))
    sent = Properties(content_type="t", correlation_data=b"\0", user_property=(("k", "v"),))
    wire.send(Publish("a/b", b"x" * 300, 2, packet_id=11, properties=sent))
    assert wire.receive() == Pubrec(11)
    wire.send(Pubrel(11))
    answers = [wire.receive(), wire.receive()]
    assert Pubcomp(11) in answers
    (message,) = [answer for answer in answers if isinstance(answer, Publish)]
    assert (message.topic, message.payload, message.qos) == ("a/b", b"x" * 300, 2)
    if v5:
        assert message.properties.subscription_identifier == (9,)
        assert message.properties.content_type == "t"
        assert message.properties.user_property == (("k", "v"),)
    wire.send(Pubrec(message.packet_id))
    assert wire.receive() == Pubrel(message.packet_id)
    wire.send(Pubcomp(message.packet_id), Unsubscribe(8, ("a/+", "nobody")))
    unsuback = wire.receive()
    assert isinstance(unsuback, Unsuback)
    assert unsuback.packet_id == 8
    assert len(unsuback.reason_codes) == (2 if v5 else 0)
    wire.send(Disconnect())
    wire.close()
