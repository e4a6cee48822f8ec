"""A certificate authority of one's own; what it makes is judged by OpenSSL, through Python's ssl."""

from __future__ import annotations

import itertools
import shutil
import ssl
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from allthings.runtime.authority import Authority, Issued, server_names, valid_until
from allthings.runtime.errors import CertificateFileError
from allthings.things.errors import BadInputError
from allthings.things.times import now_ns


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "data" / "certs", now_ns())
    made.create(["broker.example.org", "192.0.2.7"])
    return made


def verify(authority: Authority, issued: Issued, purpose: str) -> str:
    """What the openssl program says: `path: OK`, or why not. Strict: RFC 5280 to the letter."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    command = [program, "verify", "-x509_strict", "-purpose", purpose, "-CAfile", str(authority.certificate)]
    done = subprocess.run([*command, str(issued.certificate)], capture_output=True, text=True)
    return done.stdout + done.stderr


def shown(path: Path) -> dict[str, object]:
    return ssl._ssl._test_decode_cert(str(path))  # type: ignore[attr-defined,no-any-return]


def test_all_files_are_for_their_owner_only(authority: Authority) -> None:
    authority.issue("pump-7")
    for path in authority.folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE(authority.folder.stat().st_mode) == 0o700


def test_what_is_made_is_good_for_what_it_is_for(authority: Authority) -> None:
    device = authority.issue("pump-7")
    assert "OK" in verify(authority, authority.server, "sslserver")
    assert "OK" in verify(authority, device, "sslclient")
    assert "unsuitable" in verify(authority, authority.server, "sslclient")
    assert "unsuitable" in verify(authority, device, "sslserver")
    for certificate, key in (authority.server, device):
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)


def test_names(authority: Authority) -> None:
    alternatives = shown(authority.server.certificate)["subjectAltName"]
    assert alternatives == (("DNS", "broker.example.org"), ("IP Address", "192.0.2.7"))
    assert authority.names() == ["broker.example.org", "192.0.2.7"]
    assert {"localhost", "127.0.0.1", "::1"} < set(server_names(["more"]))
    device = shown(authority.issue("pump-7").certificate)
    assert device["subjectAltName"] == (("URI", "urn:allthings:pump-7"),)
    assert device["subject"] == ((("commonName", "pump-7"),),)
    long = shown(authority.issue("x" * 128).certificate)
    assert long["subjectAltName"] == (("URI", "urn:allthings:" + "x" * 128),)
    assert long["subject"] == ()


def test_nothing_is_overwritten(authority: Authority) -> None:
    authority.issue("pump-7")
    before = {path: path.read_bytes() for path in authority.folder.rglob("*.*")}
    with pytest.raises(CertificateFileError, match="exists and is not overwritten"):
        authority.create(["localhost"])
    with pytest.raises(CertificateFileError, match="allthings certs revoke pump-7"):
        authority.issue("pump-7")
    authority.server.certificate.unlink()
    with pytest.raises(CertificateFileError, match="exists and is not overwritten"):
        authority.create(["localhost"])
    assert {path: path.read_bytes() for path in authority.folder.rglob("*.*")} == {
        path: data for path, data in before.items() if path != authority.server.certificate
    }


def test_a_renewed_certificate_has_the_old_key_and_a_new_time(authority: Authority) -> None:
    key, until = authority.server.key.read_bytes(), valid_until(authority.server.certificate)
    later = Authority(authority.folder, now_ns() + int(timedelta(days=100) / timedelta(microseconds=1)) * 1000)
    later.renew(later.names())
    assert authority.server.key.read_bytes() == key
    assert timedelta(days=99) < valid_until(authority.server.certificate) - until < timedelta(days=101)
    assert later.names() == ["broker.example.org", "192.0.2.7"]
    assert "OK" in verify(authority, authority.server, "sslserver") or datetime.now(UTC) < until


def test_revoked_ones_are_listed_and_can_be_replaced(authority: Authority) -> None:
    serials = []
    for _ in range(2):
        serials.append(str(shown(authority.issue("pump-7").certificate)["serialNumber"]))
        authority.revoke("pump-7")
        assert not any(path.exists() for path in authority.device("pump-7"))
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    listed = subprocess.run(
        [program, "crl", "-in", str(authority.clients), "-noout", "-text"], capture_output=True, text=True, check=True
    ).stdout
    assert all(serial in listed for serial in serials)
    with pytest.raises(CertificateFileError, match="cannot be read"):
        authority.revoke("pump-7")


@pytest.mark.parametrize("name", ["", "a/b", "../up", "x" * 129, "a b"])
def test_what_can_be_no_thing(authority: Authority, name: str) -> None:
    with pytest.raises(BadInputError, match="cannot be a thing's name"):
        authority.issue(name)


def test_a_name_that_can_be_no_host(authority: Authority) -> None:
    with pytest.raises(BadInputError, match="no host name"):
        authority.renew(["bücher.example"])


def test_without_an_authority_nothing_is_signed(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CertificateFileError, match="allthings certs init"):
        Authority(tmp_path / "empty", now_ns()).issue("pump-7")


def test_files_of_others_are_named(authority: Authority) -> None:
    (authority.folder / "ca.key").write_text("no key")
    with pytest.raises(CertificateFileError, match=r"ca\.key holds no private key"):
        authority.issue("pump-7")
    authority.certificate.write_text("no certificate")
    with pytest.raises(CertificateFileError, match=r"ca\.pem"):
        valid_until(authority.certificate)


def test_names_are_counted_once() -> None:
    names = server_names(["localhost", "box.local", "box.local"])
    assert names[:2] == ["localhost", "box.local"]
    assert all(len(list(group)) == 1 for _, group in itertools.groupby(sorted(names)))
