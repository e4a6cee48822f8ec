"""Who a client is and what it may do."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from allthings.gateway import settings
from allthings.gateway.rules import EVERYTHING, NOTHING, Grants, Rules
from allthings.registry.credentials import Standing
from allthings.things.names import TENANT

if TYPE_CHECKING:
    from allthings.registry.registry import Registry


_NO_RULES: Final = Rules()


class Principal:
    """A client that is known, and what it may do now. `standing` None: without credentials, or in open mode."""

    __slots__ = ("_client", "_grants", "_rules", "standing")

    def __init__(self, standing: Standing | None, grants: Grants = NOTHING) -> None:
        self.standing = standing
        self._grants: Grants | None = grants
        self._rules = _NO_RULES
        self._client = ""

    def bind(self, rules: Rules, client: str) -> None:
        """Say that it may do what these rules say, with this client id."""
        self._rules, self._client = rules, client
        self._grants = None

    def renew(self, rules: Rules, standing: Standing | None) -> bool:
        """The rules or the standing have changed; whether that changes what it may do, as far as that was asked."""
        before = self._grants
        self.standing = standing
        self.bind(rules, self._client)
        return before is not None and self.grants != before

    @property
    def grants(self) -> Grants:
        """What it may do. Looked up when it is asked for: most of a crowd that connects does nothing yet."""
        if self._grants is None:
            self._grants = self._rules.grants(self.standing, self._client)
        return self._grants

    @property
    def name(self) -> str:
        return self.standing.name if self.standing else ""

    @property
    def tenant(self) -> str:
        return self.standing.tenant if self.standing else TENANT

    @property
    def owner(self) -> str:
        """Whose a session is, `thing:{name}` or `user:{name}`: nobody else takes it over by giving its client id."""
        if self.standing is None:
            return ""
        return f"{'thing' if self.standing.kind == 'device' else 'user'}:{self.standing.name}"

    @property
    def credential(self) -> str:
        """What it has shown; "" for nothing."""
        return self.standing.credential if self.standing else ""

    def may_publish(self, topic: str) -> bool:
        return self.grants.publishing(topic) is not None

    def may_subscribe(self, topic_filter: str) -> bool:
        """Whether one rule allows all of a filter; that of a shared subscription with its `$share/name/` too."""
        return self.grants.subscribing(topic_filter) is not None


def standing_of(owner: str, credential: str) -> Standing | None:
    """Who the owner of a session (`Principal.owner`) was by that credential, without role and tenant: to be renewed."""
    kind, _, name = owner.partition(":")
    return Standing("device" if kind == "thing" else "user", name, "", "", credential) if name else None


#: Before CONNECT; and anyone in open mode. Neither is ever changed.
NOBODY: Final = Principal(None)
ANYONE: Final = Principal(None, EVERYTHING)


class Credentials:
    """Checks what clients show against the registry. All methods run on the event loop."""

    def __init__(self, registry: Registry | None, *, open_mode: bool = False) -> None:
        """Without a registry, or in open mode, anyone may do anything."""
        self._registry = registry
        self.open = open_mode or registry is None
        self.rules = Rules()
        #: A keyed digest of name and secret, to whom they show. The key ends with the process.
        self._known: OrderedDict[bytes, Standing] = OrderedDict()
        self._key = secrets.token_bytes(32)
        #: Counts what `renewed` was told, so that nothing that was looked up before is believed after.
        self._generation = 0

    def known(self, name: str, secret: str) -> Principal | None:
        """Who has shown these before, without looking anything up."""
        key = self._digest(name, secret)
        standing = self._known.get(key)
        if standing is None:
            return None
        self._known.move_to_end(key)
        return Principal(standing)

    async def by_tokens(self, shown: Sequence[tuple[str, str]], now_ns: int) -> list[Principal | None]:
        """For each (name, secret) whom it shows if the secret is a token. One look-up for all."""
        assert self._registry is not None
        generation = -1
        while generation != self._generation:
            generation = self._generation
            standings = await asyncio.to_thread(self._registry.credentials.by_tokens, shown, now_ns)
        return [
            self._remember(*each, standing) if standing else None
            for each, standing in zip(shown, standings, strict=True)
        ]

    async def by_password(self, name: str, password: str) -> Principal | None:
        """Whose password it is, the device's of that name or the user's. Slow by design: few at once."""
        assert self._registry is not None
        generation = self._generation
        standing = await asyncio.to_thread(self._registry.credentials.by_password, name, password)
        while standing is not None and generation != self._generation:
            generation = self._generation
            standing = (await asyncio.to_thread(self._registry.credentials.renew, [standing]))[standing]
        return self._remember(name, password, standing) if standing else None

    async def by_certificate(self, name: str) -> Principal | None:
        """The device of that name, which a client's certificate was mapped to; None if there is no such thing."""
        if self._registry is None:
            return ANYONE
        generation = -1
        while generation != self._generation:
            generation = self._generation
            standing = await asyncio.to_thread(self._registry.credentials.by_certificate, name)
        return Principal(standing) if standing else None

    def renewed(self, standings: dict[Standing, Standing | None]) -> None:
        """Something has changed: of the credentials that are remembered keep those that still hold."""
        self._generation += 1
        for key, standing in tuple(self._known.items()):
            now = standings.get(standing)
            if now is None:
                del self._known[key]
            else:
                self._known[key] = now

    def standings(self) -> Iterable[Standing]:
        """Those of the credentials that are remembered."""
        return self._known.values()

    def _remember(self, name: str, secret: str, standing: Standing) -> Principal:
        if standing.expires_ns:
            return Principal(standing)
        self._known[self._digest(name, secret)] = standing
        if len(self._known) > settings.CREDENTIALS_KNOWN_MAX:
            self._known.popitem(last=False)
        return Principal(standing)

    def _digest(self, name: str, secret: str) -> bytes:
        data = f"{len(name)}:{name}{secret}".encode(errors="replace")
        return hashlib.blake2b(data, digest_size=16, key=self._key).digest()
