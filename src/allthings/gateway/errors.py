"""Why the gateway does not start, or does not listen as it was asked to."""

from __future__ import annotations

from allthings.things.errors import AllthingsError, BadInputError, UnavailableError


class CertificateError(AllthingsError):
    """A certificate, its key, or the authorities of clients cannot be used; the text names the file."""

    type = "bad-certificate"
    title = "A certificate cannot be used"
    status = 503


class ProxyHeaderError(BadInputError):
    """What a proxy sent before the connection of its client is no PROXY v2 header; the connection is closed."""

    type = "bad-proxy-header"
    title = "The proxy's header cannot be used"


class NewerLayoutError(UnavailableError):
    """What is kept in the log was written by a newer version, which is to be used."""

    type = "newer-layout"
    title = "The log was written by a newer version"
