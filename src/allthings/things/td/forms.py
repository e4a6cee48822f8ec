"""The platform's own forms in a description: added when it is served, taken out when it comes back.

HTTP forms follow the WoT HTTP Basic Profile, MQTT forms the WoT MQTT binding (`mqv:`). A description that a client
read, changed and put back must not keep forms of an address that may change, so each carries a mark.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from allthings.things.names import name_from_id
from allthings.things.td.limits import CONTEXT_OURS

SERVED: Final = "allthings:served"
_SECURITY_HTTP: Final = "allthings_bearer"
_SECURITY_MQTT: Final = "allthings_token"
_SECURITY_OPEN: Final = "allthings_open"
_OUR_DEFINITIONS: Final[dict[str, dict[str, str]]] = {
    _SECURITY_HTTP: {"scheme": "bearer", "in": "header"},
    _SECURITY_MQTT: {"scheme": "basic", "description": "MQTT user name and password: the thing's name and its token"},
    _SECURITY_OPEN: {"scheme": "nosec"},
}
_CONTEXT_MQTT: Final = {"mqv": "https://www.w3.org/2019/wot/mqtt#"}
_AFFORDANCES: Final = ("properties", "actions", "events")


def with_forms(
    td: Mapping[str, Any], base: str, *, name: str = "", mqtt: str = "", open_access: bool = False
) -> dict[str, Any]:
    """The description as it is served, with the platform's forms ahead of the device's own.

    `base` is the URL of the platform's HTTP port (`http://host:8484`), `mqtt` that of its MQTT port
    (`mqtt://host:1883`, "" for none), `name` the thing's name where it does not follow from the id. The forms name
    the platform's security schemes, or nosec with `open_access`. Neither argument is changed.
    """
    name = name or name_from_id(str(td.get("id", "")), str(td.get("title", "")))
    base = base.rstrip("/")
    http_security = _SECURITY_OPEN if open_access else _SECURITY_HTTP
    mqtt_security = _SECURITY_OPEN if open_access else _SECURITY_MQTT
    properties_url = f"{base}/things/{quote(name, safe=':')}/properties"

    def http(url: str, op: str) -> dict[str, Any]:
        return _form(href=url, op=op, security=http_security) | {"htv:methodName": "GET"}

    def subscribe(topic: str, op: list[str]) -> list[dict[str, Any]]:
        terms = {"mqv:controlPacket": "subscribe", "mqv:filter": topic}
        return [_form(href=mqtt, op=op, security=mqtt_security) | terms] if mqtt else []

    def publish(topic: str, op: str) -> list[dict[str, Any]]:
        terms = {"mqv:controlPacket": "publish", "mqv:topic": topic}
        return [_form(href=mqtt, op=op, security=mqtt_security) | terms] if mqtt else []

    served = {**td, "@context": _with_context(td.get("@context"), mqtt=bool(mqtt))}
    used = {http_security, mqtt_security} if mqtt else {http_security}
    ours = {key: value for key, value in _OUR_DEFINITIONS.items() if key in used}
    served["securityDefinitions"] = {**td.get("securityDefinitions", {}), **ours}
    if not td.get("properties"):
        whole: list[dict[str, Any]] = []
    else:
        whole = [http(properties_url, "readallproperties")]
        whole += subscribe(f"things/{name}/properties", ["observeallproperties", "unobserveallproperties"])
    if whole or td.get("forms"):
        served["forms"] = whole + list(td.get("forms", ()))

    def forms_of(kind: str, affordance_name: str, affordance: Mapping[str, Any]) -> list[dict[str, Any]]:
        topic = f"things/{name}/{kind}/{affordance_name}"
        if kind == "events":
            return subscribe(topic, ["subscribeevent", "unsubscribeevent"])
        if kind == "actions":
            return publish(topic, "invokeaction")
        if affordance.get("writeOnly"):
            return []
        url = f"{properties_url}/{quote(affordance_name, safe='')}"
        return [http(url, "readproperty"), *subscribe(topic, ["observeproperty", "unobserveproperty"])]

    for kind in _AFFORDANCES:
        if kind in td:
            served[kind] = {
                key: _with_forms_first(value, forms_of(kind, key, value)) for key, value in td[kind].items()
            }
    return served


def without_forms(td: Mapping[str, Any]) -> dict[str, Any]:
    """The description without what with_forms added. For documents that a client sends, before they are checked."""
    bare = dict(td)
    _drop_served(bare)
    for kind in _AFFORDANCES:
        if isinstance(bare.get(kind), dict):
            affordances = {key: dict(value) if isinstance(value, dict) else value for key, value in bare[kind].items()}
            for affordance in affordances.values():
                if isinstance(affordance, dict):
                    _drop_served(affordance)
            bare[kind] = affordances
    definitions = bare.get("securityDefinitions")
    if isinstance(definitions, dict):
        bare["securityDefinitions"] = {
            key: value for key, value in definitions.items() if _OUR_DEFINITIONS.get(key) != value
        }
    return bare


def _with_forms_first(affordance: Mapping[str, Any], ours: list[dict[str, Any]]) -> dict[str, Any]:
    return {**affordance, "forms": ours + list(affordance.get("forms", ()))} if ours else dict(affordance)


def _drop_served(holder: dict[str, Any]) -> None:
    forms = holder.get("forms")
    if not isinstance(forms, list):
        return
    kept = [form for form in forms if not (isinstance(form, dict) and form.get(SERVED))]
    if kept or not forms:
        holder["forms"] = kept
    else:
        del holder["forms"]


def _form(*, href: str, op: str | list[str], security: str) -> dict[str, Any]:
    return {"href": href, "op": op, "contentType": "application/json", "security": security, SERVED: True}


def _with_context(context: Any, *, mqtt: bool) -> list[Any]:
    entries = list(context) if isinstance(context, list) else [context]
    wanted = [CONTEXT_OURS, {"htv": "http://www.w3.org/2011/http#"}, *([_CONTEXT_MQTT] if mqtt else [])]
    for addition in wanted:
        prefix = next(iter(addition))
        if not any(isinstance(entry, dict) and prefix in entry for entry in entries):
            entries.append(addition)
    return entries
