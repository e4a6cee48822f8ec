"""A running platform, and the commands as its user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from allthings.testing.platform import Platform


class Commands:
    """Runs `allthings` against one platform."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    def environment(self) -> dict[str, str]:
        """A user's, without settings of whoever runs the tests."""
        found = {"ALLTHINGS_URL": self.platform.http, "PATH": "/usr/bin:/bin", "HOME": str(self.platform.data)}
        return {**found, "PYTHONPATH": os.pathsep.join(sys.path)}

    def run(self, *arguments: str, status: int = 0, **more: Any) -> str:
        result = self.result(*arguments, status=status, **more)
        return result.stdout + (result.stderr if status else "")

    def remarks(self, *arguments: str) -> str:
        """What a command that succeeds says beside its data."""
        return self.result(*arguments, status=0).stderr

    def result(self, *arguments: str, status: int, **more: Any) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            [sys.executable, "-c", "from allthings.cli import main; main()", *arguments],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            env=self.environment(),
            **more,
        )
        assert result.returncode == status, result.stderr
        assert "Traceback" not in result.stderr
        return result

    def json(self, *arguments: str, status: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", status=status))


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with Platform(tmp_path_factory.mktemp("data")) as platform:
        yield Commands(platform)


def wait_for(commands: Commands, thing: str, count: int) -> None:
    """Until the history has so many readings of a thing."""
    deadline = time.monotonic() + 30
    while True:
        sql = f"SELECT count() FROM readings WHERE thing = '{thing}'"
        found = commands.json("query", sql)["rows"][0][0]
        if found >= count:
            assert found == count
            return
        assert time.monotonic() < deadline, f"{found} of {count}"
        time.sleep(0.2)
