"""Errors of the log."""

from __future__ import annotations

from allthings.things.errors import AllthingsError, UnavailableError


class LogUnavailableError(UnavailableError):
    """The log did not take an append, or cannot be read, now. Nothing was acknowledged; try again."""

    type = "log-unavailable"
    title = "The log does not answer"


class LogTooOldError(LogUnavailableError):
    """The log's server is a nats-server that cannot do what is needed here. Replace it by a newer one."""

    type = "log-too-old"
    title = "The log's server is too old"


class LogFullError(LogUnavailableError):
    """The log's disk or its limit is full. Appends succeed again when space is made."""

    type = "log-full"
    title = "The log is full"


class LogOrderError(LogUnavailableError):
    """A block was not stored because the one before it is not there yet."""

    type = "log-order"
    title = "The block before is not stored yet"


class LogTakenError(LogUnavailableError):
    """Another process appends to the log in this one's place. Run a gateway of a name once only."""

    type = "log-taken"
    title = "Another process appends in this one's place"


class NoRoomError(AllthingsError):
    """The disk has no more free than its reserve (`disk_reserve_mb`). Nothing was taken; free some space."""

    type = "no-room"
    title = "The disk is nearly full"
    status = 507
