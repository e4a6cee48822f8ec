"""Random secrets and their digests (docs/decisions/0001)."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

#: Letters that are not mistaken for one another when read aloud or typed.
_READABLE: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_SECRET_MAX: Final = 256


def new_secret(prefix: str) -> str:
    """256 random bits as text; the prefix tells scanners and people what it is."""
    return f"{prefix}_{secrets.token_urlsafe(32)}"


def digest(secret: str) -> bytes:
    """32 bytes from which the secret cannot be found. Not for passwords of people: it is fast."""
    return hashlib.blake2b(secret[:_SECRET_MAX].encode(errors="replace"), digest_size=32, person=b"allthings").digest()


def readable_password() -> str:
    """Four groups of five letters: 99 bits."""
    return "-".join("".join(secrets.choice(_READABLE) for _ in range(5)) for _ in range(4))
