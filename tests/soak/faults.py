"""Let the disk fail in every way, and see that every promise was kept.

    python -m tests.soak.faults --rounds 30 [--seed N]

Twenty real MQTT clients publish at QoS 1 and 2, and somebody uploads, to a platform on a small file system of its own.
In each round that fills up, or loses its inodes, or the log's server gets errors from it, once or for a while; now and
then a process is killed meanwhile. When the cause is over, service must be back within ten seconds; `/ready`, which is
asked all the time, may never be 200 while appends fail, nor be anything else for longer than that when they work.
Afterwards everything that was acknowledged must be in the history exactly once.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from allthings.testing.platform import Platform, wait_until
from tests.disks import SmallDisk, small_disk
from tests.soak import crash_checks
from tests.soak.crash_fleet import DEVICES, Fleet
from tests.soak.faults_injection import ERRORS, PLACES, Attached, Injection
from tests.soak.faults_load import THING, Answer, Asker, Uploads

DISK_MB = 400
INODES = 6_000
RESERVE_MB = 32
#: Half of it is free in "low": the log and the history can still write.
LOW_BYTES = RESERVE_MB * 500_000
LASTS_S = (1.5, 6.0)
QUIET_S = (0.5, 2.0)
KILL_SHARE = 0.3
KILLED = ("nats-server", "gateway", "platform")
#: What is promised.
BACK_WITHIN_S = 10.0
#: The devices come back one by one, and a process that was killed has to start.
ALL_BACK_WITHIN_S = 40.0
ACKNOWLEDGED_WITHIN_S = 60.0
GONE_WITHIN_S = 10.0


@dataclass(frozen=True)
class Fault:
    """One kind: of the whole disk (`full`, `low`, `inodes`), or an error in a place of the log's server."""

    place: str
    error: str = ""
    once: bool = False

    def __str__(self) -> str:
        return f"{self.error} of {self.place}{' once' if self.once else ''}" if self.error else self.place


DISK = tuple(Fault(place) for place in ("full", "low", "inodes"))
INJECTED = tuple(Fault(place, error, once) for once in (True, False) for place in PLACES for error in ERRORS)


@dataclass
class Outcome:
    """What the rounds came to; `faults` is empty when every promise was kept."""

    seed: int
    faults: list[str] = field(default_factory=list)
    back_s: list[tuple[str, float]] = field(default_factory=list)
    messages: int = 0
    values: int = 0
    uploaded: int = 0
    refused: dict[int, int] = field(default_factory=dict)


