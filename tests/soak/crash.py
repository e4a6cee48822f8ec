"""Kill anything at any moment, and see that every promise was kept.

    python -m tests.soak.crash --rounds 30 [--seed N] [--data DIR]

Twenty real MQTT clients publish real values at QoS 1 and send again what was not acknowledged. In each round a process
of the tree, or all of it, gets a SIGKILL at a random moment, now and then a second one while it recovers. Afterwards
every acknowledged value must be in the history exactly once, rollups must equal the raw values, no consumer may be
stuck, and no process left over.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from allthings.testing.platform import Platform, wait_until
from tests.soak import crash_checks
from tests.soak.crash_fleet import Fleet

TARGETS = ("all", "platform", "nats-server", "supervisor", "gateway")
CHILDREN = ("platform", "nats-server", "gateway")
KILL_AFTER_S = (0.3, 2.5)
SECOND_KILL_SHARE = 0.25
SECOND_KILL_AFTER_S = 1.0
RECOVERED_WITHIN_S = 60.0
ACKNOWLEDGED_WITHIN_S = 60.0
GONE_WITHIN_S = 10.0


@dataclass
class Outcome:
    """What the rounds came to; `faults` is empty when every promise was kept."""

    seed: int
    faults: list[str] = field(default_factory=list)
    recoveries_s: list[tuple[str, float]] = field(default_factory=list)
    messages: int = 0
    values: int = 0


class Soak:
    """The rounds on one data directory."""

    def __init__(self, data: Path, seed: int) -> None:
        self.outcome = Outcome(seed)
        self._random = random.Random(seed)
        self._platform = Platform(data)
        self._fleet = Fleet(seed, int(time.time() * 1000))

    def run(self, rounds: int) -> Outcome:
        """All rounds, then the checks."""
        targets = list(TARGETS)
        self._random.shuffle(targets)
        self._platform.start()
        try:
            self._fleet.start(self._platform.mqtt_host, self._platform.mqtt_port)
            self._progressed("start", time.monotonic())
            for number in range(rounds):
                self._round(number, targets[number % len(targets)])
            self._check()
        finally:
            self._fleet.stop()
            self._platform.kill_all() if self.outcome.faults else self._stop()
        return self.outcome

    def _round(self, number: int, target: str) -> None:
        time.sleep(self._random.uniform(*KILL_AFTER_S))
        killed = time.monotonic()
        self._kill(target)
        what = target
        if self._random.random() < SECOND_KILL_SHARE:
            time.sleep(self._random.uniform(0, SECOND_KILL_AFTER_S))
            second = self._random.choice([role for role in CHILDREN if role in self._platform.processes()] or ["none"])
            if second != "none":
                what += f", then {second}"
                self._kill(second)
        recovered_s = self._progressed(what, killed)
        print(
            f"round {number + 1}: killed {what}; all devices acknowledged again after {recovered_s:.1f} s", flush=True
        )

    def _kill(self, target: str) -> None:
        platform = self._platform
        if target not in ("all", "supervisor"):
            try:
                platform.kill(target)
            except KeyError:
                print(f"{target} did not run at that moment", flush=True)
            return
        platform.kill_all() if target == "all" else platform.kill("supervisor")
        left = crash_checks.orphans(platform, GONE_WITHIN_S)
        if left:
            self.outcome.faults.append(f"killed {target}: processes outlive it by {GONE_WITHIN_S:g} s: {left}")
        platform.launch()

    def _progressed(self, what: str, since: float) -> float:
        """Wait until each device had something new acknowledged; how long after `since` that was."""
        before = self._fleet.acknowledged

        def all_did() -> bool:
            return all(now > then for now, then in zip(self._fleet.acknowledged, before, strict=True))

        if not wait_until(all_did, RECOVERED_WITHIN_S):
            slow = [
                device.name
                for device, then in zip(self._fleet.devices, before, strict=True)
                if device.acknowledged <= then
            ]
            output = "\n".join(list(self._platform.output)[-40:])
            raise AssertionError(
                f"seed {self.outcome.seed}: {RECOVERED_WITHIN_S:g} s after killing {what} nothing is acknowledged to "
                f"{slow}; the platform said:\n{output}"
            )
        took = time.monotonic() - since
        self.outcome.recoveries_s.append((what, took))
        return took

    def _check(self) -> None:
        outcome = self.outcome
        self._platform.wait_ready()
        open_ = self._fleet.settle(ACKNOWLEDGED_WITHIN_S)
        if open_:
            outcome.faults.append(f"{open_} messages are not acknowledged after {ACKNOWLEDGED_WITHIN_S:g} s of peace")
        outcome.messages = sum(self._fleet.acknowledged)
        outcome.values = sum(len(kept) for device in self._fleet.devices for kept in device.kept.values())
        for device in self._fleet.devices:
            outcome.faults += [f"{device.name}: refused with {reason}" for reason in device.refusals]
        outcome.faults += crash_checks.stuck(self._platform)
        outcome.faults += crash_checks.differences(self._platform, self._fleet)

    def _stop(self) -> None:
        self._platform.stop()
        self.outcome.faults += crash_checks.orphans(self._platform)


def run(rounds: int, seed: int, data: Path) -> Outcome:
    """Soak on a data directory; prints what it does, the seed first."""
    print(f"seed {seed}", flush=True)
    outcome = Soak(data, seed).run(rounds)
    slowest = max(outcome.recoveries_s, key=lambda each: each[1])
    print(
        f"{rounds} rounds, {outcome.messages:,} messages acknowledged, {outcome.values:,} values checked; "
        f"slowest recovery {slowest[1]:.1f} s ({slowest[0]})"
    )
    return outcome


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--data", type=Path, help="a folder that is kept; without it a temporary one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        outcome = run(arguments.rounds, arguments.seed, arguments.data or Path(folder) / "data")
    for fault in outcome.faults:
        print(f"FAULT: {fault}")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(_main())
