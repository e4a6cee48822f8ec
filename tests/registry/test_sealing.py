import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from allthings.registry.errors import SecretKeyError
from allthings.registry.sealing import Sealing, Secret


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secret.key"


def test_what_is_sealed_opens_in_its_context_only(path: Path) -> None:
    sealed = Sealing(path).seal("pässword", "bridge a")
    assert Sealing(path).open(sealed, "bridge a") == "pässword"
    with pytest.raises(SecretKeyError, match="another key"):
        Sealing(path).open(sealed, "bridge b")
    for damaged in ("", "no base64", sealed[:-8], base64.b64encode(bytes(40)).decode()):
        with pytest.raises(SecretKeyError):
            Sealing(path).open(damaged, "bridge a")
    assert Sealing(path).seal("pässword", "bridge a") != sealed


def test_the_key_is_its_owners_and_made_once(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        sealed = list(pool.map(lambda number: Sealing(path).seal(str(number), "c"), range(32)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [Sealing(path).open(each, "c") for each in sealed] == [str(number) for number in range(32)]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_opening_makes_no_key(path: Path) -> None:
    with pytest.raises(SecretKeyError, match="is missing"):
        Sealing(path).open(base64.b64encode(bytes(40)).decode(), "c")
    assert not path.exists()


def test_a_given_key_is_used_instead_of_the_file(path: Path) -> None:
    key = base64.b64encode(os.urandom(32)).decode()
    sealed = Sealing(path, key).seal("x", "c")
    assert not path.exists()
    assert Sealing(None, f"{key}\n").open(sealed, "c") == "x"
    path.write_text(key)
    assert Sealing(path).open(sealed, "c") == "x"
    with pytest.raises(SecretKeyError, match="setting secret_key"):
        Sealing(path, base64.b64encode(bytes(32)).decode()).open(sealed, "c")


@pytest.mark.parametrize("key", ["", "short", "QUJD", "ä", base64.b64encode(bytes(31)).decode()])
def test_what_is_no_key_is_refused(path: Path, key: str) -> None:
    path.write_text(key)
    with pytest.raises(SecretKeyError, match=r"is no key|cannot be used"):
        Sealing(path).seal("x", "c")
    if key:
        with pytest.raises(SecretKeyError, match="is no key"):
            Sealing(None, key).seal("x", "c")


def test_without_a_key_nothing_is_sealed() -> None:
    with pytest.raises(SecretKeyError, match="set secret_key"):
        Sealing().seal("x", "c")


def test_nothing_shows_a_secret(path: Path) -> None:
    sealing = Sealing(path)
    secret = Secret(sealing.seal("hush", "c"), "c", sealing)
    assert secret
    assert secret.reveal() == "hush"
    assert secret.sealed not in repr(secret)
    nothing = Secret("", "c", sealing)
    assert not nothing
    assert nothing.reveal() == ""
