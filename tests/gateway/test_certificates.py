"""The certificates of the server and of clients, from their files."""

from __future__ import annotations

import shutil
import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from allthings.gateway import certificates
from allthings.gateway.certificates import CertificateFiles, ClientCertificate, ServerCertificate, certificate_thing
from allthings.gateway.errors import CertificateError
from allthings.runtime.authority import Authority
from allthings.things.names import THING_NAME
from tests.gateway.authorities import made


def test_authorities_revoke_only_what_they_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some count their certificates from 1, so two of them give the same number."""
    ours = made(tmp_path / "ours")
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    theirs = made(tmp_path / "theirs")
    signed = x509.load_pem_x509_certificate(ours.issue("pump-7").certificate.read_bytes())
    shown = ClientCertificate("pump-7", certificates._identity(signed.issuer.public_bytes(), signed.serial_number))
    revoked = x509.RevokedCertificateBuilder().serial_number(signed.serial_number)
    entry = revoked.revocation_date(datetime(2026, 1, 1, tzinfo=UTC)).build()
    both = tmp_path / "both.pem"
    theirs._write_clients([entry])
    both.write_bytes(ours.clients.read_bytes() + theirs.clients.read_bytes())
    server = ServerCertificate(CertificateFiles(*ours.server, both))
    assert server.objection(shown) == ""
    ours._write_clients([entry])
    both.write_bytes(theirs.clients.read_bytes() + ours.clients.read_bytes())
    assert server.refresh()
    assert server.objection(shown) == "its certificate is revoked"
    both.write_bytes(both.read_bytes().replace(b"BEGIN X509 CRL-----\nMI", b"BEGIN X509 CRL-----\nNI"))
    assert not server.refresh()
    assert server.objection(shown) == "its certificate is revoked"


@pytest.mark.parametrize(
    ("certificate", "thing"),
    [
        (None, ""),
        ({}, ""),
        ({"subject": ((("commonName", "a"),),)}, "a"),
        ({"subject": ((("organizationName", "x"),), (("commonName", "a"),))}, "a"),
        ({"subject": ((("commonName", "a"),), (("commonName", "b"),))}, ""),
        ({"subject": ((("commonName", "no / name"),),)}, ""),
        ({"subject": ((("commonName", "a"),),), "subjectAltName": (("DNS", "b"),)}, "b"),
        ({"subject": (), "subjectAltName": (("DNS", "b"), ("URI", "urn:allthings:c"))}, "c"),
        ({"subject": (), "subjectAltName": (("URI", "urn:other:c"), ("IP Address", "::1"))}, ""),
        ({"subject": (), "subjectAltName": (("URI", "urn:allthings:c"), ("URI", "urn:allthings:d"))}, ""),
    ],
)
def test_the_thing_of_a_certificate(certificate: Any, thing: str) -> None:
    assert certificate_thing(certificate) == thing


@given(name=st.from_regex(THING_NAME, fullmatch=True))
def test_every_thing_can_be_named(name: str) -> None:
    assert certificate_thing({"subjectAltName": (("URI", f"urn:allthings:{name}"),)}) == name


def test_what_cannot_be_used_is_named(authority: Authority, tmp_path: Path) -> None:
    server, empty = authority.server, tmp_path / "empty.pem"
    empty.write_bytes(b"")
    other = made(tmp_path / "other").server
    for wrong, said in (
        (CertificateFiles(tmp_path / "none.pem", server.key), "none.pem cannot be read"),
        (CertificateFiles(server.certificate, tmp_path / "none.key"), "none.key cannot be read"),
        (CertificateFiles(server.certificate, other.key), "is not the key of"),
        (CertificateFiles(empty, server.key), "cannot be used"),
        (CertificateFiles(*server, empty), "empty.pem holds no certificates"),
    ):
        with pytest.raises(CertificateError, match=said):
            ServerCertificate(wrong)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_key_with_a_password_is_refused_without_asking(authority: Authority, tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    command = ["openssl", "pkey", "-in", authority.server.key, "-aes128", "-passout", "pass:secret", "-out", locked]
    subprocess.run(command, check=True)
    with pytest.raises(CertificateError, match="password"):
        ServerCertificate(CertificateFiles(authority.server.certificate, locked))
