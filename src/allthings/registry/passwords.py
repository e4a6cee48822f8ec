"""Passwords as argon2id (RFC 9106): made to cost time and memory, so that few are checked at once."""

from __future__ import annotations

import threading
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from allthings.registry.digests import readable_password
from allthings.registry.settings import PASSWORD_CHECKS_AT_ONCE, PASSWORD_MAX, PASSWORD_MIN
from allthings.things.errors import BadInputError


class Passwords:
    """Hashes and checks. Thread-safe; shared by users and devices, so that the bound holds for both together."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._turns = threading.BoundedSemaphore(PASSWORD_CHECKS_AT_ONCE)

    def hash(self, password: str) -> str:
        """What is stored. Raises BadInputError."""
        if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
            raise BadInputError(f"a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters, not {len(password)}")
        with self._turns:
            return self._hasher.hash(password.encode(errors="replace"))

    def matches(self, hashed: str | None, password: str) -> bool:
        """Whether this is the password. `hashed` None, for who does not exist, takes as long: 0.05 to 0.3 s."""
        nobodys = self._nobodys_hash  # made at the first call, whoever asks, so that it tells nothing
        shown = password.encode(errors="replace") if len(password) <= PASSWORD_MAX else b""
        with self._turns:
            try:
                self._hasher.verify(hashed or nobodys, shown)
            except (VerificationError, InvalidHashError):
                return False
        return hashed is not None

    @cached_property
    def _nobodys_hash(self) -> str:
        return self._hasher.hash(readable_password())
