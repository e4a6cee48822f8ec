"""The server's certificate, followed as its files change; and what a client's certificate says."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

from allthings.gateway import settings
from allthings.gateway.errors import CertificateError
from allthings.things.names import valid_thing_name
from allthings.things.times import NS_PER_S, now_ns

_LOGGER = logging.getLogger(__name__)
_URN: Final = "urn:allthings:"
_REVOCATIONS: Final = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


class CertificateFiles(NamedTuple):
    """PEM files. `certificate` holds the server's and those between it and its authority; `client_ca` the authorities
    whose clients are let in, and may hold their revocation lists; None: clients show no certificates."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


class ClientCertificate(NamedTuple):
    """What a client showed: the thing that it names ("": none, or no certificate at all), what a revocation list calls
    it, and when it ends. The last two are not known of a certificate that a proxy has checked."""

    thing: str = ""
    identity: bytes = b""
    until_ns: int = 0


NO_CERTIFICATE: Final = ClientCertificate()


class ServerCertificate:
    """A certificate that can be replaced while it is in use: write the new files, connections from then on see them.

    Raises CertificateError when the files cannot be used at the start. Later a bad file is told in the log, and what
    was there before stays in use.
    """

    def __init__(self, files: CertificateFiles, clock: Callable[[], int] = now_ns) -> None:
        self._files = files
        self._clock = clock
        self._seen = self._state()
        self.context = _context(files)
        self._revoked = _revoked(files)

    def lasting_context(self) -> ssl.SSLContext:
        """A context for servers that take one for ever: each handshake is given the newest certificate."""

        def newest(tls: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
            tls.context = self.context

        context = _context(self._files)
        context.sni_callback = newest
        return context

    async def follow(self, looked: Callable[[], None] = lambda: None) -> None:
        """Look for new files again and again; `looked` is called each time."""
        while True:
            await asyncio.sleep(settings.CERTIFICATE_EVERY_S)
            await asyncio.to_thread(self.refresh)
            looked()

    def objection(self, client: ClientCertificate) -> str:
        """Why a client's certificate, which was good once, is not any more; "" while it is."""
        if client.identity in self._revoked:
            return "its certificate is revoked"
        if client.until_ns and client.until_ns < self._clock():
            return "its certificate has expired"
        return ""

    def refresh(self) -> bool:
        """Take the files if they have changed and are good. Tells whether they were taken."""
        state = self._state()
        if state == self._seen:
            return False
        self._seen = state
        try:
            self._revoked, self.context = _revoked(self._files), _context(self._files)
        except CertificateError as error:
            _LOGGER.error("the new certificate is refused, the old one stays in use: %s", error.detail)
            return False
        _LOGGER.info("a new certificate is in use: %s", self._files.certificate)
        return True

    def _state(self) -> tuple[object, ...]:
        """Changes when a file does: when it is written, replaced, allowed or taken away."""
        return tuple(_file_state(path) for path in self._files if path is not None)


def _file_state(path: Path) -> object:
    try:
        status = os.stat(path)
    except OSError as error:
        return error.errno
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _context(files: CertificateFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    # A device has one connection, and takes the ticket of its last one for the next.
    context.num_tickets = 1
    for path in (files.certificate, files.key):
        _check_readable(path)
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        if reason == "KEY_VALUES_MISMATCH":
            raise CertificateError(f"{files.key} is not the key of {files.certificate}") from error
        raise CertificateError(
            f"{files.certificate} with the key {files.key} cannot be used: {reason}. Both must be PEM"
        ) from error
    if files.client_ca is not None:
        revocations = _REVOCATIONS.search(_check_readable(files.client_ca))
        try:
            context.load_verify_locations(files.client_ca)
        except OSError as error:
            raise CertificateError(f"{files.client_ca} holds no certificates in PEM: {error}") from error
        context.verify_mode = ssl.CERT_OPTIONAL
        if revocations:
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def _revoked(files: CertificateFiles) -> frozenset[bytes]:
    """The identities of all client certificates that the lists in the file of authorities revoke."""
    if files.client_ca is None:
        return frozenset()
    # Takes a while and 14 MB: only for those who ask for client certificates, and at the start.
    from cryptography import x509

    identities: set[bytes] = set()
    for pem in _REVOCATIONS.findall(_check_readable(files.client_ca)):
        try:
            revocations = x509.load_pem_x509_crl(pem)
            issuer = revocations.issuer.public_bytes()
            identities.update(_identity(issuer, entry.serial_number) for entry in revocations)
        except ValueError as error:
            raise CertificateError(f"{files.client_ca} holds a revocation list that cannot be read: {error}") from error
    return frozenset(identities)


def _identity(issuer: bytes, serial_number: int) -> bytes:
    """Short, since there may be many of both; authorities count their certificates each for itself."""
    return hashlib.blake2b(b"%d/%b" % (serial_number, issuer), digest_size=16).digest()


def client_certificate(tls: ssl.SSLObject) -> ClientCertificate:
    """What the client has shown in its handshake. Raises ValueError when it cannot be read."""
    encoded = tls.getpeercert(binary_form=True)
    if not encoded:
        return NO_CERTIFICATE
    from cryptography import x509

    shown = x509.load_der_x509_certificate(encoded)
    until_ns = int(shown.not_valid_after_utc.timestamp()) * NS_PER_S
    identity = _identity(shown.issuer.public_bytes(), shown.serial_number)
    return ClientCertificate(certificate_thing(tls.getpeercert()), identity, until_ns)


def _check_readable(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"{path} cannot be read: {error.strerror}") from error


def _no_password() -> NoReturn:
    raise CertificateError("the key is protected by a password, which nobody is there to type: take it off")


def certificate_thing(certificate: Mapping[str, Any] | None) -> str:
    """The thing that a client's checked certificate names; "" when it names none, or more than one.

    The certificate is as `ssl.SSLSocket.getpeercert` gives it. A subject alternative name counts before the common
    name: `URI:urn:allthings:NAME`, else `DNS:NAME`.
    """
    if not certificate:
        return ""
    alternatives = certificate.get("subjectAltName", ())
    uris = {value[len(_URN) :] for kind, value in alternatives if kind == "URI" and value.startswith(_URN)}
    dns = {value for kind, value in alternatives if kind == "DNS"}
    common = {value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"}
    names = uris or dns or common
    name = names.pop() if len(names) == 1 else ""
    return name if valid_thing_name(name) else ""
