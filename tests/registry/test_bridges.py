from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from allthings.registry import Registry
from allthings.registry.bridges import BridgeSettings, TopicMap
from allthings.registry.errors import SecretKeyError
from allthings.registry.settings import BRIDGE_MAPS_MAX, BRIDGES_MAX
from allthings.things.errors import BadInputError, ConflictError, LimitExceededError, NotFoundError

IN = TopicMap("in", "plant/#", prefix="site1/", strip="plant/", qos=0, retain=False)
OUT = TopicMap("out", "things/+/properties")
WANTED = BridgeSettings("mqtt://broker.example:1884", (IN, OUT), user="ann", password="s3cret")


def test_a_bridge_is_kept_as_it_was_said(registry: Registry) -> None:
    made = registry.bridges.create("north", WANTED, 7)
    assert registry.bridges.get("north") == made == registry.bridges.list()[0]
    assert (made.host, made.port, made.tls) == ("broker.example", 1884, False)
    assert made.maps == (IN, OUT)
    assert (made.user, made.password.reveal(), made.version, made.enabled) == ("ann", "s3cret", "5", True)
    assert (made.created_ns, made.modified_ns) == (7, 7)


def test_a_bridge_never_shows_its_password(registry: Registry) -> None:
    made = registry.bridges.create("north", WANTED, 7)
    assert "s3cret" not in f"{made!r} {made}"


def test_a_password_is_not_in_the_database_and_opens_for_its_bridge_and_address_only(registry: Registry) -> None:
    for name in ("north", "south"):
        registry.bridges.create(name, WANTED, 7)

    def rows(statement: str) -> list[str]:
        return registry._database.write(lambda session: list(session.execute(sa.text(statement)).scalars()))

    first, second = rows("SELECT password FROM bridges ORDER BY name")
    assert first != second
    assert "s3cret" not in first
    rows("UPDATE bridges SET url = 'mqtt://thief.example' WHERE name = 'north' RETURNING name")
    with pytest.raises(SecretKeyError, match="another key"):
        registry.bridges.get("north").password.reveal()
    rows(f"UPDATE bridges SET password = '{first}' WHERE name = 'south' RETURNING name")
    with pytest.raises(SecretKeyError):
        registry.bridges.get("south").password.reveal()
    assert {each.name for each in registry.bridges.list()} == {"north", "south"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"certificate": "site.pem"}, "absolute path"),
        ({"certificate": "/site.pem", "key": "/\x00"}, "key: the absolute"),
        ({"key": "/site.key"}, "no certificate"),
        ({"certificate": "/site.pem", "url": "mqtt://broker.example"}, "only for mqtts"),
    ],
)
def test_files_of_certificates_that_cannot_be(registry: Registry, wrong: dict[str, Any], said: str) -> None:
    wanted = replace(WANTED, url="mqtts://broker.example", certificate="/site.pem", key="/site.key")
    made = registry.bridges.create("north", wanted, 7)
    assert (made.certificate, made.key) == ("/site.pem", "/site.key")
    with pytest.raises(BadInputError, match=said):
        registry.bridges.replace("north", replace(wanted, **({"certificate": "", "key": ""} | wrong)), 9)


def test_replacing_keeps_id_and_password(registry: Registry) -> None:
    made = registry.bridges.create("north", WANTED, 7)
    changed = registry.bridges.replace("north", replace(WANTED, password=None, maps=(OUT,), enabled=False), 9)
    assert (changed.id, changed.password.reveal(), changed.maps, changed.enabled) == (made.id, "s3cret", (OUT,), False)
    assert (changed.created_ns, changed.modified_ns) == (7, 9)
    assert registry.bridges.replace("north", replace(WANTED, password=""), 9).password.reveal() == ""


