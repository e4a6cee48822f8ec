"""Who a client is and what it may do. First cut: devices under their own thing, people everywhere."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from allthings.registry.registry import Registry

#: Verifications at once: a password costs tens of milliseconds of a core by design.
_VERIFYING_MAX = 2


class Principal(NamedTuple):
    """A client that is known. `prefix` is what all its topics begin with; "" for people and in open mode."""

    name: str
    prefix: str
    may_write: bool = True

    def may_publish(self, topic: str) -> bool:
        return self.may_write and topic.startswith(self.prefix) and not topic.startswith("$")

    def may_subscribe(self, topic_filter: str) -> bool:
        return topic_filter.startswith(self.prefix)


ANYONE = Principal("", "")


def device(thing: str) -> Principal:
    """A thing's own device: it lives below its thing's topics."""
    return Principal(thing, f"things/{thing}/")


class Credentials:
    """Checks user names and passwords of CONNECT against the registry."""

    def __init__(self, registry: Registry | None) -> None:
        """`registry` None means open mode: anyone may do anything."""
        self._registry = registry
        self._verifying = asyncio.Semaphore(_VERIFYING_MAX)

    async def check(self, username: str | None, password: bytes | None, certificate_name: str = "") -> Principal | None:
        """The principal, or None when the credentials are wrong or missing.

        A thing's name with a token of the thing is a device; a user's name with its password, or with a token of a
        program, is a person (or a program of theirs). Without a password, `certificate_name` is the device: the thing
        that the client's certificate names, checked in the handshake.
        """
        if self._registry is None:
            return ANYONE
        if certificate_name and password is None and username in (None, "", certificate_name):
            return device(certificate_name)
        if not username or not password:
            return None
        try:
            secret = password.decode()
        except UnicodeDecodeError:
            return None
        async with self._verifying:
            return await asyncio.to_thread(self._verify, self._registry, username, secret)

    @staticmethod
    def _verify(registry: Registry, username: str, secret: str) -> Principal | None:
        if registry.tokens.verify_device(username, secret):
            return device(username)
        user = registry.tokens.verify_bearer(secret)
        if user is None or user.name != username:
            user = registry.users.verify(username, secret)
        if user is None:
            return None
        return Principal(user.name, "", may_write=user.role != "viewer")
