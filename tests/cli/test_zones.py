"""Time zones on the command line."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import typer

from allthings.cli import zones


@pytest.mark.parametrize("name", ["Asia/Kathmandu", ":Asia/Kathmandu", "/usr/share/zoneinfo/Asia/Kathmandu"])
def test_the_environment_tells_the_zone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("TZ", name)
    assert zones.local_zone() == "Asia/Kathmandu"


def test_a_link_tells_the_zone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TZ", raising=False)
    (tmp_path / "localtime").symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    monkeypatch.setattr(zones, "_LOCAL", tmp_path / "localtime")
    assert zones.local_zone() == "Europe/Berlin"


def test_a_copy_tells_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TZ", raising=False)
    (tmp_path / "localtime").write_bytes(b"TZif2")
    monkeypatch.setattr(zones, "_LOCAL", tmp_path / "localtime")
    with pytest.raises(typer.BadParameter, match="name it, such as Europe/Berlin"):
        zones.local_zone()


@pytest.mark.parametrize(
    ("time", "zone", "shown"),
    [
        ("2026-07-01T22:00:00Z", "Europe/Berlin", "2026-07-02T00:00:00+02:00"),
        ("2026-12-01T23:00:00.5Z", "Europe/Berlin", "2026-12-02T00:00:00.500+01:00"),
        ("2026-12-01T00:00:00Z", "America/St_Johns", "2026-11-30T20:30:00-03:30"),
        ("1936-12-31T23:40:28Z", "Europe/Amsterdam", "1937-01-01T00:00:00+00:19:32"),
        ("2026-12-01T00:00:00Z", "UTC", "2026-12-01T00:00:00+00:00"),
    ],
)
def test_times_are_shown_as_clocks_show_them(time: str, zone: str, shown: str) -> None:
    assert zones.in_zone(msgspec.Raw(msgspec.json.encode(time)), zone) == shown
