"""Kill what carries sessions, and see that every message reached whom it was promised.

    python -m tests.soak.sessions --seconds 3600 [--gateways N] [--seed N] [--data DIR]

Publishers with QoS 1 and 2 whose own sessions last; subscribers with sessions of QoS 1 and 2, some of them away for a
while; a shared subscription; retained messages. Now and then the gateway, the log's server or everything gets a
SIGKILL. Afterwards each acknowledged message was delivered to each session that subscribed, QoS 2 exactly once, and to
one member of the shared subscription; each topic's retained message is the last one; the gateway's memory is flat.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from allthings.testing.platform import Platform, wait_until
from tests.soak.sessions_fleet import Fleet, Subscriber, hang_up

TARGETS = ("gateway", "nats-server", "all", "gateway")
KILL_AFTER_S = (1.0, 4.0)
#: In a long run kills get rarer, so that memory is seen under steady traffic too.
PEACE_S_MAX = 30.0
RECOVERED_WITHIN_S = 60.0
SETTLED_WITHIN_S = 90.0
MESSAGES_PER_S = 60
FAULTS_SHOWN_MAX = 20
MEMORY_GROWTH_MB = 25.0


@dataclass
class Outcome:
    """What it came to; `faults` is empty when every promise was kept."""

    seed: int
    faults: list[str] = field(default_factory=list)
    kills: int = 0
    messages: int = 0
    deliveries: int = 0
    again: int = 0
    memory_mb: list[float] = field(default_factory=list)
    slowest_s: float = 0.0

    def __str__(self) -> str:
        memory = f"{self.memory_mb[0]:.0f} to {self.memory_mb[-1]:.0f} MB" if self.memory_mb else "not seen"
        return (
            f"seed {self.seed}: {self.kills} kills, {self.messages:,} messages acknowledged, {self.deliveries:,} "
            f"delivered, {self.again:,} of QoS 1 again; slowest recovery {self.slowest_s:.1f} s; gateway {memory}"
        )


class Soak:
    """The kills on one data directory."""

    def __init__(self, data: Path, seed: int, gateways: int = 1) -> None:
        self.outcome = Outcome(seed)
        self._random = random.Random(seed)
        self._platform = Platform(data, arguments=("--open", "--gateways", str(gateways)))
        self._fleet = Fleet(seed, MESSAGES_PER_S)

    def run(self, seconds: float, kills: int | None = None) -> Outcome:
        """For so long, or until so many kills; then the checks."""
        self._platform.start()
        try:
            self._fleet.start(self._platform.mqtt_host, self._platform.mqtt_port)
            self._progressed("the start")
            end = time.monotonic() + seconds
            while time.monotonic() < end and (kills is None or self.outcome.kills < kills):
                peace_s = self._random.uniform(*KILL_AFTER_S)
                if seconds > 600 and self._random.random() < 0.3:
                    peace_s = self._random.uniform(KILL_AFTER_S[1], PEACE_S_MAX)
                time.sleep(peace_s)
                self._note_memory()
                self._kill(self._random.choice(TARGETS))
            self._check()
        finally:
            self._fleet.stop()
            self._platform.kill_all() if self.outcome.faults else self._platform.stop()
        return self.outcome

    def _kill(self, target: str) -> None:
        platform = self._platform
        began = time.monotonic()
        self.outcome.kills += 1
        try:
            if target == "all":
                platform.kill_all()
                platform.launch()
            else:
                platform.kill(target)
        except KeyError:
            print(f"{target} did not run at that moment", flush=True)
        self._progressed(target)
        self.outcome.slowest_s = max(self.outcome.slowest_s, time.monotonic() - began)
        if self.outcome.kills % 20 == 0:
            self._count()
            print(self.outcome, flush=True)

    def _progressed(self, what: str) -> None:
        before = self._fleet.acknowledged

        def all_did() -> bool:
            return all(now > then for now, then in zip(self._fleet.acknowledged, before, strict=True))

        if not wait_until(all_did, RECOVERED_WITHIN_S):
            output = "\n".join(list(self._platform.output)[-40:])
            raise AssertionError(
                f"seed {self.outcome.seed}: {RECOVERED_WITHIN_S:g} s after {what} not everybody is acknowledged "
                f"anything: {before}, {self._fleet.acknowledged}; the platform said:\n{output}"
            )

    def _note_memory(self) -> None:
        if (gateway := self._platform.footprints().get("gateway")) is not None:
            self.outcome.memory_mb.append(gateway.uss_mb)

    def _count(self) -> None:
        fleet, outcome = self._fleet, self.outcome
        outcome.messages = sum(fleet.acknowledged)
        everyone = [*fleet.subscribers, *fleet.members]
        outcome.deliveries = sum(each.got.total() for each in everyone)
        outcome.again = sum(each.got.total() - len(each.got) for each in everyone)

    # Checks

    def _check(self) -> None:
        outcome, fleet = self.outcome, self._fleet
        self._platform.wait_ready()
        if left := fleet.settle(SETTLED_WITHIN_S):
            outcome.faults.append(f"{left} messages are not acknowledged after {SETTLED_WITHIN_S:g} s of peace")
        wait_until(lambda: not self._missing(), SETTLED_WITHIN_S)
        # What comes a second time would come soon.
        time.sleep(1.0)
        self._count()
        faults = self._missing()
        for publisher in fleet.publishers:
            faults += [f"{publisher.name}: {each} was refused" for each in publisher.refused]
        for subscriber in fleet.subscribers:
            faults += self._doubled(subscriber) + self._disordered(subscriber)
            faults += [f"{subscriber.name} lost its session"] * subscriber.sessions_lost
        faults += self._shared_doubled() + self._retained()
        memory = outcome.memory_mb
        if len(memory) >= 4 and min(memory[-3:]) > max(memory[:3]) + MEMORY_GROWTH_MB:
            faults.append(f"the gateway's memory grows: {memory}")
        outcome.faults += faults[:FAULTS_SHOWN_MAX]
        if len(faults) > FAULTS_SHOWN_MAX:
            outcome.faults.append(f"and {len(faults) - FAULTS_SHOWN_MAX} more")

    def _missing(self) -> list[str]:
        faults: list[str] = []
        for publisher in self._fleet.publishers:
            for topic, numbers in publisher.acknowledged.items():
                if topic.startswith("soak/"):
                    for subscriber in self._fleet.subscribers:
                        missing = [number for number in numbers if not subscriber.got[topic, number]]
                        if missing:
                            faults.append(f"{subscriber.name} misses {len(missing)} of {topic}: {missing[:5]}")
                elif topic.startswith("soak-shared/"):
                    missing = [n for n in numbers if not any(member.got[topic, n] for member in self._fleet.members)]
                    if missing:
                        faults.append(f"no member got {len(missing)} of {topic}: {missing[:5]}")
        return faults

    def _doubled(self, subscriber: Subscriber) -> list[str]:
        """What was published and subscribed with QoS 2 comes once."""
        if subscriber.qos < 2:
            return []
        twice = [key for key, times in subscriber.got.items() if times > 1 and key[0].startswith("soak/two")]
        return [f"{subscriber.name} got {len(twice)} messages of QoS 2 more than once: {twice[:5]}"] if twice else []

    def _disordered(self, subscriber: Subscriber) -> list[str]:
        return [
            f"{subscriber.name}: {topic} came out of order"
            for topic, numbers in subscriber.order.items()
            if numbers != sorted(numbers)
        ]

    def _shared_doubled(self) -> list[str]:
        times = sum((member.got for member in self._fleet.members), start=type(self._fleet.members[0].got)())
        twice = [key for key, count in times.items() if count > 1]
        return [f"members of the shared subscription got {len(twice)} messages twice: {twice[:5]}"] if twice else []

    def _retained(self) -> list[str]:
        (publisher,) = (each for each in self._fleet.publishers if each.retain)
        found = retained(self._platform, "soak-state/#", len(publisher.acknowledged))
        return [
            f"{topic} has {found.get(topic)} retained, not {max(numbers)}"
            for topic, numbers in publisher.acknowledged.items()
            if found.get(topic) != max(numbers)
        ]


def retained(platform: Platform, topic_filter: str, count: int) -> dict[str, int]:
    """What a newcomer finds."""
    found: dict[str, int] = {}
    complete = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)

    def on_message(_client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        if message.retain:
            found[message.topic] = int(message.payload)
        if len(found) >= count:
            complete.set()

    client.on_connect = lambda *_: client.subscribe(topic_filter, 1)
    client.on_message = on_message
    client.connect(platform.mqtt_host, platform.mqtt_port)
    client.loop_start()
    complete.wait(20)
    client.disconnect()
    hang_up(client)
    return found


def run(seconds: float, seed: int, data: Path, kills: int | None = None, gateways: int = 1) -> Outcome:
    """Soak on a data directory; prints what it does, the seed first."""
    print(f"seed {seed}", flush=True)
    outcome = Soak(data, seed, gateways).run(seconds, kills)
    print(outcome)
    return outcome


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--kills", type=int, help="end after so many")
    parser.add_argument("--gateways", type=int, default=1)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--data", type=Path, help="a folder that is kept; without it a temporary one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        data = arguments.data or Path(folder) / "data"
        outcome = run(arguments.seconds, arguments.seed, data, arguments.kills, arguments.gateways)
    for fault in outcome.faults:
        print(f"FAULT: {fault}")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(_main())
