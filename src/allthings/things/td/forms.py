"""The platform's own forms in a description: added when it is served, taken out when it comes back.

They stand only in affordances that have none of their own: what a description of somebody else's device says is the
device's, and comes back as it was sent. HTTP forms follow the WoT HTTP Basic Profile, MQTT forms the WoT MQTT binding
(`mqv:`). A description that a client read, changed and put back must not keep forms of an address that may change, so
each carries a mark.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from allthings.things.names import name_from_id
from allthings.things.td.limits import CONTEXT_OURS

SERVED: Final = "allthings:served"
#: The thing's own `security` while it is served with ours.
SECURITY_KEPT: Final = "allthings:security"
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
    """The description as it is served: with the platform's forms where it has none of its own.

    `base` is the URL of the platform's HTTP port (`http://host:8484`), `mqtt` that of its MQTT port
    (`mqtt://host:1883`, "" for none), `name` the thing's name where it does not follow from the id. A thing that has
    no forms of its own at all is reached by the platform's security scheme (nosec with `open_access`), which then
    stands at the top, where every consumer heeds it. Where nothing is to be added the description is as it was. The
    argument is not changed.
    """
    name = name or name_from_id(str(td.get("id", "")), str(td.get("title", "")))
    own = bool(td.get("forms")) or any(each.get("forms") for kind in _AFFORDANCES for each in td.get(kind, {}).values())
    schemes = (_SECURITY_OPEN, _SECURITY_OPEN) if open_access else (_SECURITY_HTTP, _SECURITY_MQTT)
    places = _Places(base.rstrip("/"), name, mqtt, *schemes, at_top=not own)
    added = {
        kind: {
            key: {**affordance, "forms": forms}
            for key, affordance in td.get(kind, {}).items()
            if not affordance.get("forms") and (forms := places.forms_of(kind, key, affordance))
        }
        for kind in _AFFORDANCES
    }
    if not any(added.values()):
        return dict(td)
    served = {**td, "@context": _with_context(td.get("@context"), mqtt=bool(mqtt))}
    used = schemes if mqtt else schemes[:1]
    ours = {key: value for key, value in _OUR_DEFINITIONS.items() if key in used}
    served["securityDefinitions"] = {**td.get("securityDefinitions", {}), **ours}
    if not own:
        if "security" in td:
            served[SECURITY_KEPT] = td["security"]
        served["security"] = schemes[0]
        if td.get("properties"):
            served["forms"] = places.forms_of_all()
    for kind, affordances in added.items():
        if affordances:
            served[kind] = {**td[kind], **affordances}
    return served


class _Places(NamedTuple):
    """Where the platform serves a thing. `at_top`: the scheme for HTTP is the thing's, so forms need not name it."""

    base: str
    name: str
    mqtt: str
    http_security: str
    mqtt_security: str
    at_top: bool

    def forms_of(self, kind: str, name: str, affordance: Mapping[str, Any]) -> list[dict[str, Any]]:
        topic = f"things/{self.name}/{kind}/{name}"
        if kind == "events":
            return self._subscribe(topic, ["subscribeevent", "unsubscribeevent"])
        if kind == "actions":
            return self._publish(topic, "invokeaction")
        if affordance.get("writeOnly"):
            return []
        read = self._http(f"{self._properties}/{quote(name, safe='')}", "readproperty")
        return [read, *self._subscribe(topic, ["observeproperty", "unobserveproperty"])]

    def forms_of_all(self) -> list[dict[str, Any]]:
        read = self._http(self._properties, "readallproperties")
        topic = f"things/{self.name}/properties"
        return [read, *self._subscribe(topic, ["observeallproperties", "unobserveallproperties"])]

    @property
    def _properties(self) -> str:
        return f"{self.base}/things/{quote(self.name, safe=':')}/properties"

    def _http(self, url: str, op: str) -> dict[str, Any]:
        return self._form(url, op, self.http_security) | {"htv:methodName": "GET"}

    def _subscribe(self, topic: str, op: list[str]) -> list[dict[str, Any]]:
        terms = {"mqv:controlPacket": "subscribe", "mqv:filter": topic}
        return [self._form(self.mqtt, op, self.mqtt_security) | terms] if self.mqtt else []

    def _publish(self, topic: str, op: str) -> list[dict[str, Any]]:
        terms = {"mqv:controlPacket": "publish", "mqv:topic": topic}
        return [self._form(self.mqtt, op, self.mqtt_security) | terms] if self.mqtt else []

    def _form(self, href: str, op: str | list[str], security: str) -> dict[str, Any]:
        form = {"href": href, "op": op, "contentType": "application/json", SERVED: True}
        return form if self.at_top and security == self.http_security else {**form, "security": security}


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
    kept = bare.pop(SECURITY_KEPT, None)
    if isinstance(bare.get("security"), str) and bare["security"] in _OUR_DEFINITIONS:
        del bare["security"]
        if kept is not None:
            bare["security"] = kept
    definitions = bare.get("securityDefinitions")
    if isinstance(definitions, dict):
        others = {key: value for key, value in definitions.items() if _OUR_DEFINITIONS.get(key) != value}
        bare["securityDefinitions"] = others
        if definitions and not others and "security" not in bare:
            # Only ours stood there: it is a description that says nothing of security.
            del bare["securityDefinitions"]
    return bare


def _drop_served(holder: dict[str, Any]) -> None:
    forms = holder.get("forms")
    if not isinstance(forms, list):
        return
    kept = [form for form in forms if not (isinstance(form, dict) and form.get(SERVED))]
    if kept or not forms:
        holder["forms"] = kept
    else:
        del holder["forms"]


def _with_context(context: Any, *, mqtt: bool) -> list[Any]:
    entries = list(context) if isinstance(context, list) else [context]
    wanted = [CONTEXT_OURS, {"htv": "http://www.w3.org/2011/http#"}, *([_CONTEXT_MQTT] if mqtt else [])]
    for addition in wanted:
        prefix = next(iter(addition))
        if not any(isinstance(entry, dict) and prefix in entry for entry in entries):
            entries.append(addition)
    return entries
