"""One file of a stopped instance is damaged, in each way, and it is started again: what is said, and what is lost.

By itself: `python -m tests.soak.damage [FILE ...]` prints the table that stands in docs/howto/damage.md.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as paho

from allthings.testing.platform import Platform, PlatformError, wait_until

THINGS, READINGS, WAITING = 5, 40, 12
RETAINED: Final = {f"kept/{number}": b"%d" % number for number in range(6)}
CLIENTS: Final = ("away-1", "away-2")
_WITHIN_S: Final = 30.0
_STREAMS: Final = "log/jetstream/$G/streams"
_TOTAL: Final = THINGS * READINGS
_TITLED: Final[dict[str, Any]] = {"title": "Kept", "securityDefinitions": {"no": {"scheme": "nosec"}}, "security": "no"}
#: Lines of any start.
_ORDINARY: Final = re.compile(
    r"are there again;|^ready |making a new registry|migrating the registry|administrator created|took over"
)


# How a file is damaged


def flip(path: Path) -> None:
    """One bit in each 200 bytes."""
    data = bytearray(path.read_bytes())
    for place in range(min(100, len(data) // 2), len(data), 200):
        data[place] ^= 0x10
    path.write_bytes(data)


def cut(path: Path) -> None:
    """Only the first half is there."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


WAYS: Final[dict[str, Callable[[Path], None]]] = {"flipped": flip, "cut": cut, "emptied": empty, "gone": remove}

#: The kinds of files, as the table calls them, each with a pattern in the data directory. Of several files the largest.
FILES: Final = {
    "log: block": f"{_STREAMS}/allthings/msgs/*.blk",
    "log: block, its index gone too": f"{_STREAMS}/allthings/msgs/*.blk",
    "log: index of blocks": f"{_STREAMS}/allthings/msgs/index.db",
    "log: description of the stream": f"{_STREAMS}/allthings/meta.inf",
    "log: checksum of the description": f"{_STREAMS}/allthings/meta.sum",
    "log: folder of the stream": f"{_STREAMS}/allthings",
    "log: all of it": "log",
    "log: positions": f"{_STREAMS}/KV_allthings-positions/msgs/*.blk",
    "log: sessions": f"{_STREAMS}/KV_allthings-table-sessions-gateway/msgs/*.blk",
    "log: description of sessions": f"{_STREAMS}/KV_allthings-table-sessions-gateway/meta.inf",
    "log: retained messages": f"{_STREAMS}/KV_allthings-table-retained/msgs/*.blk",
    "log: wills": f"{_STREAMS}/KV_allthings-table-wills-gateway/msgs/*.blk",
    "log: its server's configuration": "log/nats.conf",
    "log: its server's messages": "log/nats.log",
    "roster of sessions": "roster/sessions-*.json",
    "roster of retained messages": "roster/retained-*.json",
    "`log.mark`": "log.mark",
    "`state.json`": "state.json",
    "`lock`": "lock",
    "registry": "registry.db",
    "history: data of a part": "history/store/*/*/*/data.bin",
    "history: checksums of a part": "history/store/*/*/*/checksums.txt",
    "history: a part": "history/store/*/*/*_*_*_*",
    "history: definition of a table": "history/store/*/*/readings.sql",
    "history: definition of its tables' database": "history/metadata/allthings.sql",
    "history: all of it": "history",
}


def damage(data: Path, kind: str, way: str) -> bool:
    """Damage a file of this kind; False when that cannot be done to it."""
    path = max(data.glob(FILES[kind]), key=lambda path: path.stat().st_size)
    if path.is_dir() and way != "gone":
        return False
    WAYS[way](path)
    if "index gone" in kind:
        (path.parent / "index.db").unlink()
    return True


# The instance


def _client(port: int, name: str, *, clean: bool) -> paho.Client:
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv311, clean_session=clean)
    client.connect("127.0.0.1", port)
    return client


@contextlib.contextmanager
def _running(client: paho.Client) -> Iterator[paho.Client]:
    client.loop_start()
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def fill(data: Path) -> None:
    """Readings, a thing that was described, sessions for which messages wait, retained messages; kept, and stopped."""
    with Platform(data) as platform:
        for name in CLIENTS:
            subscribed: list[bool] = []
            client = _client(platform.mqtt_port, name, clean=False)
            client.on_subscribe = lambda *_, done=subscribed: done.append(True)  # type: ignore[misc]
            with _running(client):
                client.subscribe("queue/#", 1)
                assert wait_until(lambda done=subscribed: bool(done), _WITHIN_S)  # type: ignore[misc]
        with _running(_client(platform.mqtt_port, "publisher", clean=True)) as client:
            for number in range(READINGS):
                value = b'{"v":%d}' % number
                told = [client.publish(f"things/t{thing}/properties", value, 1) for thing in range(THINGS)]
                for each in told:
                    each.wait_for_publish(_WITHIN_S)
            for number in range(WAITING):
                client.publish("queue/x", b"%d" % number, 1).wait_for_publish(_WITHIN_S)
            for topic, payload in RETAINED.items():
                client.publish(topic, payload, 1, retain=True).wait_for_publish(_WITHIN_S)
        description = {**_TITLED, "@context": "https://www.w3.org/2022/wot/td/v1.1"}
        _ask(platform, "/things", description, "application/td+json")
        assert wait_until(lambda: readings(platform) == _TOTAL, _WITHIN_S)


def _ask(platform: Platform, path: str, body: object = None, kind: str = "application/json") -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{platform.http}{path}", data, {"content-type": kind})
    with urllib.request.urlopen(request, timeout=_WITHIN_S) as answer:
        return json.loads(answer.read() or b"null")


