"""Why the platform does not start."""

from __future__ import annotations

from allthings.things.errors import AllthingsError


class StartError(AllthingsError):
    """The platform cannot start; the text says why and what to do."""

    type = "cannot-start"
    title = "The platform cannot start"
    status = 503


class SettingError(AllthingsError):
    """A setting has a value that cannot be used."""

    type = "bad-setting"
    title = "A setting cannot be used"
    status = 400


class CertificateFileError(AllthingsError):
    """A file of the certificate authority is missing, in the way, or cannot be used."""

    type = "certificate-file"
    title = "A certificate's file cannot be used"
    status = 409
