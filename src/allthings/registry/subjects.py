"""Whom a rule is for, and whom a quota: a word, or a word and a name.

| subject | who |
| --- | --- |
| `anonymous` | a client that shows no credentials; without a rule for them such clients are refused |
| `authenticated` | everybody who has shown some |
| `devices`, `thing:{name}` | all devices, one of them |
| `users`, `role:{role}`, `user:{name}` | all people and their programs, those of a role, one of them |
| `tenant:{name}` | the devices and users of a tenant |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from allthings.registry.users import ROLES, valid_user_name
from allthings.things.errors import BadInputError
from allthings.things.names import valid_tenant, valid_thing_name

ANONYMOUS: Final = "anonymous"
AUTHENTICATED: Final = "authenticated"
DEVICES: Final = "devices"
USERS: Final = "users"

_WORDS: Final = frozenset({ANONYMOUS, AUTHENTICATED, DEVICES, USERS})
_NAMED: Final[dict[str, Callable[[str], bool]]] = {
    "thing": valid_thing_name,
    "user": valid_user_name,
    "role": lambda name: name in ROLES,
    "tenant": valid_tenant,
}
_SUBJECTS: Final = "anonymous, authenticated, devices, users, thing:NAME, role:ROLE, user:NAME or tenant:NAME"
_SCOPES: Final = "client, tenant, thing:NAME, user:NAME or tenant:NAME"


def check_subject(subject: str) -> None:
    """Raises BadInputError when it is none."""
    if subject not in _WORDS and not _is_named(subject, _NAMED):
        raise BadInputError(f"{subject[:64]!r} is no subject of a rule: {_SUBJECTS}")


def check_scope(scope: str) -> None:
    """Raises BadInputError when it is no scope of a quota."""
    if scope not in ("client", "tenant") and not _is_named(scope, ("thing", "user", "tenant")):
        raise BadInputError(f"{scope[:64]!r} is no scope of a quota: {_SCOPES}")


def _is_named(text: str, words: object) -> bool:
    word, colon, name = text.partition(":")
    return bool(colon) and word in words and word in _NAMED and _NAMED[word](name)  # type: ignore[operator]
