"""Interaction affordances, forms and links (WoT TD 1.1, sections 5.3.1.2 to 5.3.1.5 and 5.3.4)."""

from __future__ import annotations

from typing import Any, Final

from allthings.things.names import valid_property_name
from allthings.things.td.data_schema import check_data_schema, check_data_schemas
from allthings.things.td.limits import (
    DESCRIPTION_MAX,
    TD_ACTIONS_MAX,
    TD_EVENTS_MAX,
    TD_PROPERTIES_MAX,
    TITLE_MAX,
)
from allthings.things.td.problems import (
    Check,
    Problems,
    boolean,
    check_terms,
    child,
    is_object,
    one_of,
    one_or_many,
    reference,
    text,
    texts_by_language,
)
from allthings.things.td.security import check_security
from allthings.things.values import shown

_WORD: Final = text(TITLE_MAX)
_EVERY_AFFORDANCE: Final[dict[str, Check]] = {
    "@type": one_or_many(_WORD),
    "title": text(TITLE_MAX),
    "titles": texts_by_language(TITLE_MAX),
    "description": text(DESCRIPTION_MAX),
    "descriptions": texts_by_language(DESCRIPTION_MAX),
    "uriVariables": check_data_schemas,
}
_PROPERTY: Final[dict[str, Check]] = {**_EVERY_AFFORDANCE, "observable": boolean}
_ACTION: Final[dict[str, Check]] = {
    **_EVERY_AFFORDANCE,
    "input": check_data_schema,
    "output": check_data_schema,
    "safe": boolean,
    "idempotent": boolean,
    "synchronous": boolean,
}
_EVENT: Final[dict[str, Check]] = {
    **_EVERY_AFFORDANCE,
    "subscription": check_data_schema,
    "data": check_data_schema,
    "dataResponse": check_data_schema,
    "cancellation": check_data_schema,
}
#: Which operations a form may name, by the place where it stands (table of well-known operation types, 5.3.4.2).
_OPERATIONS: Final = {
    "properties": ("readproperty", "writeproperty", "observeproperty", "unobserveproperty"),
    "actions": ("invokeaction", "queryaction", "cancelaction"),
    "events": ("subscribeevent", "unsubscribeevent"),
    "thing": (
        "readallproperties",
        "writeallproperties",
        "readmultipleproperties",
        "writemultipleproperties",
        "observeallproperties",
        "unobserveallproperties",
        "queryallactions",
        "subscribeallevents",
        "unsubscribeallevents",
    ),
}
_KINDS: Final[tuple[tuple[str, dict[str, Check], int], ...]] = (
    ("properties", _PROPERTY, TD_PROPERTIES_MAX),
    ("actions", _ACTION, TD_ACTIONS_MAX),
    ("events", _EVENT, TD_EVENTS_MAX),
)


def check_affordances(td: dict[str, Any], problems: Problems) -> None:
    """Say what is wrong with properties, actions and events.

    An affordance may lack `forms`, though section 5.3.1.2 asks for them: the platform adds its own when it serves
    the description, so a thing that speaks only to the platform needs none.
    """
    for kind, terms, count_max in _KINDS:
        affordances = td.get(kind, {})
        if not is_object(affordances, f"/{kind}", problems):
            continue
        if len(affordances) > count_max:
            problems.add(f"/{kind}", f"has {len(affordances)} members, at most {count_max} are allowed")
            continue
        for name, affordance in affordances.items():
            at = child(f"/{kind}", name)
            if not valid_property_name(name):
                problems.add(at, "must be named by 1 to 128 characters without / and control characters")
            if not is_object(affordance, at, problems):
                continue
            check_terms(affordance, terms, at, problems)
            if kind == "properties":
                check_data_schema(affordance, at, problems)
            if "forms" in affordance:
                check_forms(affordance["forms"], kind, td, at + "/forms", problems)


def check_forms(value: Any, place: str, td: dict[str, Any], pointer: str, problems: Problems) -> None:
    """Say what is wrong with the forms of an affordance (`place` is its kind) or of the thing itself (`thing`)."""
    if not isinstance(value, list) or not value:
        problems.add(pointer, f"must be an array of at least one form, not {shown(value)}")
        return
    operations = one_or_many(one_of(_OPERATIONS[place]))
    for index, form in enumerate(value):
        at = child(pointer, index)
        if not is_object(form, at, problems):
            continue
        if "href" not in form:
            problems.add(at + "/href", "is missing")
        check_terms(form, _FORM, at, problems)
        if "op" in form:
            operations(form["op"], at + "/op", problems)
        elif place == "thing":
            problems.add(at + "/op", "is missing: a form of the thing itself must name its operation")
        if "security" in form:
            check_security(form["security"], td.get("securityDefinitions"), at + "/security", problems)


def check_links(value: Any, pointer: str, problems: Problems) -> None:
    """Say what is wrong with the links."""
    if not isinstance(value, list):
        problems.add(pointer, f"must be an array of links, not {shown(value)}")
        return
    for index, link in enumerate(value):
        at = child(pointer, index)
        if is_object(link, at, problems):
            if "href" not in link:
                problems.add(at + "/href", "is missing")
            check_terms(link, _LINK, at, problems)


def _response(value: Any, pointer: str, problems: Problems) -> None:
    if is_object(value, pointer, problems):
        if "contentType" not in value:
            problems.add(pointer + "/contentType", "is missing")
        check_terms(value, {"contentType": _WORD}, pointer, problems)


def _additional_response(value: Any, pointer: str, problems: Problems) -> None:
    if is_object(value, pointer, problems):
        check_terms(value, {"success": boolean, "contentType": _WORD, "schema": _WORD}, pointer, problems)


_FORM: Final[dict[str, Check]] = {
    "href": reference,
    "contentType": _WORD,
    "contentCoding": _WORD,
    "subprotocol": _WORD,
    "scopes": one_or_many(_WORD),
    "response": _response,
    "additionalResponses": one_or_many(_additional_response),
}
_LINK: Final[dict[str, Check]] = {
    "href": reference,
    "type": _WORD,
    "rel": _WORD,
    "anchor": reference,
    "sizes": _WORD,
    "hreflang": one_or_many(_WORD),
}
