"""The machine's time zone."""

from __future__ import annotations

from pathlib import Path

import pytest

from allthings.runtime.errors import SettingError
from allthings.runtime.settings import load
from allthings.runtime.zone import machine_zone


def test_where_the_zone_is_found(tmp_path: Path) -> None:
    link, name, none = tmp_path / "localtime", tmp_path / "timezone", tmp_path / "none"
    link.symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    name.write_text("Asia/Shanghai\n")
    assert machine_zone({"TZ": ":America/New_York"}, link, name) == "America/New_York"
    assert machine_zone({}, link, name) == "Europe/Berlin"
    assert machine_zone({"TZ": "no/such"}, none, name) == "Asia/Shanghai"
    assert machine_zone({}, none, none) == "UTC"
    assert machine_zone({"TZ": "Etc/UTC"}, none, none) == "UTC"


def test_a_zone_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"zone \(from flag\): 'Mars/Olympus' is no time zone"):
        load({"data": str(tmp_path), "zone": "Mars/Olympus"}, {})
