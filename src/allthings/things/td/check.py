"""Is this a Thing Description? (WoT TD 1.1, section 5)"""

from __future__ import annotations

import copy
from typing import Any, Final

import msgspec

from allthings.things.errors import BadInputError, LimitExceededError
from allthings.things.names import ID_MAX, TENANT_NAME_MAX, valid_id, valid_tenant
from allthings.things.td.affordances import check_affordances, check_forms, check_links
from allthings.things.td.data_schema import check_data_schemas
from allthings.things.td.limits import (
    CONTEXT_1_0,
    CONTEXT_1_1,
    DESCRIPTION_MAX,
    STRICT_KEY,
    TD_BYTES_MAX,
    TD_DEPTH_MAX,
    TENANT_KEY,
    THING_MODEL,
    TITLE_MAX,
)
from allthings.things.td.problems import (
    Check,
    Problems,
    boolean,
    check_terms,
    date_time,
    is_object,
    one_or_many,
    reference,
    text,
    texts_by_language,
)
from allthings.things.td.security import check_security, check_security_definitions
from allthings.things.values import shown


class InvalidTdError(BadInputError):
    """The document is no Thing Description; `extensions["problems"]` lists each `{"pointer", "problem"}`."""

    type = "invalid-td"
    title = "Not a valid Thing Description"


def check_td(doc: Any) -> dict[str, Any]:
    """The Thing Description, with defaults filled in where it is silent; the argument is not changed.

    Filled in: `@context` (TD 1.1), `securityDefinitions` and `security` together (nosec). `id` may be missing, as in
    the standard. A description that names the context of TD 1.0 is accepted as it is.

    Raises InvalidTdError, which lists every problem with its JSON pointer, and LimitExceededError.
    """
    if not isinstance(doc, dict):
        raise InvalidTdError(f"a Thing Description is a JSON object, not {shown(doc)}", problems=[])
    _check_size(doc)
    if THING_MODEL in _as_list(doc.get("@type")):
        raise InvalidTdError(
            "this is a Thing Model (@type tm:ThingModel), a device type and not a thing: "
            "derive a Thing Description from it and add that",
            problems=[{"pointer": "/@type", "problem": "is tm:ThingModel"}],
        )
    td: dict[str, Any] = copy.deepcopy(doc)
    td = {"@context": td.pop("@context", CONTEXT_1_1), **td}
    if "security" not in td and "securityDefinitions" not in td:
        td["securityDefinitions"] = {"nosec_sc": {"scheme": "nosec"}}
        td["security"] = "nosec_sc"
    problems = Problems()
    _check_context(td["@context"], problems)
    _check_thing(td, problems)
    check_affordances(td, problems)
    if problems:
        raise InvalidTdError(f"not a valid Thing Description: {problems}", problems=problems.as_json())
    return td


def _check_size(doc: dict[str, Any]) -> None:
    if _deeper_than(doc, TD_DEPTH_MAX):
        raise LimitExceededError(f"the Thing Description is nested deeper than {TD_DEPTH_MAX}")
    try:
        size = len(msgspec.json.encode(doc))
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidTdError(f"the Thing Description is not JSON: {error}", problems=[]) from None
    if size > TD_BYTES_MAX:
        raise LimitExceededError(f"the Thing Description has {size} bytes, at most {TD_BYTES_MAX} are allowed")


def _deeper_than(doc: object, levels: int) -> bool:
    level: list[object] = [doc]
    for _ in range(levels):
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
        if not below:
            return False
        level = below
    return any(isinstance(value, dict | list) for value in level)


def _check_thing(td: dict[str, Any], problems: Problems) -> None:
    if "title" not in td:
        problems.add("/title", "is missing")
    if "id" in td and not valid_id(td["id"]):
        problems.add("/id", f"must be a URI of at most {ID_MAX} characters, not {shown(td['id'])}")
    check_terms(td, _THING, "", problems)
    definitions = td.get("securityDefinitions")
    for term in ("securityDefinitions", "security"):
        if term not in td:
            problems.add(f"/{term}", "is missing")
    if "securityDefinitions" in td:
        check_security_definitions(definitions, "/securityDefinitions", problems)
    if "security" in td:
        check_security(td["security"], definitions, "/security", problems)
    if "forms" in td:
        check_forms(td["forms"], "thing", td, "/forms", problems)


def _check_context(context: object, problems: Problems) -> None:
    """Section 5.3.1.1: the context of TD 1.1, or that of 1.0, comes first."""
    entries = _as_list(context)
    if not entries or entries[0] not in (CONTEXT_1_1, CONTEXT_1_0):
        problems.add("/@context", f"must begin with {CONTEXT_1_1}, not {shown(context)}")
    for index, entry in enumerate(entries):
        if not isinstance(entry, str | dict):
            problems.add(f"/@context/{index}", f"must be a URI or an object, not {shown(entry)}")


def _version(value: Any, pointer: str, problems: Problems) -> None:
    if is_object(value, pointer, problems):
        if "instance" not in value:
            problems.add(pointer + "/instance", "is missing")
        check_terms(value, {"instance": text(TITLE_MAX), "model": text(TITLE_MAX)}, pointer, problems)


def _tenant(value: Any, pointer: str, problems: Problems) -> None:
    if not isinstance(value, str) or not valid_tenant(value):
        problems.add(pointer, f"must be 1 to {TENANT_NAME_MAX} letters, digits and . _ -, not {shown(value)}")


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


_THING: Final[dict[str, Check]] = {
    "@type": one_or_many(text(TITLE_MAX)),
    "title": text(TITLE_MAX),
    "titles": texts_by_language(TITLE_MAX),
    "description": text(DESCRIPTION_MAX),
    "descriptions": texts_by_language(DESCRIPTION_MAX),
    "version": _version,
    "created": date_time,
    "modified": date_time,
    "support": reference,
    "base": reference,
    "links": check_links,
    "profile": one_or_many(reference),
    "schemaDefinitions": check_data_schemas,
    "uriVariables": check_data_schemas,
    STRICT_KEY: boolean,
    TENANT_KEY: _tenant,
}