class Soak:
    """The rounds on one small disk."""

    def __init__(self, disk: SmallDisk, seed: int, devices: int) -> None:
        self.outcome = Outcome(seed)
        self._disk = disk
        self._random = random.Random(seed)
        self._platform = Platform(
            disk.folder / "data",
            environment={"ALLTHINGS_DISK_RESERVE_MB": str(RESERVE_MB), "ALLTHINGS_LOG_KEEP_GB": "0.1"},
        )
        self._fleet = Fleet(seed, int(time.time() * 1000), qos_2_share=0.25, devices=devices)
        self._uploads = Uploads(self._fleet.start_ms)
        self._asker = Asker()

    def run(self, rounds: list[tuple[Fault, bool]]) -> Outcome:
        """All rounds, each with a kill or without; then the checks."""
        platform = self._platform
        platform.start()
        try:
            self._fleet.start(platform.mqtt_host, platform.mqtt_port)
            self._uploads.start(platform.http)
            self._asker.start(platform.http)
            self._service("the start", time.monotonic(), ALL_BACK_WITHIN_S)
            for number, (fault, kill) in enumerate(rounds, 1):
                self._round(number, fault, kill)
                time.sleep(self._random.uniform(*QUIET_S))
            self._asker.stop()
            self._check()
        finally:
            self._disk.free()
            self._fleet.stop()
            platform.kill_all() if self.outcome.faults else platform.stop()
        self.outcome.faults += crash_checks.orphans(platform, GONE_WITHIN_S)
        return self.outcome

    # A round

    def _round(self, number: int, fault: Fault, kill: bool) -> None:
        what, killed_s = str(fault), 0.0
        failing: list[Attached] = []
        with self._injected(fault, failing) if fault.error else self._taken(fault, failing):
            time.sleep(self._random.uniform(*LASTS_S) if not fault.once else 1.0)
            if kill:
                victim = self._random.choice(KILLED)
                with contextlib.suppress(KeyError):
                    self._platform.kill(victim)
                    killed_s = time.monotonic()
                    what += f", killed {victim}"
                    time.sleep(self._random.uniform(*LASTS_S) / 2)
        over = time.monotonic()
        back_s = self._service(what, over, ALL_BACK_WITHIN_S if killed_s else BACK_WITHIN_S)
        if not killed_s:
            self.outcome.back_s.append((what, back_s))
        self._judge(what, fault, failing, over, killed_s)
        print(f"round {number}: {what}; served again {back_s:.1f} s after its end", flush=True)

    @contextlib.contextmanager
    def _taken(self, fault: Fault, failing: list[Attached]) -> Iterator[None]:
        """The whole disk fails."""
        if fault.place == "inodes":
            self._disk.take_inodes()
        else:
            self._disk.fill(leave_bytes=LOW_BYTES if fault.place == "low" else 0)
        failing.append(Attached(time.monotonic()))
        yield
        failing[0].ended = time.monotonic()
        self._disk.free()

    @contextlib.contextmanager
    def _injected(self, fault: Fault, failing: list[Attached]) -> Iterator[None]:
        injection = Injection(self._platform, fault.place, fault.error, once=fault.once)
        injection.begin()
        yield
        injection.end()
        if not fault.once and fault.place != "open":
            # A file is opened now and then only, until then everything works.
            failing += injection.times

    def _service(self, what: str, since: float, within_s: float) -> float:
        """Wait until something is acknowledged and `/ready` is 200 again; how long after `since` that was."""
        before, asked = sum(self._fleet.acknowledged), len(self._asker.answers)

        def served() -> bool:
            ready = any(each.status == 200 and each.asked > since for each in self._asker.answers[asked:])
            return ready and sum(self._fleet.acknowledged) > before

        back = wait_until(served, within_s, every_s=0.02)
        took_s = time.monotonic() - since
        if not back:
            self._fail(f"{what}: no service {within_s:g} s after its end")
            if not wait_until(served, 2 * ALL_BACK_WITHIN_S):
                raise AssertionError(f"seed {self.outcome.seed}: {self.outcome.faults[-1]}, nor later")
        begun = self._fleet.acknowledged

        def all_did() -> bool:
            return all(now > then for now, then in zip(self._fleet.acknowledged, begun, strict=True))

        if not wait_until(all_did, ALL_BACK_WITHIN_S):
            self._fail(f"{what}: some devices are not served {ALL_BACK_WITHIN_S:g} s later")
        return took_s

    def _judge(self, what: str, fault: Fault, failing: list[Attached], over: float, killed_s: float) -> None:
        """Whether `/ready` told the truth in a round that is over."""
        answers = list(self._asker.answers)
        for each in failing:
            wrong = [one for one in answers if _within(one, each) and one.status == 200]
            if wrong:
                self._fail(f"{what}: /ready was 200 at {len(wrong)} probes while appends failed, {wrong[0]}")
        begun = min((each.begun for each in failing), default=over)
        late = max(over, killed_s + ALL_BACK_WITHIN_S if killed_s else 0.0) + BACK_WITHIN_S
        unready = [one for one in answers if one.asked > late and one.status != 200]
        if unready:
            self._fail(f"{what}: /ready was not 200 at {len(unready)} probes long after the end: {unready[0]}")
        silent = [
            one for one in answers if begun < one.asked < over and one.status == 503 and "reasons" not in one.text
        ]
        if silent:
            self._fail(f"{what}: /ready gave no reason: {silent[0]}")

    def _fail(self, text: str) -> None:
        print(f"FAULT: {text}", flush=True)
        self.outcome.faults.append(text)

    # The end

    def _check(self) -> None:
        outcome = self.outcome
        if not self._uploads.stop(ACKNOWLEDGED_WITHIN_S):
            self._fail(f"an upload is not accepted after {ACKNOWLEDGED_WITHIN_S:g} s of peace")
        open_ = self._fleet.settle(ACKNOWLEDGED_WITHIN_S)
        if open_:
            self._fail(f"{open_} messages are not acknowledged after {ACKNOWLEDGED_WITHIN_S:g} s of peace")
        outcome.messages = sum(self._fleet.acknowledged)
        outcome.values = sum(len(kept) for device in self._fleet.devices for kept in device.kept.values())
        outcome.uploaded, total = self._uploads.expected
        outcome.refused = self._uploads.refused
        outcome.faults += self._uploads.faults
        for device in self._fleet.devices:
            outcome.faults += [f"{device.name}: refused with {reason}" for reason in device.refusals]
        outcome.faults += crash_checks.stuck(self._platform)
        outcome.faults += crash_checks.differences(self._platform, self._fleet)
        sql = f"SELECT count(), count(DISTINCT time), sum(number) FROM readings WHERE thing = '{THING}'"
        answer = httpx.post(f"{self._platform.http}/api/query", json={"sql": sql}, timeout=60).raise_for_status()
        found = [float(value) for value in answer.json()["rows"][0]]
        if found != [outcome.uploaded, outcome.uploaded, total]:
            self._fail(f"uploads: the history has {found}, accepted were {outcome.uploaded} of sum {total}")


def _within(answer: Answer, time_: Attached) -> bool:
    return time_.begun <= answer.asked and answer.answered <= time_.ended


def plan(rounds: int, seed: int, *, injected: bool) -> list[tuple[Fault, bool]]:
    """So many rounds: all kinds in turn, in an order of the seed's, some with a kill."""
    generator = random.Random(seed)
    kinds: list[Fault] = []
    while len(kinds) < rounds:
        some = [*DISK, *(INJECTED if injected else ())]
        generator.shuffle(some)
        kinds += some
    return [(fault, generator.random() < KILL_SHARE) for fault in kinds[:rounds]]


def run(rounds: list[tuple[Fault, bool]], seed: int, folder: Path, devices: int = DEVICES) -> Outcome:
    """Soak on a small disk at `folder`; prints what it does, the seed first."""
    print(f"seed {seed}", flush=True)
    with small_disk(folder, DISK_MB, INODES) as disk:
        outcome = Soak(disk, seed, devices).run(rounds)
    slowest = max(outcome.back_s, key=lambda each: each[1], default=("nothing", 0.0))
    print(
        f"{len(rounds)} rounds, {outcome.messages:,} messages acknowledged, {outcome.values:,} values and "
        f"{outcome.uploaded:,} uploaded readings checked; uploads refused: {outcome.refused}; slowest way back "
        f"{slowest[1]:.1f} s ({slowest[0]})"
    )
    return outcome


def _main() -> int:
    from tests.soak.faults_injection import impossible

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    arguments = parser.parse_args()
    why_not = impossible()
    if why_not:
        print(f"only the disk itself fails, no calls of the log's server: {why_not}")
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        rounds = plan(arguments.rounds, arguments.seed, injected=not why_not)
        outcome = run(rounds, arguments.seed, Path(folder) / "disk")
    for fault in outcome.faults:
        print(f"FAULT: {fault}")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(_main())
