import pytest

from allthings.registry import Registry, Standing
from allthings.registry.settings import BRIEF_TOKEN_NS, EXPIRED_TOKEN_KEPT_NS
from allthings.things.errors import BadInputError, NotFoundError

T0 = 1_000


@pytest.fixture
def furnished(registry: Registry) -> Registry:
    registry.things.create({"title": "Lamp", "id": "urn:x:lamp"}, T0, name="lamp")
    registry.things.create({"title": "Pump", "allthings:tenant": "acme"}, T0, name="pump")
    registry.users.create("ada", "long enough", "operator", tenant="acme")
    return registry


def test_tokens_are_found_many_at_once(furnished: Registry) -> None:
    lamp = furnished.tokens.create("device", "lamp", "", T0)
    pump = furnished.tokens.create("device", "pump", "", T0)
    ada = furnished.tokens.create("api", "ada", "", T0)
    found = furnished.credentials.by_tokens(
        [
            ("ada", ada.secret),
            ("lamp", lamp.secret),
            ("pump", lamp.secret),
            ("pump", pump.secret),
            ("lamp", ada.secret),
            ("lamp", "nonsense\x00\ud800"),
            ("lamp", lamp.secret),
        ],
        T0,
    )
    device = Standing("device", "lamp", "", "main", f"token:{lamp.id}")
    assert found == [
        Standing("user", "ada", "operator", "acme", f"token:{ada.id}"),
        device,
        None,
        Standing("device", "pump", "", "acme", f"token:{pump.id}"),
        None,
        None,
        device,
    ]
    assert furnished.credentials.by_tokens([], T0) == []


def test_a_device_may_have_a_password(furnished: Registry) -> None:
    credentials = furnished.credentials
    assert credentials.by_password("lamp", "open sesame") is None
    assert credentials.device_password_ns("lamp") is None
    assert credentials.set_device_password("urn:x:lamp", "open sesame", T0) == "lamp"
    assert credentials.device_password_ns("lamp") == T0
    standing = credentials.by_password("lamp", "open sesame")
    assert standing is not None
    assert (standing.kind, standing.name, standing.tenant) == ("device", "lamp", "main")
    assert credentials.by_password("lamp", "open sesam") is None
    assert credentials.by_password("pump", "open sesame") is None
    assert credentials.renew([standing]) == {standing: standing}
    credentials.set_device_password("lamp", "open sesame", T0)
    assert credentials.renew([standing]) == {standing: None}
    again = credentials.by_password("lamp", "open sesame")
    assert again is not None
    credentials.remove_device_password("lamp")
    assert credentials.renew([again]) == {again: None}
    assert credentials.by_password("lamp", "open sesame") is None
    with pytest.raises(NotFoundError):
        credentials.remove_device_password("lamp")
    with pytest.raises(NotFoundError):
        credentials.set_device_password("nobody", "open sesame", T0)
    with pytest.raises(BadInputError, match="8 to"):
        credentials.set_device_password("lamp", "short", T0)


def test_a_thing_and_a_user_of_one_name(furnished: Registry) -> None:
    furnished.users.create("lamp", "of the person", "viewer")
    furnished.credentials.set_device_password("lamp", "of the device", T0)
    device = furnished.credentials.by_password("lamp", "of the device")
    person = furnished.credentials.by_password("lamp", "of the person")
    assert (device and device.kind, person and person.kind) == ("device", "user")
    assert furnished.credentials.by_password("lamp", "of nobody") is None


def test_passwords_of_users(furnished: Registry) -> None:
    standing = furnished.credentials.by_password("ada", "long enough")
    assert standing is not None
    assert (standing.kind, standing.role, standing.tenant) == ("user", "operator", "acme")
    for name, password in (("ada", "wrong one"), ("bob", "long enough"), ("a/b", "x"), ("", ""), ("ada", "x" * 9_999)):
        assert furnished.credentials.by_password(name, password) is None
    furnished.users.change("ada", role="viewer")
    renewed = furnished.credentials.renew([standing])[standing]
    assert renewed is not None
    assert renewed.role == "viewer"
    furnished.users.set_password("ada", "something else")
    assert furnished.credentials.renew([standing]) == {standing: None}


