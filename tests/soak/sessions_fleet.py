"""Publishers and subscribers with sessions that last, which know exactly what they were promised and what they got."""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import Counter, defaultdict
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MessageState
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

IN_FLIGHT = 40
TOPICS = 4
RECONNECT_S = (0.05, 0.3)
SESSION_S = 7 * 86_400
#: Nothing new is published so soon after a connection was made: paho might send it before what it sends again.
CALM_S = 0.3
#: A PUBCOMP with it tells that the server was through with the message before (MQTT 5 section 3.7.2.1).
NOT_FOUND = 0x92
_TICK_S = 0.01


class LastingClient(mqtt.Client):
    """paho's client, but right about QoS 2 over several attempts to connect: it forgets with the second one that PUBREC
    has come, and would publish the message again instead of releasing it.
    """

    def _messages_reconnect_reset_out(self) -> None:
        received = (MessageState.MQTT_MS_WAIT_FOR_PUBCOMP, MessageState.MQTT_MS_RESEND_PUBREL)
        with self._out_message_mutex:
            released = [message for message in self._out_messages.values() if message.state in received]
            super()._messages_reconnect_reset_out()
            for message in released:
                message.state = MessageState.MQTT_MS_RESEND_PUBREL


def lasting_client(name: str, version: int) -> mqtt.Client:
    """A client whose session lasts, and that keeps its own side of it in memory over connections."""
    if version == 5:
        client = LastingClient(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
    else:
        client = LastingClient(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv311, clean_session=False)
    client.reconnect_delay_set(*RECONNECT_S)  # type: ignore[arg-type]
    client.max_inflight_messages_set(IN_FLIGHT)
    client.max_queued_messages_set(0)
    return client


def connect(client: mqtt.Client, version: int, host: str, port: int) -> None:
    """Connect, and from now on whenever the connection is lost."""
    if version == 5:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = SESSION_S
        client.connect_async(host, port, keepalive=10, clean_start=False, properties=properties)
    else:
        client.connect_async(host, port, keepalive=10)
    client.loop_start()


def hang_up(client: mqtt.Client) -> None:
    """End the client's thread and close its sockets, which paho leaves open."""
    client.loop_stop()
    client._reset_sockets()


class Publisher:
    """Publishes numbers with one QoS. `acknowledged` are those that the server has taken over, by topic."""

    def __init__(self, name: str, root: str, qos: int, version: int, *, retain: bool = False) -> None:
        self.name = name
        self.root = root
        self.qos = qos
        self.retain = retain
        self.acknowledged: dict[str, list[int]] = defaultdict(list)
        self.count = 0
        self.version = version
        self.client = lasting_client(name, version)
        self.client.on_publish = self._on_publish
        self.client.on_connect = self._on_connect
        self._connected_s = 0.0
        self._open: dict[int, tuple[str, int]] = {}
        # The client's thread may hold locks of the client while it calls us: it only leaves a note here.
        self._answers: queue.SimpleQueue[tuple[int, bool]] = queue.SimpleQueue()
        self.refused: list[str] = []

    def _on_publish(self, client: mqtt.Client, data: Any, mid: int, reason: Any, more: Any) -> None:
        self._answers.put((mid, reason.is_failure and reason.value != NOT_FOUND))

    def _on_connect(self, *_: Any) -> None:
        self._connected_s = time.monotonic()

    @property
    def open(self) -> int:
        return len(self._open)

    def turn(self, publish: bool) -> None:
        """Take in what was acknowledged, and perhaps publish one more."""
        while not self._answers.empty():
            mid, failed = self._answers.get()
            topic, number = self._open.pop(mid)
            if failed:
                self.refused.append(f"{topic} {number}")
            else:
                self.acknowledged[topic].append(number)
                self.count += 1
        calm = self.client.is_connected() and time.monotonic() > self._connected_s + CALM_S
        if publish and calm and len(self._open) < IN_FLIGHT:
            number = self.count + len(self._open)
            topic = f"{self.root}/{number % TOPICS}"
            info = self.client.publish(topic, b"%d" % number, self.qos, self.retain)
            self._open[info.mid] = (topic, number)


class Subscriber:
    """Counts what it gets. It may be away for a while."""

    def __init__(self, name: str, topic_filter: str, qos: int, version: int) -> None:
        self.name = name
        self.topic_filter = topic_filter
        self.qos = qos
        self.version = version
        self.got: Counter[tuple[str, int]] = Counter()
        self.order: dict[str, list[int]] = defaultdict(list)
        self.subscribed = threading.Event()
        self.sessions_lost = 0
        self.away = False
        self.client = lasting_client(name, version)
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = self._on_message

    def _on_connect(self, client: mqtt.Client, data: Any, flags: Any, reason: Any, more: Any) -> None:
        if reason.is_failure:
            return
        if not flags.session_present:
            self.sessions_lost += self.subscribed.is_set()
            client.subscribe(self.topic_filter, self.qos)

    def _on_message(self, client: mqtt.Client, data: Any, message: mqtt.MQTTMessage) -> None:
        number = int(message.payload)
        self.got[message.topic, number] += 1
        if self.got[message.topic, number] == 1:
            self.order[message.topic].append(number)

    def leave(self) -> None:
        """Be away, without a DISCONNECT half of the time."""
        self.away = True
        if random.random() < 0.5:
            self.client.disconnect()
        hang_up(self.client)

    def come_back(self, host: str, port: int) -> None:
        self.away = False
        connect(self.client, self.version, host, port)


class Fleet:
    """Everybody, and the thread that makes them publish."""

    def __init__(self, seed: int, rate_s: float) -> None:
        self._random = random.Random(seed)
        self._rate_s = rate_s
        self.publishers = [
            Publisher("pub-1", "soak/one", 1, 3),
            Publisher("pub-1-five", "soak/one-five", 1, 5),
            Publisher("pub-2", "soak/two", 2, 5),
            Publisher("pub-2-three", "soak/two-three", 2, 3),
            Publisher("pub-shared", "soak-shared/two", 2, 5),
            Publisher("pub-state", "soak-state/one", 1, 5, retain=True),
        ]
        self.subscribers = [
            Subscriber("sub-1", "soak/#", 1, 3),
            Subscriber("sub-2", "soak/#", 2, 5),
            Subscriber("sub-2-away", "soak/#", 2, 3),
            Subscriber("sub-1-away", "soak/#", 1, 5),
        ]
        self.members = [Subscriber(f"member-{number}", "$share/soak/soak-shared/#", 2, 5) for number in range(3)]
        self._running = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._place = ("", 0)

    def start(self, host: str, port: int) -> None:
        """Subscribe all, then publish."""
        self._place = (host, port)
        for each in (*self.subscribers, *self.members):
            connect(each.client, each.version, host, port)
        for each in (*self.subscribers, *self.members):
            assert each.subscribed.wait(30), f"{each.name} is not subscribed"
        for publisher in self.publishers:
            connect(publisher.client, publisher.version, host, port)
        self._running.set()
        self._thread.start()

    def _pump(self) -> None:
        due = away = time.monotonic()
        while not self._over.is_set():
            due = max(due + 1 / self._rate_s, time.monotonic() - 10 * _TICK_S)
            time.sleep(max(0.0, due - time.monotonic()))
            for publisher in self.publishers:
                publisher.turn(publish=self._running.is_set())
            if self._running.is_set() and time.monotonic() > away:
                away = time.monotonic() + self._random.uniform(0.5, 3)
                subscriber = self._random.choice([each for each in self.subscribers if "away" in each.name])
                subscriber.come_back(*self._place) if subscriber.away else subscriber.leave()

    @property
    def acknowledged(self) -> list[int]:
        return [publisher.count for publisher in self.publishers]

    def settle(self, within_s: float) -> int:
        """No more is published; wait for all acknowledgements. How many are still open then."""
        self._running.clear()
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline and (left := sum(each.open for each in self.publishers)):
            time.sleep(_TICK_S)
        for subscriber in self.subscribers:
            if subscriber.away:
                subscriber.come_back(*self._place)
        return left

    def stop(self) -> None:
        """End all threads."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        for each in (*self.publishers, *self.subscribers, *self.members):
            each.client.disconnect()
            hang_up(each.client)
