"""What the table in docs/howto/damage.md says of each kind of file and each kind of damage. See damage.py."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.soak import damage

_PAGE: Final = Path(__file__).parents[2] / "docs" / "howto" / "damage.md"
_ROW: Final = re.compile(r"^\| (?P<kind>[^|]+?) \|(?P<cells>(?: (?:healed|said|refused)? *\|)+)$", re.MULTILINE)


def table() -> dict[tuple[str, str], str]:
    """What the page says, by kind of file and of damage."""
    told = {}
    for row in _ROW.finditer(_PAGE.read_text()):
        cells = [cell.strip() for cell in row["cells"].split("|")[: len(damage.WAYS)]]
        told.update({(row["kind"], way): cell for way, cell in zip(damage.WAYS, cells, strict=True) if cell})
    return told


TOLD: Final = table()
#: One of each sort for every day.
SHORT: Final = [
    ("log: sessions", "emptied"),
    ("registry", "cut"),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damage") / "base"
    damage.fill(folder)
    return folder


def check(base: Path, data: Path, kind: str, way: str) -> None:
    outcome = damage.run(base, data, kind, way)
    assert outcome is not None
    assert outcome.verdict == TOLD[kind, way], outcome


def test_the_page_tells_of_each_kind_of_file() -> None:
    assert {kind for kind, _ in TOLD} == set(damage.FILES)
    assert set(SHORT) <= set(TOLD)


@pytest.mark.system
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "way"), SHORT)
def test_damage_is_said_healed_or_refused(base: Path, tmp_path: Path, kind: str, way: str) -> None:
    check(base, tmp_path / "data", kind, way)


@pytest.mark.system
@pytest.mark.timeout(300)
def test_a_log_that_lost_its_end_goes_on_behind_the_history(base: Path, tmp_path: Path) -> None:
    data = damage.copied(base, tmp_path / "data")
    damage.damage(data, "log: block, its index gone too", "cut")
    outcome = damage.start(data)
    assert outcome.verdict == "refused"
    assert any("allthings repair" in line for line in outcome.said)
    looked = damage.repair(data, agree=False)
    assert looked["needed"]
    assert not looked["done"]
    repaired = damage.repair(data)
    assert repaired["done"]
    assert repaired["findings"] == looked["findings"]
    assert {each["client"]: each["messages"] for each in looked["findings"]["lost_messages"]} == dict.fromkeys(
        damage.CLIENTS, damage.WAITING
    )
    assert Path(repaired["aside"]).is_dir()
    outcome = damage.start(data)
    assert outcome.verdict == "said"
    assert outcome.lost == [f"{damage.WAITING} messages {client}" for client in damage.CLIENTS], "the history is whole"


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "way"), TOLD)
def test_the_table_is_true(base: Path, tmp_path: Path, kind: str, way: str) -> None:
    check(base, tmp_path / "data", kind, way)
