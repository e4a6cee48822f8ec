"""What can go wrong in the registry beyond the classes of allthings.things.errors.

UnavailableError
├── RegistryUnavailableError    the database does not answer, or is locked for too long
├── RegistryDamagedError        the file is no sound database
├── RegistryNewerError          a newer version of the platform has migrated it
└── SecretKeyError              the key of its secrets is missing or another one
"""

from __future__ import annotations

from allthings.things.errors import UnavailableError


class RegistryUnavailableError(UnavailableError):
    type = "registry-unavailable"
    title = "The registry's database does not answer"


class RegistryDamagedError(UnavailableError):
    type = "registry-damaged"
    title = "The registry's database is damaged"


class RegistryNewerError(UnavailableError):
    type = "registry-newer"
    title = "The registry's database is of a newer version"


class SecretKeyError(UnavailableError):
    type = "secret-key"
    title = "The key of the registry's secrets is missing or another one"
