"""All that the platform listens on: opened by the supervisor, inherited by its children.

| name | what | whose |
| --- | --- | --- |
| `http` | HTTP, with TLS if `https` is set | the platform's process |
| `mqtt`, `mqtts` | MQTT over TCP, over TLS | the gateway's |
| `mqtt-socket` | MQTT on a Unix socket | the gateway's |
| `handover` | connections between several gateways | each gateway's |
| `relay` | MQTT from browsers, which the platform's process passes on with a PROXY header | the gateway's |
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from allthings.gateway.certificates import CertificateFiles, ServerCertificate
from allthings.gateway.proxy import networks
from allthings.runtime import sockets
from allthings.runtime.errors import StartError
from allthings.runtime.settings import Settings

#: The environment variable by which a child learns its descriptors: a JSON object of lists by name.
LISTENERS_VARIABLE: Final = "ALLTHINGS_LISTENERS"
OF_PLATFORM: Final = ("http",)
OF_GATEWAY: Final = ("mqtt", "mqtts", "mqtt-socket", "relay")

Opened = dict[str, list[socket.socket]]


def open_all(settings: Settings, given: Mapping[str, Sequence[socket.socket]], stack: contextlib.ExitStack) -> Opened:
    """Open what the settings ask for, except what was `given` (by systemd). `stack` closes it all.

    Raises StartError, or CertificateError when TLS is asked for and its certificate cannot be used.
    """
    opened: Opened = {name: list(some) for name, some in given.items()}
    for name, each in opened.items():
        for listener in each:
            stack.enter_context(listener)
            if settings.open and not _is_private(listener):
                raise StartError(
                    f"--open switches authentication off and is refused on {listener.getsockname()[0]}, where systemd "
                    f"listens for {name}: use ListenStream=127.0.0.1:PORT, or leave --open out"
                )
    ports = [("http", settings.http_port, "HTTP"), ("mqtt", settings.mqtt_port, "MQTT")]
    if settings.mqtts_port >= 0:
        ports.append(("mqtts", settings.mqtts_port, "MQTT over TLS"))
    for name, port, what in ports:
        if name not in opened:
            listener = sockets.listen(settings.host, port, what, f"--{name}-port")
            opened[name] = [stack.enter_context(listener)]
    if settings.mqtt_socket and "mqtt-socket" not in opened:
        path = Path(settings.mqtt_socket)
        opened["mqtt-socket"] = [stack.enter_context(sockets.listen_unix(path, 0o660))]
        stack.callback(path.unlink, missing_ok=True)
    # The data directory is ours alone: a socket that stands there was left behind.
    relay = relay_path(settings)
    relay.unlink(missing_ok=True)
    opened["relay"] = [stack.enter_context(sockets.listen_unix(relay, 0o600))]
    stack.callback(relay.unlink, missing_ok=True)
    if settings.https or "mqtts" in opened:
        ServerCertificate(certificate_files(settings))
    try:
        networks(settings.proxy_protocol)
    except ValueError as error:
        raise StartError(f"proxy_protocol: {error}") from error
    return opened


def handover(gateways: int, stack: contextlib.ExitStack) -> list[list[socket.socket]]:
    """For each of several gateways the sockets with which they hand connections to each other: the end from which it
    takes, then an end of each gateway to give to it, in order. What waits in one outlives the gateway that takes it.
    """
    if gateways == 1:
        return [[]]
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(gateways)]
    for pair in pairs:
        for end in pair:
            stack.enter_context(end)
            end.setblocking(False)
            end.set_inheritable(True)
    return [[taking, *(giving for _, giving in pairs)] for taking, _ in pairs]


def _is_private(listener: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    if listener.family == socket.AF_UNIX:
        return True
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def relay_path(settings: Settings) -> Path:
    """The private socket between the web application and the gateway."""
    return settings.data / "gateway.sock"


def certificate_files(settings: Settings) -> CertificateFiles:
    """The files of the settings, else those of `allthings certs init`. Raises StartError when there are none."""
    if settings.tls_cert:
        certificate = Path(settings.tls_cert)
        client_ca = Path(settings.tls_client_ca) if settings.tls_client_ca else None
        return CertificateFiles(certificate, Path(settings.tls_key or settings.tls_cert), client_ca)
    folder = settings.certificates
    if not (folder / "server.pem").exists():
        raise StartError(
            "TLS needs a certificate: name one with --tls-cert and --tls-key, or make one for trials with "
            f"allthings certs init --data {settings.data}"
        )
    client_ca = Path(settings.tls_client_ca) if settings.tls_client_ca else folder / "clients.pem"
    return CertificateFiles(folder / "server.pem", folder / "server.key", client_ca)


def addresses(settings: Settings, opened: Opened) -> dict[str, str]:
    """Where the platform can be reached, by name: what the ready line and the status page say."""
    schemes = {"http": "https" if settings.https else "http", "mqtt": "mqtt", "mqtts": "mqtts"}
    found = {name: _url(scheme, opened[name][0]) for name, scheme in schemes.items() if name in opened}
    if "mqtt-socket" in opened:
        found["mqtt-socket"] = settings.mqtt_socket or str(opened["mqtt-socket"][0].getsockname())
    return found


def _url(scheme: str, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def bequest(opened: Mapping[str, Sequence[socket.socket]], names: Iterable[str]) -> tuple[str, tuple[int, ...]]:
    """What a child inherits: the value of LISTENERS_VARIABLE, and the descriptors."""
    descriptors = {name: [each.fileno() for each in opened[name]] for name in names if name in opened}
    return json.dumps(descriptors), tuple(number for some in descriptors.values() for number in some)


def inherited() -> Opened:
    """In a child: the listeners that the supervisor opened."""
    descriptors: dict[str, list[int]] = json.loads(os.environ[LISTENERS_VARIABLE])
    return {name: [socket.socket(fileno=number) for number in some] for name, some in descriptors.items()}
