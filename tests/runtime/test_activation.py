"""Sockets from systemd, as it passes them: by number 3 and on, named by the environment."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

import httpx
import paho.mqtt.publish
import pytest

from allthings.runtime import activation
from allthings.runtime.errors import StartError

#: What systemd does: the sockets at 3 and on, LISTEN_PID is the process itself, then the program.
_PASS = """
import os, sys
given = [int(number) for number in sys.argv[1].split(",")]
for at, number in enumerate(given):
    os.dup2(number, 100 + at)
for at in range(len(given)):
    os.dup2(100 + at, 3 + at)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(given)), "LISTEN_FDNAMES": sys.argv[2]}
os.execv(sys.argv[3], sys.argv[3:])
"""


def start(sockets: dict[str, socket.socket], *command: str) -> subprocess.Popen[str]:
    numbers = [each.fileno() for each in sockets.values()]
    return subprocess.Popen(
        [sys.executable, "-c", _PASS, ",".join(map(str, numbers)), ":".join(sockets), *command],
        pass_fds=numbers,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_nothing_is_taken_that_is_not_for_us() -> None:
    assert activation.inherited({}, 1) == {}
    assert activation.inherited({"LISTEN_PID": "2", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "mqtt"}, 1) == {}
    assert activation.inherited({"LISTEN_PID": "1", "LISTEN_FDS": "many"}, 1) == {}


def test_no_child_believes_that_they_are_for_it() -> None:
    environ = {"LISTEN_PID": "2", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "mqtt", "HOME": "/"}
    activation.inherited(environ, 1)
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize("names", ["", "mqtt-of-mine", "unknown"])
def test_a_socket_without_a_name_that_we_know_is_refused(names: str) -> None:
    with pytest.raises(StartError, match="FileDescriptorName="):
        activation.inherited({"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": names}, 1)


_TAKE = """
import os
from allthings.runtime import activation
from allthings.things.errors import AllthingsError
try:
    found = activation.inherited(os.environ, os.getpid())
    print({name: [each.getsockname()[:2] for each in some] for name, some in found.items()})
except AllthingsError as error:
    print(error.detail)
"""


def taken(sockets: dict[str, socket.socket]) -> str:
    """What a process says that was given these."""
    process = start(sockets, sys.executable, "-c", _TAKE)
    said, _ = process.communicate(timeout=60)
    return said


def test_listeners_are_taken_by_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        expected = {"mqtt": [one.getsockname()], "http": [other.getsockname()]}
        assert taken({"mqtt": one, "http": other}).strip() == str(expected)


def test_what_does_not_listen_is_refused(tmp_path: Path) -> None:
    with socket.socket() as idle, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        assert "no such listener" in taken({"mqtt": idle})
        assert "no such listener" in taken({"http": datagrams})
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "s"))
        unix.listen()
        assert "no such listener" in taken({"mqtt": unix})
        assert "mqtt-socket" in taken({"mqtt-socket": unix})


@pytest.mark.system
@pytest.mark.timeout(180)
def test_up_serves_on_the_sockets_that_it_was_given(tmp_path: Path) -> None:
    """They belong to systemd: `up` uses them, leaves them open, and says where they are."""
    with (
        socket.create_server(("127.0.0.1", 0)) as http,
        socket.create_server(("127.0.0.1", 0)) as mqtt,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        unix.bind(str(tmp_path / "mqtt.sock"))
        unix.listen()
        program = Path(sysconfig.get_path("scripts")) / "allthings"
        given = {"http": http, "mqtt": mqtt, "mqtt-socket": unix}
        process = start(given, str(program), "up", "--open", "--data", str(tmp_path / "data"))
        try:
            assert process.stdout is not None
            line = next(line for line in process.stdout if line.startswith("ready "))
            ports = [each.getsockname()[1] for each in (http, mqtt)]
            assert line == f"ready http=http://127.0.0.1:{ports[0]} mqtt=mqtt://127.0.0.1:{ports[1]}\n"
            assert httpx.get(f"http://127.0.0.1:{ports[0]}/health").status_code == 200
            paho.mqtt.publish.single("a/b", "1", qos=1, hostname="127.0.0.1", port=ports[1])
            paho.mqtt.publish.single("a/b", "1", qos=1, hostname=str(tmp_path / "mqtt.sock"), port=1, transport="unix")
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
        assert process.returncode == 0
        assert os.path.exists(tmp_path / "mqtt.sock")
        socket.create_connection(http.getsockname(), 5).close()
