"""Listening sockets, opened by the supervisor and inherited by its children.

A port stays open while the child behind it is replaced: clients wait in the backlog instead of being refused.
"""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from allthings.gateway.unix import unix_address
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


def listen_unix(path: Path, mode: int) -> socket.socket:
    """A listening Unix socket that `mode` lets in. One that nobody listens on any more is replaced.

    Raises StartError.
    """
    listener = socket.socket(socket.AF_UNIX)
    # Whoever connects between bind and chmod must not get in.
    mask = os.umask(0o777 & ~mode)
    try:
        if path.is_socket() and not _answers(path):
            path.unlink()
        with unix_address(path) as address:
            listener.bind(address)
        path.chmod(mode)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise StartError(f"{path} is in use, or is no socket: choose another with --mqtt-socket") from error
        raise StartError(f"cannot listen on the socket {path}: {error.strerror or error}") from error
    finally:
        os.umask(mask)
    listener.setblocking(False)
    listener.set_inheritable(True)
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe, unix_address(path) as address:
        try:
            probe.connect(address)
        except ConnectionRefusedError:
            return False
        return True


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
