"""Listening sockets, opened by the supervisor and inherited by its children.

A port stays open while the child behind it is replaced: clients wait in the backlog instead of being refused.
"""

from __future__ import annotations

import errno
import socket

from allthings.runtime.errors import StartError

_BACKLOG = 4096


def listen(host: str, port: int, what: str, flag: str) -> socket.socket:
    """A listening TCP socket. Raises StartError that names the port and the flag to change it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"port {port} for {what} is in use on {host}: stop what uses it, or choose another with {flag} "
                "(0 takes a free one)"
            ) from error
        raise StartError(f"cannot listen for {what} on {host} port {port}: {error.strerror or error}") from error
    listener.setblocking(False)
    listener.set_inheritable(True)
    return listener


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
