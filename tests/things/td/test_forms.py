from typing import Any

import pytest

from allthings.things.td import check_td, with_forms, without_forms

_TD: dict[str, Any] = check_td(
    {
        "id": "https://example.com/things/lamp",
        "title": "Lamp",
        "securityDefinitions": {"basic_sc": {"scheme": "basic"}},
        "security": "basic_sc",
        "properties": {
            "on": {"type": "boolean"},
            "Außen °C": {"type": "number", "readOnly": True},
            "secret": {"type": "string", "writeOnly": True},
        },
        "actions": {"toggle": {}},
        "events": {"hot": {"data": {"type": "number"}}},
    }
)


def _by_op(forms: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for form in forms:
        operations = form.get("op", "own")
        for op in operations if isinstance(operations, list) else [operations]:
            found.setdefault(op, form)
    return found


_OWN: dict[str, Any] = {
    **_TD,
    "properties": {**_TD["properties"], "on": {"type": "boolean", "forms": [{"href": "coap://lamp.local/on"}]}},
}


def test_http_forms_lead_to_the_platform() -> None:
    served = with_forms(_TD, "https://host:8484/")
    assert check_td(served) == served
    assert _by_op(served["forms"])["readallproperties"]["href"] == "https://host:8484/things/lamp/properties"
    form = _by_op(served["properties"]["Außen °C"]["forms"])["readproperty"]
    assert form["href"] == "https://host:8484/things/lamp/properties/Au%C3%9Fen%20%C2%B0C"


def test_the_scheme_for_http_stands_at_the_top() -> None:
    """Consumers heed it there, and not in forms."""
    served = with_forms(_TD, "https://host:8484/", mqtt="mqtt://host:1883")
    assert served["securityDefinitions"][served["security"]] == {"scheme": "bearer", "in": "header"}
    by_op = _by_op(served["properties"]["on"]["forms"])
    assert "security" not in by_op["readproperty"]
    assert served["securityDefinitions"][by_op["observeproperty"]["security"]]["scheme"] == "basic"
    assert without_forms(served)["security"] == "basic_sc"
    changed = without_forms({**served, "security": "basic_sc"})
    assert (changed["security"], list(changed["securityDefinitions"])) == ("basic_sc", ["basic_sc"])


def test_a_description_that_says_nothing_of_security_says_nothing_when_it_comes_back() -> None:
    served = with_forms(check_td({"title": "x", "properties": {"a": {}}}), "http://h")
    del served["allthings:security"]
    served["securityDefinitions"] = {key: served["securityDefinitions"][key] for key in [served["security"]]}
    assert check_td(without_forms(served))["security"] == "nosec_sc"


def test_what_is_the_devices_own_stays_as_it_is() -> None:
    served = with_forms(_OWN, "http://h", mqtt="mqtt://h")
    assert check_td(served) == served
    assert served["properties"]["on"] == _OWN["properties"]["on"]
    assert served["security"] == "basic_sc"
    assert "forms" not in served
    # What the device does not serve itself, it may send here.
    form = _by_op(served["properties"]["Außen °C"]["forms"])["readproperty"]
    assert served["securityDefinitions"][form["security"]]["scheme"] == "bearer"
    assert {**without_forms(served), "@context": _OWN["@context"]} == _OWN


def test_a_description_of_somebody_elses_device_is_served_as_it_is() -> None:
    td = {**_OWN, "properties": {"on": _OWN["properties"]["on"]}, "actions": {}, "events": {}}
    assert with_forms(td, "http://h", mqtt="mqtt://h") == td
    with_forms_of_its_own = {**_TD, "properties": {}, "actions": {}, "events": {}, "forms": [{"href": "x", "op": "y"}]}
    assert with_forms(with_forms_of_its_own, "http://h", mqtt="mqtt://h") == with_forms_of_its_own


def test_what_can_only_be_written_is_not_offered_for_reading() -> None:
    assert "forms" not in with_forms(_TD, "http://h", mqtt="mqtt://h")["properties"]["secret"]


def test_mqtt_forms_name_the_topics() -> None:
    served = with_forms(_TD, "http://h", mqtt="mqtt://h:1883", name="lampe")
    on = _by_op(served["properties"]["on"]["forms"])
    assert on["observeproperty"]["href"] == "mqtt://h:1883"
    assert on["observeproperty"]["mqv:filter"] == "things/lampe/properties/on"
    assert on["readproperty"]["href"] == "http://h/things/lampe/properties/on"
    event = _by_op(served["events"]["hot"]["forms"])["subscribeevent"]
    assert (event["mqv:controlPacket"], event["mqv:filter"]) == ("subscribe", "things/lampe/events/hot")
    action = _by_op(served["actions"]["toggle"]["forms"])["invokeaction"]
    assert (action["mqv:controlPacket"], action["mqv:topic"]) == ("publish", "things/lampe/actions/toggle")
    assert served["securityDefinitions"][action["security"]]["scheme"] == "basic"
    assert _by_op(served["forms"])["observeallproperties"]["mqv:filter"] == "things/lampe/properties"


def test_open_access_needs_no_security() -> None:
    served = with_forms(_TD, "http://h", mqtt="mqtt://h", open_access=True)
    assert served["securityDefinitions"][served["security"]] == {"scheme": "nosec"}
    forms = served["properties"]["on"]["forms"]
    assert len(forms) == 2
    assert not any("security" in form for form in forms)


@pytest.mark.parametrize("mqtt", ["", "mqtt://h:1"])
@pytest.mark.parametrize("open_access", [True, False])
def test_a_description_that_comes_back_is_as_it_was(mqtt: str, open_access: bool) -> None:
    served = with_forms(_TD, "http://h", mqtt=mqtt, open_access=open_access)
    back = without_forms(served)
    assert {**back, "@context": _TD["@context"]} == _TD
    assert with_forms(back, "http://h", mqtt=mqtt, open_access=open_access) == served


def test_prefixes_are_declared_once() -> None:
    served = with_forms(with_forms(_TD, "http://h", mqtt="mqtt://h"), "http://h", mqtt="mqtt://h")
    prefixes = [next(iter(entry)) for entry in served["@context"] if isinstance(entry, dict)]
    assert sorted(prefixes) == ["allthings", "htv", "mqv"]


def test_a_thing_without_properties_offers_none() -> None:
    assert "forms" not in with_forms(check_td({"title": "x", "id": "urn:x:y"}), "http://h", mqtt="mqtt://h")


@pytest.mark.parametrize(
    "td",
    [{}, {"properties": 3}, {"properties": {"a": 3}}, {"forms": 3}, {"forms": [3]}, {"securityDefinitions": []}],
)
def test_taking_forms_out_of_anything_is_safe(td: dict[str, Any]) -> None:
    assert without_forms(td) == td
