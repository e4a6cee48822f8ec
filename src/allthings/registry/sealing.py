"""Secrets that must be told to others, so that no digest will do: encrypted with a key that is not in the database.

AES-256-GCM with a random nonce. The context is authenticated with it: a sealed text that is moved to another row, or
stays while the row's address changes, opens no more.
"""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from allthings.registry.errors import SecretKeyError

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class Sealing:
    """Seals and opens with the key given (base64 of 32 bytes), else with that of a file, made when it is first needed.

    Both methods raise SecretKeyError. Thread-safe.
    """

    def __init__(self, path: Path | None = None, key: str = "") -> None:
        self._path = path
        self._given = key

    def seal(self, text: str, context: str) -> str:
        """The text as nobody can read it."""
        # Takes some MB, and few need it.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + AESGCM(self._key(make=True)).encrypt(nonce, text.encode(), context.encode())
        return base64.b64encode(sealed).decode()

    def open(self, sealed: str, context: str) -> str:
        """What was sealed in the same context."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            data = base64.b64decode(sealed, validate=True)
            nonce, encrypted = data[:_NONCE_BYTES], data[_NONCE_BYTES:]
            return AESGCM(self._key(make=False)).decrypt(nonce, encrypted, context.encode()).decode()
        except (InvalidTag, ValueError):
            raise SecretKeyError(
                f"a secret of the registry was sealed with another key than {self._shown}: bring that key back, or "
                "give the secret again"
            ) from None

    def check(self) -> str:
        """What is used, in words; a file is made when the first secret is sealed. Raises SecretKeyError."""
        if self._given or (self._path is not None and self._path.exists()):
            self._key(make=False)
            return f"the key is {self._shown}"
        return f"none is needed yet; the first secret makes {self._path}"

    @property
    def _shown(self) -> str:
        return "that of the setting secret_key" if self._given else f"that of {self._path}"

    def _key(self, *, make: bool) -> bytes:
        if self._given:
            return self._decoded(self._given)
        if self._path is None:
            raise SecretKeyError("there is no key to seal the registry's secrets with: set secret_key")
        try:
            if make and not self._path.exists():
                _make(self._path)
            return self._decoded(self._path.read_text("ascii"))
        except FileNotFoundError:
            raise SecretKeyError(
                f"{self._path}, the key of the registry's secrets, is missing: bring it back, set secret_key, or give "
                "the secrets again"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise SecretKeyError(f"{self._path}, the key of the registry's secrets, cannot be used: {error}") from error

    def _decoded(self, text: str) -> bytes:
        try:
            key = base64.b64decode(text.strip(), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != _KEY_BYTES:
            raise SecretKeyError(f"{self._shown} is no key: 32 random bytes in base64, as of `openssl rand -base64 32`")
        return key


@dataclass(frozen=True)
class Secret:
    """A sealed text, false if there is none. Nothing shows what is in it but `reveal`."""

    sealed: str = field(repr=False)
    context: str = field(repr=False)
    sealing: Sealing = field(repr=False, compare=False)

    def __bool__(self) -> bool:
        return bool(self.sealed)

    def reveal(self) -> str:
        """The text; "" if there is none. Raises SecretKeyError."""
        return self.sealing.open(self.sealed, self.context) if self.sealed else ""


def _make(path: Path) -> None:
    """A new key, for its owner only, on the disk before anything is sealed with it. One that exists stays."""
    descriptor, temporary = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    with open(descriptor, "wb") as file:
        file.write(base64.b64encode(os.urandom(_KEY_BYTES)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(temporary)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
