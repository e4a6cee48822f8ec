"""What can go wrong in a command beyond what the platform reports."""

from __future__ import annotations

from allthings.things.errors import AllthingsError


class ProblemError(AllthingsError):
    """The platform answered with problem details (RFC 9457); `type` and `status` are those of the answer."""

    def __init__(self, kind: str, status: int, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.http_status = status


class UnreachableError(AllthingsError):
    """Nothing, or something else, answers at the address."""

    type = "unreachable"
    title = "The platform cannot be reached"
    status = 503


class InputFileError(AllthingsError):
    """A file given to a command cannot be used."""

    type = "bad-file"
    title = "The file cannot be used"
    status = 400
