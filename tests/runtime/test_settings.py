"""Flags, then environment, then file, then defaults; whatever cannot be used is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from allthings.runtime.errors import SettingError
from allthings.runtime.settings import SETTINGS, load


def test_order_of_sources(tmp_path: Path) -> None:
    file = tmp_path / "allthings.toml"
    file.write_text('http_port = 1\nmqtt_port = 1\nhost = "127.0.0.2"\n')
    environ = {"ALLTHINGS_CONFIG": str(file), "ALLTHINGS_HTTP_PORT": "2", "ALLTHINGS_MQTT_PORT": "2"}
    settings = load({"mqtt_port": 3, "http_port": None}, environ)
    assert (settings.mqtt_port, settings.http_port, settings.host, settings.log_keep_days) == (3, 2, "127.0.0.2", 7.0)
    origins = [settings.sources[name].origin for name in ("mqtt_port", "http_port", "host", "log_keep_days")]
    assert origins == ["flag", "environment", str(file), "default"]


def test_children_get_the_same_settings_by_the_environment(tmp_path: Path) -> None:
    first = load({"data": str(tmp_path), "open": True, "http_port": 0}, {})
    again = load({}, first.environment())
    assert {s.name: getattr(again, s.name) for s in SETTINGS} == {s.name: getattr(first, s.name) for s in SETTINGS}


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"ALLTHINGS_HTTP_PORT": "many"}, "http_port = 'many' .from environment. is not of type int"),
        ({"ALLTHINGS_HTTP_PORT": "70000"}, "outside 0 to 65535"),
        ({"ALLTHINGS_OPEN": "perhaps"}, "is not of type bool"),
        ({"ALLTHINGS_CONFIG": "/nowhere.toml"}, "which is not there"),
        ({"ALLTHINGS_OPEN": "1", "ALLTHINGS_HOST": "0.0.0.0"}, "refused on 0.0.0.0"),
    ],
)
def test_what_cannot_be_used_is_named(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        load({}, environ)


def test_unknown_names_in_the_file_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "allthings.toml"
    file.write_text("colour = 1\n")
    with pytest.raises(SettingError, match="unknown settings: colour"):
        load({}, {"ALLTHINGS_CONFIG": str(file)})
