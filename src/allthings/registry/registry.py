"""The registry: everything that is configured, in one SQLite or PostgreSQL database."""

from __future__ import annotations

from allthings.registry.access import AccessRules
from allthings.registry.audit import Audit
from allthings.registry.bridges import Bridges
from allthings.registry.counters import Versions, versions
from allthings.registry.credentials import Credentials
from allthings.registry.database import Database
from allthings.registry.deletions import NotedDeletions
from allthings.registry.passwords import Passwords
from allthings.registry.quotas import Quotas
from allthings.registry.removals import RemovedThings
from allthings.registry.revision import NEWEST, revision
from allthings.registry.sealing import Sealing
from allthings.registry.things import Things
from allthings.registry.tokens import Tokens
from allthings.registry.users import Users


class Registry:
    """`url` is `sqlite:////absolute/registry.db` or `postgresql://user:password@host/database`. `sealing` has the key
    of its secrets; without it there can be none.

    All calls block: async callers use asyncio.to_thread. All objects here are thread-safe, and any number of
    processes may open the same database. Nothing but `migrate` and `migrated` works before the schema is there.
    """

    def __init__(self, url: str, sealing: Sealing | None = None) -> None:
        self._database = Database(url)
        self._sealing = sealing or Sealing()
        passwords = Passwords()
        self.things = Things(self._database)
        self.removals = RemovedThings(self._database)
        self.deletions = NotedDeletions(self._database)
        self.users = Users(self._database, passwords)
        self.tokens = Tokens(self._database)
        self.credentials = Credentials(self._database, passwords)
        self.access = AccessRules(self._database)
        self.quotas = Quotas(self._database)
        self.audit = Audit(self._database)
        self.bridges = Bridges(self._database, self._sealing)

    def versions(self) -> Versions:
        """How often things, and who may do what, have changed. Cheap: ask several times a second."""
        with self._database.read() as session:
            return versions(session)

    def migrate(self) -> bool:
        """Bring the database to the newest schema; whether it was empty. Raises RegistryNewerError,
        RegistryDamagedError."""
        self._database.verify()
        if self.migrated():
            return False
        from allthings.registry.migrate import migrate  # see allthings.registry.revision

        return migrate(self._database, self._sealing)

    def migrated(self) -> bool:
        """Whether the schema is this version's, so that everything else here works. Raises RegistryUnavailableError."""
        return revision(self._database) == NEWEST

    def close(self) -> None:
        """Close all connections."""
        self._database.close()
