"""Sockets that systemd opened for us (sd_listen_fds(3)): it listens before we run, and while we are restarted."""

from __future__ import annotations

import socket
from collections.abc import MutableMapping
from typing import Final

from allthings.runtime.errors import StartError

_FIRST: Final = 3
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
#: The names that a socket unit may give (FileDescriptorName=), each with the kind of its sockets.
NAMES: Final = {
    "http": (socket.AF_INET, socket.AF_INET6),
    "mqtt": (socket.AF_INET, socket.AF_INET6),
    "mqtts": (socket.AF_INET, socket.AF_INET6),
    "mqtt-socket": (socket.AF_UNIX,),
}


def inherited(environ: MutableMapping[str, str], process: int) -> dict[str, list[socket.socket]]:
    """The listening sockets by name; none when nothing was passed to this `process`.

    The variables are taken out of `environ`, so that no child believes they are for it. Raises StartError when a
    socket has no name that we know, or is of the wrong kind.
    """
    given = {name: environ.pop(name, "") for name in _VARIABLES}
    if given["LISTEN_PID"] != str(process) or not given["LISTEN_FDS"].isdecimal():
        return {}
    count = int(given["LISTEN_FDS"])
    names = given["LISTEN_FDNAMES"].split(":") if given["LISTEN_FDNAMES"] else []
    found: dict[str, list[socket.socket]] = {}
    for number in range(count):
        name = names[number] if number < len(names) else "unknown"
        found.setdefault(name, []).append(_listener(_FIRST + number, name))
    return found


def _listener(descriptor: int, name: str) -> socket.socket:
    if name not in NAMES:
        raise StartError(
            f"systemd passed a socket named {name!r}; known are {', '.join(NAMES)}: say which it is with "
            "FileDescriptorName= in its unit"
        )
    try:
        listener = socket.socket(fileno=descriptor)
        listening = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise StartError(f"the socket {name} that systemd passed cannot be used: {error.strerror}") from error
    if listener.family not in NAMES[name] or listener.type != socket.SOCK_STREAM or not listening:
        raise StartError(f"the socket {name} that systemd passed is no such listener: ListenStream= and Accept=no")
    listener.setblocking(False)
    return listener