def test_a_password_is_not_told_to_another_address(registry: Registry) -> None:
    registry.bridges.create("north", WANTED, 7)
    elsewhere = replace(WANTED, url="mqtts://elsewhere.example")
    with pytest.raises(BadInputError, match="give it again"):
        registry.bridges.replace("north", replace(elsewhere, password=None), 9)
    changed = registry.bridges.replace("north", elsewhere, 9)
    assert (changed.host, changed.port, changed.tls) == ("elsewhere.example", 8883, True)


def test_every_change_is_counted(registry: Registry) -> None:
    versions = [registry.bridges.version()]
    registry.bridges.create("north", WANTED, 7)
    versions.append(registry.bridges.version())
    registry.bridges.replace("north", WANTED, 8)
    versions.append(registry.bridges.version())
    registry.bridges.remove("north")
    versions.append(registry.bridges.version())
    assert versions == sorted(set(versions))


def test_what_is_not_there_and_what_is_there_already(registry: Registry) -> None:
    registry.bridges.create("north", WANTED, 7)
    with pytest.raises(ConflictError):
        registry.bridges.create("north", WANTED, 7)
    registry.bridges.remove("north")
    for call in (registry.bridges.get, registry.bridges.remove):
        with pytest.raises(NotFoundError):
            call("north")
    with pytest.raises(NotFoundError):
        registry.bridges.replace("no\x00name", WANTED, 7)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (replace(WANTED, url="http://broker.example"), "url: mqtt://"),
        (replace(WANTED, url="mqtt://"), "url: mqtt://"),
        (replace(WANTED, url="mqtt://broker.example:99999"), "url: "),
        (replace(WANTED, url="mqtt://ann:s3cret@broker.example"), "members of their own"),
        (replace(WANTED, url="mqtt://broker.example/x"), "url: mqtt://"),
        (replace(WANTED, version="4"), "version: 5 or 3.1.1"),  # type: ignore[arg-type]
        (replace(WANTED, ca="no certificate"), "ca: no certificates"),
        (replace(WANTED, user="a" * 2_000), "user: at most"),
        (replace(WANTED, maps=()), "say what crosses"),
        (replace(WANTED, maps=(IN,) * (BRIDGE_MAPS_MAX + 1)), "maps: 1 to"),
        (replace(WANTED, maps=(OUT, TopicMap("in", "a/#/b"))), "maps/1: "),
        (replace(WANTED, maps=(TopicMap("both", "a"),)), "direction: in or out"),  # type: ignore[arg-type]
        (replace(WANTED, maps=(TopicMap("in", "a", qos=2),)), "at least once"),
        (replace(WANTED, maps=(TopicMap("out", "$SYS/#"),)), "does not cross"),
        (replace(WANTED, maps=(TopicMap("out", "a", prefix="b/#"),)), "prefix: "),
        (replace(WANTED, maps=(TopicMap("out", "a", prefix="$SYS/"),)), "prefix: "),
        (replace(WANTED, maps=(TopicMap("out", "a/b", strip="b/"),)), "strip: "),
        (replace(WANTED, maps=(TopicMap("out", "+/b", strip="+/"),)), "strip: "),
        (replace(WANTED, maps=(TopicMap("out", "a/b", strip="a/b"),)), "nothing would be left"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(registry: Registry, wanted: BridgeSettings, said: str) -> None:
    with pytest.raises(BadInputError) as caught:
        registry.bridges.create("north", wanted, 7)
    assert said in caught.value.detail
    assert "s3cret" not in caught.value.detail


@pytest.mark.parametrize("name", ["", "a b", "ä", "a/b", "x" * 65])
def test_names(registry: Registry, name: str) -> None:
    with pytest.raises(BadInputError, match="no name of a bridge"):
        registry.bridges.create(name, WANTED, 7)


def test_there_is_a_limit(registry: Registry) -> None:
    for number in range(BRIDGES_MAX):
        registry.bridges.create(f"b{number}", WANTED, number)
    with pytest.raises(LimitExceededError):
        registry.bridges.create("one-more", WANTED, 7)
