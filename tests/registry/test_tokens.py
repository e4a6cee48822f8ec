from dataclasses import replace

import pytest
import sqlalchemy as sa

from allthings.registry import Registry, SeenProperty, Token, User
from allthings.registry.database import Database
from allthings.registry.schema import TokenRow
from allthings.registry.settings import BRIEF_TOKEN_NS, TOKENS_PER_SUBJECT_MAX
from allthings.registry.tokens import looks_like_token
from allthings.things.errors import BadInputError, LimitExceededError, NotFoundError
from allthings.things.types import Kind

T0 = 1_000


@pytest.fixture
def furnished(registry: Registry) -> Registry:
    registry.things.create({"title": "Lamp", "id": "urn:x:lamp"}, T0, name="lamp")
    registry.things.create({"title": "Pump"}, T0, name="pump")
    registry.users.create("ada", "long enough", "viewer")
    return registry


def test_a_device_token_is_for_its_thing_only(furnished: Registry) -> None:
    token = furnished.tokens.create("device", "lamp", "bench", T0)
    assert (token.kind, token.subject, token.label, token.created_ns) == ("device", "lamp", "bench", T0)
    assert furnished.tokens.verify_device("lamp", token.secret)
    for thing, secret in (
        ("pump", token.secret),
        ("urn:x:lamp", token.secret),
        ("", token.secret),
        ("lamp", token.secret[:-1]),
        ("lamp", token.secret + "x"),
        ("lamp", token.id),
        ("lamp", ""),
        ("lamp", "\ud800\x00"),
        ("lamp", "x" * 1_000_000),
    ):
        assert not furnished.tokens.verify_device(thing, secret)
    assert furnished.tokens.verify_bearer(token.secret) is None


def test_a_thing_may_be_named_by_its_id(furnished: Registry) -> None:
    assert furnished.tokens.create("device", "urn:x:lamp", "", T0).subject == "lamp"


def test_a_program_acts_for_its_user(furnished: Registry) -> None:
    token = furnished.tokens.create("api", "ada", "script", T0)
    assert furnished.tokens.verify_bearer(token.secret) == User("ada", "viewer")
    assert furnished.tokens.verify_bearer(token.secret + "x") is None
    assert not furnished.tokens.verify_device("ada", token.secret)
    furnished.users.remove("ada")
    assert furnished.tokens.verify_bearer(token.secret) is None


def test_secrets_are_long_differ_and_are_not_kept(furnished: Registry, url: str) -> None:
    tokens = [furnished.tokens.create("device", "lamp", "", T0) for _ in range(20)]
    assert len({token.secret for token in tokens}) == len({token.id for token in tokens}) == 20
    assert all(len(token.secret) == len("atd_") + 43 for token in tokens)
    database = Database(url)
    with database.read() as session:
        kept = b"".join(session.scalars(sa.select(TokenRow.digest)))
    database.close()
    assert len(kept) == 20 * 32
    assert all(token.secret.encode() not in kept for token in tokens)


def test_tokens_are_listed_without_their_secrets(furnished: Registry) -> None:
    first = furnished.tokens.create("device", "lamp", "a", T0)
    second = furnished.tokens.create("device", "lamp", "b", T0 + 1)
    third = furnished.tokens.create("api", "ada", "c", T0 + 2)
    furnished.tokens.create("device", "pump", "d", T0 + 3)
    assert furnished.tokens.list("lamp") == [
        Token(first.id, "device", "lamp", "a", T0),
        Token(second.id, "device", "lamp", "b", T0 + 1),
    ]
    assert furnished.tokens.list(kind="api") == [Token(third.id, "api", "ada", "c", T0 + 2)]
    assert [token.label for token in furnished.tokens.list()] == ["a", "b", "c", "d"]
    assert furnished.tokens.list("nobody") == []


def test_one_name_for_a_thing_and_a_user_is_no_confusion(furnished: Registry) -> None:
    furnished.users.create("lamp", "long enough", "admin")
    device = furnished.tokens.create("device", "lamp", "", T0)
    program = furnished.tokens.create("api", "lamp", "", T0)
    assert [token.id for token in furnished.tokens.list("lamp", kind="api")] == [program.id]
    assert [token.id for token in furnished.tokens.list("lamp", kind="device")] == [device.id]


def test_a_revoked_token_is_worth_nothing(furnished: Registry) -> None:
    token = furnished.tokens.create("device", "lamp", "", T0)
    furnished.tokens.revoke(token.id)
    assert not furnished.tokens.verify_device("lamp", token.secret)
    for id_ in (token.id, "", "x", "\x00", "\ud800"):
        with pytest.raises(NotFoundError):
            furnished.tokens.revoke(id_)


def test_a_removed_thing_takes_its_tokens_along(furnished: Registry) -> None:
    token = furnished.tokens.create("device", "lamp", "", T0)
    furnished.things.remove("lamp")
    assert furnished.tokens.list() == []
    furnished.things.observe([SeenProperty("lamp", "on", Kind.BOOLEAN)], T0)
    assert not furnished.tokens.verify_device("lamp", token.secret)


@pytest.mark.parametrize(
    ("kind", "subject"),
    [("device", "nothing"), ("device", "ada"), ("device", "a\x00"), ("device", ""), ("api", "bob"), ("api", "lamp")],
)
def test_tokens_are_only_for_what_is_there(furnished: Registry, kind: str, subject: str) -> None:
    with pytest.raises(NotFoundError):
        furnished.tokens.create(kind, subject, "", T0)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError):
        furnished.things.get("nothing")


def test_tokens_that_cannot_be(furnished: Registry) -> None:
    with pytest.raises(BadInputError):
        furnished.tokens.create("root", "lamp", "", T0)  # type: ignore[arg-type]
    for label in ("x" * 129, "\x00"):
        with pytest.raises(BadInputError):
            furnished.tokens.create("device", "lamp", label, T0)


def test_the_number_of_tokens_has_a_limit(furnished: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allthings.registry.tokens.TOKENS_PER_SUBJECT_MAX", 2)
    for _ in range(2):
        furnished.tokens.create("device", "lamp", "", T0)
    with pytest.raises(LimitExceededError):
        furnished.tokens.create("device", "lamp", "", T0)
    furnished.tokens.create("device", "pump", "", T0)


def test_a_token_for_mqtt_opens_nothing_else(furnished: Registry) -> None:
    token = furnished.tokens.create("mqtt", "ada", "", T0)
    assert looks_like_token(token.secret)
    assert furnished.tokens.verify_bearer(token.secret) is None
    assert not furnished.tokens.verify_device("ada", token.secret)
    assert furnished.tokens.list("ada", kind="api") == []
    assert furnished.tokens.list("ada", kind="mqtt") == [replace(token, secret="")]


def test_expired_tokens_take_no_room(furnished: Registry) -> None:
    for _ in range(TOKENS_PER_SUBJECT_MAX):
        furnished.tokens.create("mqtt", "ada", "", T0)
    with pytest.raises(LimitExceededError):
        furnished.tokens.create("mqtt", "ada", "", T0)
    furnished.tokens.create("api", "ada", "", T0)
    furnished.tokens.create("mqtt", "ada", "", T0 + BRIEF_TOKEN_NS)
