"""Why the gateway does not listen as it was asked to."""

from __future__ import annotations

from allthings.things.errors import AllthingsError, BadInputError


class CertificateError(AllthingsError):
    """A certificate, its key, or the authorities of clients cannot be used; the text names the file."""

    type = "bad-certificate"
    title = "A certificate cannot be used"
    status = 503


class ProxyHeaderError(BadInputError):
    """What a proxy sent before the connection of its client is no PROXY v2 header; the connection is closed."""

    type = "bad-proxy-header"
    title = "The proxy's header cannot be used"
