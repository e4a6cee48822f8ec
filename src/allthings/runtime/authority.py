"""A certificate authority of one's own, for trials and closed networks: who has no other can encrypt with it.

In its folder: `ca.pem` (what clients trust) and `ca.key`; `server.pem` and `server.key`; `clients.pem` (the authority
again, with the list of revoked certificates: what the gateway trusts); `things/NAME.pem` and `.key` for each thing.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from allthings.runtime.errors import CertificateFileError
from allthings.things.errors import BadInputError
from allthings.things.names import valid_thing_name
from allthings.things.times import NS_PER_S

#: The authority outlives what it signs. Clients refuse servers whose certificate is longer than 825 days.
AUTHORITY_DAYS: Final = 3650
SERVER_DAYS: Final = 825
DEVICE_DAYS: Final = 3650
#: Certificates count from a little earlier, for devices whose clock is behind.
_EARLIER: Final = timedelta(hours=1)
_COMMON_NAME_CHARS_MAX: Final = 64


class Issued(NamedTuple):
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


class Authority:
    """The authority in a folder. `now_ns` is the time of what is signed; all methods raise CertificateFileError."""

    def __init__(self, folder: Path, now_ns: int) -> None:
        self.folder = folder
        self.certificate = folder / "ca.pem"
        self.clients = folder / "clients.pem"
        self._key = folder / "ca.key"
        self._now = datetime.fromtimestamp(now_ns // NS_PER_S, UTC)

    @property
    def server(self) -> Issued:
        return Issued(self.folder / "server.pem", self.folder / "server.key")

    def device(self, thing: str) -> Issued:
        """Where a thing's certificate is. Raises BadInputError when there can be no such thing."""
        if not valid_thing_name(thing):
            raise BadInputError(f"{thing!r} cannot be a thing's name: 1 to 128 letters, digits, . _ : -")
        return Issued(self.folder / "things" / f"{thing}.pem", self.folder / "things" / f"{thing}.key")

    def create(self, names: Sequence[str]) -> None:
        """Make authority and server certificate. Refused when there is an authority."""
        for path in (self.certificate, self._key, *self.server, self.clients):
            if path.exists():
                raise CertificateFileError(
                    f"{path} exists and is not overwritten. A new server certificate of the same authority: "
                    "allthings certs init --renew. To start over, move the folder away; all devices then need new files"
                )
        for folder in (self.folder.parent, self.folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"allthings at {socket.gethostname()}"[:64])])
        signed = (
            self._builder(subject, subject, key.public_key(), key.public_key(), AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        _write(self._key, _pem_of_key(key))
        _write(self.certificate, _pem(signed))
        self._write_clients([])
        self.renew(names)

    def names(self) -> list[str]:
        """The names for which the server's certificate is good; none when there is no certificate."""
        if not self.server.certificate.exists():
            return []
        certificate = x509.load_pem_x509_certificate(_read(self.server.certificate))
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return [str(name.value) for name in alternatives]

    def renew(self, names: Sequence[str]) -> None:
        """A new server certificate, for the key that there is; a running platform takes it within a second."""
        path = self.server.key
        key = _load_key(path) if path.exists() else ec.generate_private_key(ec.SECP256R1())
        if not path.exists():
            _write(path, _pem_of_key(key))
        alternatives = [_general_name(name) for name in names]
        signed = self._sign(key.public_key(), names[0], alternatives, ExtendedKeyUsageOID.SERVER_AUTH, SERVER_DAYS)
        _replace(self.server.certificate, signed)

    def issue(self, thing: str) -> Issued:
        """A client certificate for a thing's device. Refused when the thing has one."""
        issued = self.device(thing)
        for path in issued:
            if path.exists():
                raise CertificateFileError(
                    f"{path} exists and is not overwritten. If it is lost or in wrong hands: "
                    f"allthings certs revoke {thing}"
                )
        issued.certificate.parent.mkdir(exist_ok=True, mode=0o700)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.UniformResourceIdentifier(f"urn:allthings:{thing}")
        signed = self._sign(key.public_key(), thing, [name], ExtendedKeyUsageOID.CLIENT_AUTH, DEVICE_DAYS)
        _write(issued.key, _pem_of_key(key))
        _write(issued.certificate, signed)
        return issued

    def revoke(self, thing: str) -> None:
        """A thing's certificate opens nothing from now on; its files are removed."""
        issued = self.device(thing)
        revoked = x509.load_pem_x509_certificate(_read(issued.certificate))
        listed = x509.load_pem_x509_crl(_read(self.clients)[len(_read(self.certificate)) :])
        entry = x509.RevokedCertificateBuilder().serial_number(revoked.serial_number).revocation_date(self._now).build()
        self._write_clients([*listed, entry])
        for path in issued:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def _write_clients(self, revoked: Sequence[x509.RevokedCertificate]) -> None:
        """The authority and its list of revoked certificates."""
        authority = _read(self.certificate)
        issuer = x509.load_pem_x509_certificate(authority)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.subject)
            .last_update(self._now - _EARLIER)
            # There is no newer list until something is revoked: this one must not grow old.
            .next_update(issuer.not_valid_after_utc)
        )
        for entry in revoked:
            builder = builder.add_revoked_certificate(entry)
        listed = builder.sign(_load_key(self._key), hashes.SHA256())
        _replace(self.clients, authority + listed.public_bytes(serialization.Encoding.PEM))

    def _sign(
        self,
        public: ec.EllipticCurvePublicKey,
        name: str,
        alternatives: Sequence[x509.GeneralName],
        purpose: x509.ObjectIdentifier,
        days: int,
    ) -> bytes:
        if not self.certificate.exists():
            raise CertificateFileError(f"{self.folder} holds no authority: allthings certs init")
        issuer = x509.load_pem_x509_certificate(_read(self.certificate))
        key = _load_key(self._key)
        # A longer name stands only in the alternatives (RFC 5280 allows 64 characters here).
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, name)] if len(name) <= _COMMON_NAME_CHARS_MAX else []
        signed = (
            self._builder(x509.Name(subject), issuer.subject, public, key.public_key(), days)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=not subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .sign(key, hashes.SHA256())
        )
        return _pem(signed)

    def _builder(
        self,
        subject: x509.Name,
        issuer: x509.Name,
        public: ec.EllipticCurvePublicKey,
        signer: ec.EllipticCurvePublicKey,
        days: int,
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - _EARLIER)
            .not_valid_after(self._now + timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
        )


def server_names(further: Sequence[str]) -> list[str]:
    """What a server's certificate is good for: the names given, this machine's, and loopback."""
    return list(dict.fromkeys([*further, socket.gethostname(), "localhost", "127.0.0.1", "::1"]))


def valid_until(certificate: Path) -> datetime:
    """The end of the first certificate in a PEM file. Raises CertificateFileError."""
    try:
        return x509.load_pem_x509_certificate(_read(certificate)).not_valid_after_utc
    except ValueError as error:
        raise CertificateFileError(f"{certificate} holds no certificate in PEM: {error}") from error


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError as error:
        raise BadInputError(f"{name!r} is no host name and no address: {error}") from error


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _pem_of_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError) as error:
        raise CertificateFileError(f"{path} holds no private key that can be used: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateFileError(f"{path} holds a key of another kind; it was not made by allthings certs init")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateFileError(f"{path} cannot be read: {error.strerror}") from error


def _write(path: Path, data: bytes) -> None:
    """A new file for its owner only; one that exists is left alone."""
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
    except OSError as error:
        raise CertificateFileError(f"{path} cannot be written: {error.strerror}") from error


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    _write(temporary, data)
    temporary.replace(path)
