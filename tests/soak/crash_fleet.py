"""Twenty devices over real MQTT clients, which know exactly what they were promised."""

from __future__ import annotations

import json
import queue
import random
import threading
import time
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from allthings.testing import recordings
from allthings.things.times import format_time

DEVICES = 20
MESSAGES_PER_S = 100
IN_FLIGHT = 50
STEP_MS = 100
#: Times are given out in windows of this many steps, shuffled: late and early readings.
WINDOW = 8
ARRAY_SHARE = 0.2
CORRECTION_SHARE = 0.02
#: More than any value of the recordings, so that a corrected value is known for one.
CORRECTED_BY = 100_000
RECONNECT_S = (0.1, 0.5)
_TICK_S = 0.01

Values = dict[str, float]
Message = list[tuple[int, Values]]


class Device:
    """One thing with a client of its own. `kept[property][time in ms]` is the value that must be in the history.

    Only `start` and `stop` may be called from another thread than `turn`.
    """

    def __init__(self, name: str, recording: str, start_ms: int, seed: int, qos: int = 1) -> None:
        self.name = name
        self.kept: dict[str, dict[int, float]] = {}
        self.acknowledged = 0
        self.refusals: list[str] = []
        self._qos = qos
        self._random = random.Random(seed)
        self._times = self._moments(start_ms)
        self._rows = cycle(recordings.rows(recording))
        self._open: dict[int, Message] = {}
        self._to_correct: list[tuple[int, Values]] = []
        # The client's thread may hold locks of the client while it calls us: it only leaves a note here.
        self._answers: queue.SimpleQueue[tuple[int, ReasonCode]] = queue.SimpleQueue()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=name,
            protocol=mqtt.MQTTv5 if seed % 2 == 0 else mqtt.MQTTv311,
        )
        self._client.max_inflight_messages_set(IN_FLIGHT)
        self._client.max_queued_messages_set(0)
        self._client.reconnect_delay_set(*RECONNECT_S)  # type: ignore[arg-type]
        self._client.on_publish = self._on_publish

    def _moments(self, start_ms: int) -> Iterator[int]:
        while True:
            window = [start_ms + step * STEP_MS for step in range(WINDOW)]
            self._random.shuffle(window)
            yield from window
            start_ms += WINDOW * STEP_MS

    def start(self, host: str, port: int) -> None:
        """Connect, and from now on whenever the connection is lost; what was not acknowledged is sent again."""
        self._client.connect_async(host, port, keepalive=20)
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect for good."""
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def open(self) -> int:
        """Messages that are not acknowledged yet."""
        return len(self._open)

    def turn(self, publish: bool) -> None:
        """Take in what was acknowledged, and perhaps send one message: a row, buffered rows, or a correction."""
        while not self._answers.empty():
            self._take(*self._answers.get())
        if not publish or len(self._open) >= IN_FLIGHT:
            return
        if self._to_correct:
            moment, values = self._to_correct.pop()
            self._send([(moment, {name: value + CORRECTED_BY for name, value in values.items()})])
        else:
            count = 3 if self._random.random() < ARRAY_SHARE else 1
            self._send([(next(self._times), next(self._rows)) for _ in range(count)])

    def _send(self, message: Message) -> None:
        objects = [{"@time": self._written(moment), **values} for moment, values in message]
        payload = json.dumps(objects if len(objects) > 1 else objects[0])
        self._open[self._client.publish(f"things/{self.name}/properties", payload, qos=self._qos).mid] = message

    def _written(self, moment: int) -> Any:
        return moment if self._random.random() < 0.5 else format_time(moment * 1_000_000)

    def _on_publish(self, client: mqtt.Client, data: Any, mid: int, reason: ReasonCode, more: Properties) -> None:
        self._answers.put((mid, reason))

    def _take(self, mid: int, reason: ReasonCode) -> None:
        message = self._open.pop(mid)
        if reason.is_failure:
            self.refusals.append(str(reason))
            self._send(message)
            return
        self.acknowledged += 1
        for moment, values in message:
            for name, value in values.items():
                self.kept.setdefault(name, {})[moment] = float(value)
            if self._random.random() < CORRECTION_SHARE and max(values.values()) < CORRECTED_BY:
                self._to_correct.append((moment, values))


class Fleet:
    """All devices, and the thread that makes them publish. `qos_2_share`: how many of them do so with QoS 2."""

    def __init__(self, seed: int, now_ms: int, qos_2_share: float = 0.0, devices: int = DEVICES) -> None:
        start_ms = now_ms - 24 * 3600 * 1000
        self.start_ms = start_ms - start_ms % 60_000
        self.devices = [
            Device(
                *(f"soak-{number}", f"node-{number % 4 + 1}", self.start_ms, seed + number),
                qos=2 if number < qos_2_share * devices else 1,
            )
            for number in range(devices)
        ]
        self._running = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._pump, daemon=True)

    def start(self, host: str, port: int) -> None:
        """Connect all and begin."""
        for device in self.devices:
            device.start(host, port)
        self._running.set()
        self._thread.start()

    def _pump(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            due = max(due + 1 / MESSAGES_PER_S, time.monotonic() - 10 * _TICK_S)
            time.sleep(max(0.0, due - time.monotonic()))
            for device in self.devices:
                device.turn(publish=self._running.is_set())

    def settle(self, within_s: float) -> int:
        """Stop publishing and wait for all acknowledgements; how many are still open then."""
        self._running.clear()
        deadline = time.monotonic() + within_s
        while self.open and time.monotonic() < deadline:
            time.sleep(_TICK_S)
        return self.open

    def stop(self) -> None:
        """End all threads."""
        self._over.set()
        self._thread.join()
        for device in self.devices:
            device.stop()

    @property
    def open(self) -> int:
        return sum(device.open for device in self.devices)

    @property
    def acknowledged(self) -> list[int]:
        """Acknowledged messages by device."""
        return [device.acknowledged for device in self.devices]