def test_what_ends_a_credential(furnished: Registry) -> None:
    token = furnished.tokens.create("device", "lamp", "", T0)
    other = furnished.tokens.create("device", "pump", "", T0)
    program = furnished.tokens.create("api", "ada", "", T0)
    shown = [("lamp", token.secret), ("pump", other.secret), ("ada", program.secret)]
    lamp, pump, ada = furnished.credentials.by_tokens(shown, T0)
    certified = furnished.credentials.by_certificate("pump")
    assert lamp is not None
    assert pump is not None
    assert ada is not None
    assert certified == Standing("device", "pump", "", "acme", "certificate")
    standings = [lamp, pump, ada, certified]
    assert furnished.credentials.renew(standings) == {one: one for one in standings}
    before = furnished.versions().access
    assert furnished.tokens.revoke(token.id).subject == "lamp"
    assert furnished.versions().access > before
    assert furnished.credentials.renew(standings) == {lamp: None, pump: pump, ada: ada, certified: certified}
    furnished.users.remove("ada")
    before = furnished.versions().access
    furnished.things.remove("pump")
    assert furnished.versions().access > before
    assert furnished.credentials.renew(standings) == dict.fromkeys(standings)
    assert furnished.credentials.renew([]) == {}


def test_a_certificate_needs_its_thing(furnished: Registry) -> None:
    assert furnished.credentials.by_certificate("lamp") is not None
    for name in ("nobody", "urn:x:lamp", "ada", "", "a/b", "\x00"):
        assert furnished.credentials.by_certificate(name) is None


def test_a_tenant_that_changes_is_noticed(furnished: Registry) -> None:
    standing = furnished.credentials.by_certificate("lamp")
    assert standing is not None
    before = furnished.versions().access
    thing = furnished.things.patch("lamp", {"allthings:tenant": "acme"}, T0)
    assert {"allthings": "https://allthings.example/ns#"} in thing.td["@context"]
    assert furnished.versions().access > before
    renewed = furnished.credentials.renew([standing])[standing]
    assert renewed is not None
    assert renewed.tenant == "acme"
    before = furnished.versions().access
    furnished.things.patch("lamp", {"title": "Lamp 2"}, T0)
    assert furnished.versions().access == before
    furnished.things.patch("lamp", {"allthings:tenant": None}, T0)
    again = furnished.credentials.renew([standing])[standing]
    assert again is not None
    assert again.tenant == "main"


def test_renewing_thousands(furnished: Registry) -> None:
    for number in range(30):
        furnished.tokens.create("device", "lamp", "", number)
    gone = [Standing("device", "lamp", "", "main", f"token:{number:016x}") for number in range(2_500)]
    assert set(furnished.credentials.renew(gone).values()) == {None}


def test_a_token_for_mqtt_shows_its_user_for_some_minutes(furnished: Registry) -> None:
    token = furnished.tokens.create("mqtt", "ada", "", T0)
    assert token.expires_ns == T0 + BRIEF_TOKEN_NS
    shown = [("ada", token.secret), ("lamp", token.secret)]
    ada = Standing("user", "ada", "operator", "acme", f"token:{token.id}", token.expires_ns)
    assert furnished.credentials.by_tokens(shown, T0) == [ada, None]
    assert furnished.credentials.by_tokens(shown, token.expires_ns) == [None, None]
    # Connections that were made with it live on, until it is forgotten.
    assert furnished.credentials.renew([ada]) == {ada: ada}
    furnished.tokens.create("mqtt", "ada", "", token.expires_ns + EXPIRED_TOKEN_KEPT_NS + 1)
    assert furnished.credentials.renew([ada]) == {ada: None}