def readings(platform: Platform) -> int:
    """How many there are; -1 when nothing can tell."""
    try:
        return int(_ask(platform, "/api/query", {"sql": "SELECT count() FROM readings"})["rows"][0][0])
    except OSError:
        return -1


def _things(platform: Platform) -> list[str]:
    try:
        return [thing["title"] for thing in _ask(platform, "/things")]
    except OSError:
        return []


# What became of it


@dataclass
class Outcome:
    """`said`: the lines of the start that are not in any other, and what the doctor finds."""

    started: bool
    said: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    status: int = 0

    @property
    def verdict(self) -> str:
        """`healed`: nothing is lost; `said`: what is lost is named; `refused`: with what to do; else `silent`."""
        words = " ".join(self.said)
        if not self.started:
            advised = re.search(r"restore|repair|move|install|chmod|name another", words)
            return "refused" if self.status == 1 and advised else "silent"
        if self.unnamed:
            return "silent"
        return "said" if self.lost else "healed"


def start(data: Path) -> Outcome:
    """Start it, ask for everything that was there, and stop it."""
    platform = Platform(data)
    try:
        platform.start()
    except PlatformError:
        ready = any(line.startswith("ready ") for line in platform.output)
        # Of a start that never came to an end: that of the signal.
        status = platform.stop()
        return Outcome(False, _said(platform), status=-1 if ready else status)
    try:
        return _examined(platform, data)
    finally:
        platform.stop()


def _examined(platform: Platform, data: Path) -> Outcome:
    outcome = Outcome(True)
    if not wait_until(lambda: readings(platform) == _TOTAL, 10.0):
        outcome.lost.append(f"{_TOTAL - readings(platform)} readings")
    if _TITLED["title"] not in _things(platform):
        outcome.lost.append("things of the registry")
    for name in CLIENTS:
        there, got = _queued(platform.mqtt_port, name)
        if not there:
            outcome.lost.append(f"session {name}")
        elif got < WAITING:
            outcome.lost.append(f"{WAITING - got} messages {name}")
    retained = _retained(platform.mqtt_port)
    outcome.lost += [f"retained {topic}" for topic in RETAINED if topic not in retained]
    doctor = _doctor(data, platform)
    outcome.said = [*_said(platform), *doctor]
    text = "\n".join(outcome.said)
    # Each loss is named: the client, the topic; readings by their number, things or span.
    outcome.unnamed = [
        loss for loss in outcome.lost if (loss.split()[-1] if "readings" not in loss else "readings") not in text
    ]
    return outcome


def _said(platform: Platform) -> list[str]:
    return [line for line in platform.output if line and not _ORDINARY.search(line)]


def _doctor(data: Path, platform: Platform) -> list[str]:
    program = str(Path(sysconfig.get_path("scripts")) / "allthings")
    told = subprocess.run(
        [program, "doctor", "--json", "--data", str(data), "--url", platform.http],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    checks: list[dict[str, Any]] = json.loads(told.stdout)["checks"]
    return [f"doctor {check['check']}: {check['detail']}" for check in checks if check["state"] != "ok"]


def _queued(port: int, name: str) -> tuple[bool, int]:
    """Whether a client's session is there, and how many messages waited."""
    present: list[bool] = []
    got: list[bytes] = []
    client = _client(port, name, clean=False)
    client.on_connect = lambda _client, _data, flags, *_: present.append(flags.session_present)
    client.on_message = lambda _client, _data, message: got.append(message.payload)
    with _running(client):
        assert wait_until(lambda: bool(present), _WITHIN_S)
        if present[0]:
            wait_until(lambda: len(set(got)) == WAITING, 3.0)
    return present[0], len(set(got))


def _retained(port: int) -> set[str]:
    got: dict[str, bytes] = {}
    client = _client(port, "looker", clean=True)
    client.on_message = lambda _client, _data, message: got.update({message.topic: message.payload})
    with _running(client):
        client.subscribe("kept/#", 1)
        wait_until(lambda: got == RETAINED, 2.0)
    return {topic for topic, payload in got.items() if RETAINED[topic] == payload}


def repair(data: Path, *, agree: bool = True) -> dict[str, Any]:
    """`allthings repair`; what it answers."""
    program = str(Path(sysconfig.get_path("scripts")) / "allthings")
    told = subprocess.run(
        [program, "repair", "--json", *(["--yes"] if agree else []), "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    answer: dict[str, Any] = json.loads(told.stdout)
    return answer


def copied(base: Path, data: Path) -> Path:
    shutil.copytree(base, data, symlinks=True)
    return data


def run(base: Path, data: Path, kind: str, way: str) -> Outcome | None:
    """Damage a copy of a filled instance and start it; None when a file of that kind cannot be damaged so."""
    copied(base, data)
    return start(data) if damage(data, kind, way) else None


def main(wanted: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        fill(base)
        print("| file | " + " | ".join(WAYS) + " |\n|" + " --- |" * (len(WAYS) + 1))
        for kind in FILES:
            if wanted and kind not in wanted:
                continue
            cells = []
            for way in WAYS:
                data = Path(folder) / f"damaged-{time.monotonic_ns()}"
                outcome = run(base, data, kind, way)
                cells.append(outcome.verdict if outcome else "")
                if outcome:
                    sys.stderr.write(f"{kind}, {way}: {outcome.verdict}, lost {outcome.lost}\n")
                    sys.stderr.writelines(f"    {line}\n" for line in outcome.said)
                shutil.rmtree(data)
            print(f"| {kind} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
