"""Bringing a database to the newest schema. The migrations are part of the package."""

from __future__ import annotations

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from allthings.registry.database import Database
from allthings.registry.errors import RegistryNewerError
from allthings.registry.sealing import Sealing

_log = logging.getLogger(__name__)


def alembic_config() -> Config:
    """Alembic's configuration without a file. `attributes["connection"]` says where to."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def migrate(database: Database, sealing: Sealing) -> bool:
    """Upgrade to the newest schema in one transaction: wholly or not at all. Safe in several processes at once.
    Returns whether the database was empty.

    Raises RegistryNewerError, RegistryUnavailableError, SecretKeyError.
    """
    config = alembic_config()
    scripts = ScriptDirectory.from_config(config)
    with database.write_connection() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        head = scripts.get_current_head()
        if current == head:
            return False
        known = {script.revision for script in scripts.walk_revisions()}
        if current is not None and current not in known:
            raise RegistryNewerError(
                f"the registry {database.shown} is at revision {current}, which this version of allthings does not "
                "know: use the version that wrote it, or restore a backup"
            )
        if current is None:
            _log.info("making a new registry")
        else:
            _log.info("migrating the registry from %s to %s", current, head)
        config.attributes.update(connection=connection, sealing=sealing)
        command.upgrade(config, "head")
        return current is None
