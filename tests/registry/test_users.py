import re
import statistics
import time
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from allthings.registry import Registry, User
from allthings.registry.database import Database
from allthings.registry.settings import (
    PASSWORD_MAX,
    SESSION_IDLE_NS,
    SESSION_NS,
    SESSION_SEEN_NS,
    SESSIONS_PER_USER_MAX,
)
from allthings.things.errors import BadInputError, ConflictError, NotFoundError

T0 = 1_795_336_200_000_000_000


def _column(url: str, table: str, column: str) -> list[object]:
    database = Database(url)
    with database.read() as session:
        values = list(session.execute(sa.select(sa.column(column)).select_from(sa.table(table))).scalars())
    database.close()
    return values


def test_a_password_opens_and_nothing_else_does(registry: Registry, url: str) -> None:
    ada = registry.users.create("ada", "correct horse", "viewer")
    assert ada == User("ada", "viewer")
    assert registry.users.verify("ada", "correct horse") == ada
    for name, password in (
        ("ada", "wrong horse"),
        ("ada", ""),
        ("Ada", "correct horse"),
        ("bob", "correct horse"),
        ("", ""),
        ("a\x00", "\ud800"),
        ("ada", "correct horse" + " " * PASSWORD_MAX),
    ):
        assert registry.users.verify(name, password) is None
    assert str(_column(url, "users", "password")[0]).startswith("$argon2id$")


def test_users_are_listed_and_removed(registry: Registry) -> None:
    registry.users.create("bob", "password-1", "admin")
    registry.users.create("ada", "password-2", "viewer")
    assert [user.name for user in registry.users.list()] == ["ada", "bob"]
    with pytest.raises(ConflictError):
        registry.users.create("ada", "password-3", "admin")
    token = registry.users.open_session(User("ada", "viewer"), T0)
    registry.users.remove("ada")
    assert registry.users.session(token, T0) is None
    assert registry.users.list() == [User("bob", "admin")]
    with pytest.raises(NotFoundError):
        registry.users.remove("ada")


@pytest.mark.parametrize(
    ("name", "password", "role"),
    [
        ("", "long enough", "admin"),
        ("a b", "long enough", "admin"),
        ("a" * 65, "long enough", "admin"),
        ("ada\n", "long enough", "admin"),
        ("ada", "short", "admin"),
        ("ada", "x" * (PASSWORD_MAX + 1), "admin"),
        ("ada", "long enough", "root"),
    ],
)
def test_users_that_cannot_be(registry: Registry, name: str, password: str, role: str) -> None:
    with pytest.raises(BadInputError):
        registry.users.create(name, password, role)  # type: ignore[arg-type]
    assert registry.users.list() == []


def test_the_first_start_makes_an_administrator_once(registry: Registry, url: str) -> None:
    password = registry.users.ensure_admin()
    assert password is not None
    assert re.fullmatch(r"[a-z2-9]{5}(-[a-z2-9]{5}){3}", password)
    assert registry.users.verify("admin", password) == User("admin", "admin")
    assert registry.users.ensure_admin() is None
    assert password not in str(_column(url, "users", "password"))


def test_no_administrator_is_made_where_there_are_users(registry: Registry) -> None:
    registry.users.create("ada", "long enough", "viewer")
    assert registry.users.ensure_admin() is None


def test_a_new_password_ends_the_sessions(registry: Registry) -> None:
    ada = registry.users.create("ada", "old password", "viewer")
    token = registry.users.open_session(ada, T0)
    registry.users.set_password("ada", "new password")
    assert registry.users.verify("ada", "old password") is None
    assert registry.users.verify("ada", "new password") == ada
    assert registry.users.session(token, T0) is None
    with pytest.raises(NotFoundError):
        registry.users.set_password("bob", "new password")
    with pytest.raises(BadInputError):
        registry.users.set_password("ada", "x")


def test_a_session_lasts_until_it_is_closed(registry: Registry, url: str) -> None:
    ada = registry.users.create("ada", "long enough", "viewer")
    token, other = registry.users.open_session(ada, T0), registry.users.open_session(ada, T0)
    assert token != other
    assert len(token) > 40
    assert registry.users.session(token, T0) == ada
    assert token.encode() not in _column(url, "sessions", "digest")
    registry.users.close_session(token)
    registry.users.close_session(token)
    assert registry.users.session(token, T0) is None
    assert registry.users.session(other, T0) == ada
    for wrong in ("", "x", "\ud800", "\x00", other + "x", "x" * 1_000_000):
        assert registry.users.session(wrong, T0) is None
    with pytest.raises(NotFoundError):
        registry.users.open_session(User("bob", "admin"), T0)


def test_a_session_that_is_not_used_ends(registry: Registry) -> None:
    ada = registry.users.create("ada", "long enough", "viewer")
    token = registry.users.open_session(ada, T0)
    assert registry.users.session(token, T0 + SESSION_IDLE_NS - 1) == ada
    assert registry.users.session(token, T0 + 2 * SESSION_IDLE_NS - 2) == ada
    assert registry.users.session(token, T0 + 3 * SESSION_IDLE_NS - 2) is None


def test_a_session_that_is_used_ends_too(registry: Registry) -> None:
    ada = registry.users.create("ada", "long enough", "viewer")
    token = registry.users.open_session(ada, T0)
    day = SESSION_NS // 30
    assert all(registry.users.session(token, T0 + number * day) for number in range(30))
    assert registry.users.session(token, T0 + SESSION_NS) is None


def test_using_a_session_writes_seldom(registry: Registry, url: str) -> None:
    token = registry.users.open_session(registry.users.create("ada", "long enough", "viewer"), T0)
    registry.users.session(token, T0 + SESSION_SEEN_NS - 1)
    assert _column(url, "sessions", "seen_ns") == [T0]
    registry.users.session(token, T0 + SESSION_SEEN_NS)
    assert _column(url, "sessions", "seen_ns") == [T0 + SESSION_SEEN_NS]


def test_sessions_that_ended_are_swept_and_their_number_has_a_limit(
    registry: Registry, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SESSIONS_PER_USER_MAX == 100
    monkeypatch.setattr("allthings.registry.users.SESSIONS_PER_USER_MAX", 3)
    ada = registry.users.create("ada", "long enough", "viewer")
    bob = registry.users.create("bob", "long enough", "viewer")
    registry.users.open_session(bob, T0)
    tokens = [registry.users.open_session(ada, T0 + number) for number in range(5)]
    assert [registry.users.session(token, T0 + 9) is not None for token in tokens] == [False, False, True, True, True]
    assert len(_column(url, "sessions", "digest")) == 4
    registry.users.open_session(ada, T0 + SESSION_NS + 9)
    assert len(_column(url, "sessions", "digest")) == 1


def test_an_unknown_user_takes_as_long_as_a_wrong_password(registry: Registry) -> None:
    registry.users.create("ada", "long enough", "viewer")

    def seconds(call: Callable[[], object]) -> float:
        start = time.thread_time()
        call()
        return time.thread_time() - start

    registry.users.verify("nobody", "wrong")  # the first call makes the hash to compare with
    known = statistics.median(seconds(lambda: registry.users.verify("ada", "wrong")) for _ in range(5))
    unknown = statistics.median(seconds(lambda: registry.users.verify("nobody", "wrong")) for _ in range(5))
    # A look-up in the database is less than a hundredth of it; a missing hash would be all of it.
    assert 0.5 < unknown / known < 2
