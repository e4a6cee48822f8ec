import pytest
from hypothesis import given
from hypothesis import strategies as st

from allthings.things.names import (
    digest_suffix,
    id_from_name,
    name_from_id,
    slug,
    valid_id,
    valid_property_name,
    valid_thing_name,
)


@pytest.mark.parametrize(
    ("id_", "title", "name"),
    [
        ("urn:allthings:lamp-1", "", "lamp-1"),
        ("urn:allthings:a:b", "", "a:b"),
        ("https://example.com/things/lamp-1", "A lamp", "lamp-1"),
        ("https://example.com/things/lamp-1/?a=b#c", "", "lamp-1"),
        ("https://example.com/things/my%20lamp", "", "my-lamp"),
        ("urn:dev:ops:32473-WoTLamp-1234", "", "dev:ops:32473-WoTLamp-1234"),
        ("urn:uuid:0804d572-cce8-422a-bb7c-4412fcd56f06", "", "0804d572-cce8-422a-bb7c-4412fcd56f06"),
        ("urn:org:octopus-1/features/LeftLED", "", "LeftLED"),
        ("", "Küche, Süd", "Kuche-Sud"),
        ("https://example.com/", "Pump 7", "Pump-7"),
    ],
)
def test_a_name_follows_from_the_id_or_the_title(id_: str, title: str, name: str) -> None:
    assert name_from_id(id_, title) == name


def test_a_name_of_last_resort_depends_on_the_id() -> None:
    assert name_from_id("", "温度计") == "thing-" + digest_suffix("温度计")
    assert name_from_id("https://example.com/温", "温") != name_from_id("https://example.com/度", "温")


@given(st.text(max_size=600), st.text(max_size=300))
def test_names_made_from_anything_are_valid_and_repeatable(id_: str, title: str) -> None:
    name = name_from_id(id_, title)
    assert valid_thing_name(name)
    assert name == name_from_id(id_, title)


@given(st.from_regex(r"[A-Za-z0-9._:-]{1,128}", fullmatch=True))
def test_an_id_made_from_a_name_is_valid(name: str) -> None:
    assert valid_thing_name(name)
    assert valid_id(id_from_name(name))


@given(st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._:-]{0,126}[A-Za-z0-9])?", fullmatch=True))
def test_the_name_of_a_discovered_thing_comes_back_from_its_id(name: str) -> None:
    assert name_from_id(id_from_name(name)) == name


@pytest.mark.parametrize("name", ["", "a/b", "a b", "ä", "a" * 129, "a\n", None, 7, "a#", "+"])
def test_what_is_no_thing_name(name: object) -> None:
    assert not valid_thing_name(name)


@pytest.mark.parametrize("name", ["", "a/b", "a\x00", "a\x9f", "p" * 129, "\ud800", None])
def test_what_is_no_property_name(name: object) -> None:
    assert not valid_property_name(name)


@pytest.mark.parametrize("name", ["temperature", "pm2.5", "Außen °C", "温度", "p" * 128, "a b"])
def test_what_is_a_property_name(name: str) -> None:
    assert valid_property_name(name)


@pytest.mark.parametrize("id_", ["", "lamp", "urn:", "urn:a b", "urn:a\n", "urn:" + "a" * 509, "1a:b", None])
def test_what_is_no_id(id_: object) -> None:
    assert not valid_id(id_)


def test_a_slug_keeps_only_what_a_name_may_hold() -> None:
    assert slug("  Ünïcode / name!  ") == "Unicode-name"
    assert slug("日本") == ""
