import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from allthings.registry import Registry
from allthings.registry.bridges import BridgeSettings, TopicMap
from allthings.registry.database import Database
from allthings.registry.errors import RegistryDamagedError, RegistryNewerError, SecretKeyError
from allthings.registry.migrate import alembic_config, migrate
from allthings.registry.revision import NEWEST
from allthings.registry.schema import Table
from allthings.registry.sealing import Sealing


def test_the_migrations_give_the_schema_of_the_models(url: str) -> None:
    database = Database(url)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "target_metadata": Table.metadata}
        )
        assert compare_metadata(context, Table.metadata) == []
    database.close()


def test_names_and_rules_are_those_of_the_models(url: str, tmp_path: Path) -> None:
    """What autogenerate does not compare: names of keys, what a deletion does, collations."""
    migrated = Database(url)
    if migrated.is_sqlite:
        made = Database(f"sqlite:///{tmp_path}/made.db")
        Table.metadata.create_all(made.engine)
        assert _structure(migrated) == _structure(made)
        made.close()
    else:
        with migrated.engine.connect() as connection:
            statement = sa.text(
                "SELECT count(*) FROM information_schema.columns WHERE collation_name = 'C' AND table_name = 'things'"
            )
            assert connection.execute(statement).scalar_one() == 4
    inspector = sa.inspect(migrated.engine)
    for table in ("descriptions", "tokens", "sessions"):
        assert all(key["options"] == {"ondelete": "CASCADE"} for key in inspector.get_foreign_keys(table))
    migrated.close()


def _structure(database: Database) -> dict[str, object]:
    inspector = sa.inspect(database.engine)
    return {
        table: (
            inspector.get_pk_constraint(table),
            sorted(inspector.get_foreign_keys(table), key=str),
            sorted(inspector.get_indexes(table), key=str),
            sorted(inspector.get_unique_constraints(table), key=str),
            [(column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns(table)],
        )
        for table in inspector.get_table_names()
        if table != "alembic_version"
    }


def test_one_line_of_migrations() -> None:
    scripts = ScriptDirectory.from_config(alembic_config())
    assert len(scripts.get_heads()) == len(scripts.get_bases()) == 1


def test_the_newest_migration_is_known_without_alembic() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == NEWEST


def test_a_registry_tells_whether_it_is_up_to_date(empty_url: str) -> None:
    registry = Registry(empty_url)
    assert not registry.migrated()
    registry.migrate()
    assert registry.migrated()
    database = Database(empty_url)
    with database.write_connection() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
    assert not registry.migrated()
    database.close()
    registry.close()


def test_an_up_to_date_registry_is_opened_without_alembic(empty_url: str) -> None:
    registry = Registry(empty_url)
    registry.migrate()
    registry.close()
    code = (
        "import sys; from allthings.registry import Registry; "
        "Registry(sys.argv[1]).migrate(); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, empty_url], check=False).returncode == 0


def test_migrating_again_does_nothing(empty_url: str, caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry(empty_url)
    with caplog.at_level(logging.INFO, "allthings"):
        registry.migrate()
        assert "making a new registry" in caplog.text
        caplog.clear()
        registry.things.create({"title": "x"}, 1, name="x")
        registry.migrate()
        assert caplog.text == ""
    assert registry.things.get("x").title == "x"
    registry.close()


def test_every_migration_can_be_undone_and_done_again(empty_url: str) -> None:
    database = Database(empty_url)
    migrate(database, Sealing())
    config = alembic_config()
    with database.write_connection() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert set(sa.inspect(connection).get_table_names()) <= {"alembic_version"}
    migrate(database, Sealing())
    assert "things" in sa.inspect(database.engine).get_table_names()
    database.close()


def test_passwords_of_bridges_are_sealed_and_opened_again(empty_url: str, tmp_path: Path) -> None:
    sealing = Sealing(tmp_path / "secret.key")
    registry = Registry(empty_url, sealing)
    registry.migrate()
    for name, password in (("north", "s3cret-of-north"), ("south", "")):
        wanted = BridgeSettings("mqtt://broker.example", (TopicMap("in", "a"),), password=password)
        registry.bridges.create(name, wanted, 7)
    database = Database(empty_url)
    config = alembic_config()
    with database.write_connection() as connection:
        config.attributes.update(connection=connection, sealing=sealing)
        command.downgrade(config, "0004")
        plain = connection.execute(sa.text("SELECT password FROM bridges ORDER BY name")).scalars().all()
    assert plain == ["s3cret-of-north", ""]
    with pytest.raises(SecretKeyError, match="set secret_key"):
        migrate(database, Sealing())
    migrate(database, sealing)
    with database.read() as session:
        sealed = session.execute(sa.text("SELECT password FROM bridges ORDER BY name")).scalars().all()
    assert "s3cret" not in sealed[0]
    assert sealed[1] == ""
    assert [each.password.reveal() for each in registry.bridges.list()] == ["s3cret-of-north", ""]
    registry.close()
    database.close()
    if database.is_sqlite:
        assert all(b"s3cret-of-north" not in path.read_bytes() for path in tmp_path.glob("registry.db*"))


def test_a_database_of_a_newer_version_is_left_alone(url: str) -> None:
    database = Database(url)
    with database.write_connection() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'from-2030'"))
    with pytest.raises(RegistryNewerError, match="from-2030"):
        migrate(database, Sealing())
    database.close()


def test_a_migration_that_fails_leaves_nothing_behind(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(empty_url)
    monkeypatch.setattr("allthings.registry.migrate.command.upgrade", _upgrade_and_fail)
    with pytest.raises(RuntimeError, match="power cut"):
        migrate(database, Sealing())
    monkeypatch.undo()
    assert sa.inspect(database.engine).get_table_names() == []
    migrate(database, Sealing())
    database.close()


_upgrade = command.upgrade


def _upgrade_and_fail(config: object, revision: str) -> None:
    _upgrade(config, revision)  # type: ignore[arg-type]
    raise RuntimeError("power cut")


@pytest.mark.parametrize("damage", ["garbage", "hole"])
def test_a_damaged_file_is_not_replaced(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "registry.db"
    registry = Registry(f"sqlite:///{path}")
    registry.migrate()
    for number in range(50):
        registry.things.create({"title": f"thing {number}" * 50}, 1)
    registry.close()
    content = bytearray(path.read_bytes())
    if damage == "garbage":
        content[:] = b"no database at all, but long enough to be looked at" * 100
    else:
        content[8192:-4096] = bytes(len(content) - 8192 - 4096)
    path.write_bytes(content)
    registry = Registry(f"sqlite:///{path}")
    with pytest.raises(RegistryDamagedError, match="restore it from a backup"):
        registry.migrate()
    registry.close()
    assert path.read_bytes() == content


def test_threads_that_start_at_once_migrate_once(empty_url: str) -> None:
    registries = [Registry(empty_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Registry.migrate, registries))
    assert registries[0].things.version() == 0
    for registry in registries:
        registry.close()


_MIGRATE = "import sys; from allthings.registry import Registry; r = Registry(sys.argv[1]); r.migrate(); r.close()"


def test_processes_that_start_at_once_migrate_once(empty_url: str) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", _MIGRATE, empty_url]) for _ in range(2)]
    assert [process.wait(90) for process in processes] == [0, 0]
    registry = Registry(empty_url)
    assert registry.things.version() == 0
    registry.close()
