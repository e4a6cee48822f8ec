"""Trouble is told once, however often it is met; and a disk that fails is not called damage."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import pytest

from allthings.registry.database import Database, _is_disk
from allthings.registry.errors import RegistryDamagedError, RegistryUnavailableError
from allthings.registry.registry import Registry
from allthings.registry.trouble import Trouble

_LOGGER = logging.getLogger(__name__)


def test_trouble_is_told_once_in_ten_minutes(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    trouble = Trouble(_LOGGER, "things cannot be read", lambda: now[0])
    for number in range(1000):
        now[0] += 0.2
        trouble.tell(RegistryDamagedError("it is damaged"))
        if number % 3 == 0:
            trouble.tell(ValueError("a fault of ours"))
    assert [(record.levelname, record.getMessage(), bool(record.exc_info)) for record in caplog.records] == [
        ("WARNING", "things cannot be read: it is damaged", False),
        ("ERROR", "things cannot be read: ValueError: a fault of ours", True),
    ]
    now[0] += 601
    trouble.tell(RegistryDamagedError("it is damaged"))
    assert len(caplog.records) == 3


@pytest.mark.parametrize(
    ("text", "disk"),
    [
        ("disk I/O error", True),
        ("*** in database main ***\nTree 5 page 3: unable to get the page. error code=10", True),
        ("*** in database main ***\nTree 5 page 3: unable to get the page. error code=266", True),
        ("*** in database main ***\nTree 5 page 3: unable to get the page. error code=11", False),
        ("database disk image is malformed", False),
        ("*** in database main ***\nPage 4 is never used", False),
    ],
)
def test_a_disk_that_fails_is_told_from_damage(text: str, disk: bool) -> None:
    assert _is_disk(text) is disk


def test_an_io_error_names_the_disk_and_not_the_backup(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'registry.db'}")
    with pytest.raises(RegistryUnavailableError, match=r"disk or file system fails.*dmesg"), database.read():
        raise _io_error()
    database.close()


def _io_error() -> Exception:
    from sqlalchemy.exc import OperationalError

    return OperationalError("SELECT 1", {}, sqlite3.OperationalError("disk I/O error"))


def test_a_damaged_file_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    registry = Registry(f"sqlite:///{path}")
    registry.migrate()
    registry.close()
    data = bytearray(path.read_bytes())
    data[4096 * 2 : 4096 * 12] = b"\xff" * (4096 * 10)
    path.write_bytes(data)
    with pytest.raises(RegistryDamagedError, match="restore it from a backup"):
        Registry(f"sqlite:///{path}").migrate()
