"""Security schemes (WoT TD 1.1, section 5.3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from allthings.things.td.limits import DESCRIPTION_MAX, TITLE_MAX
from allthings.things.td.problems import (
    Check,
    Problems,
    check_terms,
    child,
    is_object,
    one_of,
    one_or_many,
    reference,
    text,
    texts_by_language,
)
from allthings.things.values import shown

_WORD: Final = text(TITLE_MAX)
_PLACE: Final = one_of(("header", "query", "body", "cookie", "uri", "auto"))
_EVERY_SCHEME: Final[dict[str, Check]] = {
    "@type": one_or_many(_WORD),
    "description": text(DESCRIPTION_MAX),
    "descriptions": texts_by_language(DESCRIPTION_MAX),
    "proxy": reference,
}
_PLACED: Final[dict[str, Check]] = {"in": _PLACE, "name": _WORD}
_SCHEMES: Final[dict[str, dict[str, Check]]] = {
    "nosec": {},
    "auto": _PLACED,
    "combo": {},
    "basic": _PLACED,
    "digest": {**_PLACED, "qop": one_of(("auth", "auth-int"))},
    "apikey": _PLACED,
    "bearer": {**_PLACED, "authorization": reference, "alg": _WORD, "format": _WORD},
    "psk": {"identity": _WORD},
    "oauth2": {
        "flow": _WORD,
        "authorization": reference,
        "token": reference,
        "refresh": reference,
        "scopes": one_or_many(_WORD),
    },
}
_OAUTH2_NEEDS: Final[dict[str, tuple[str, ...]]] = {"code": ("authorization", "token"), "client": ("token",)}


def check_security_definitions(value: Any, pointer: str, problems: Problems) -> None:
    """Say what is wrong with the definitions."""
    if not is_object(value, pointer, problems):
        return
    if not value:
        problems.add(pointer, "must define at least one security scheme, such as nosec")
    for name, scheme in value.items():
        at = child(pointer, name)
        if not is_object(scheme, at, problems):
            continue
        kind = scheme.get("scheme")
        if not isinstance(kind, str) or (kind not in _SCHEMES and ":" not in kind):
            allowed = ", ".join(_SCHEMES)
            problems.add(at + "/scheme", f"must be one of {allowed}, or a prefixed extension, not {shown(kind)}")
            continue
        check_terms(scheme, _EVERY_SCHEME | _SCHEMES.get(kind, {}), at, problems)
        if kind == "combo":
            _check_combo(scheme, value, at, problems)
        if kind == "oauth2":
            _check_oauth2(scheme, at, problems)


def check_security(value: Any, definitions: object, pointer: str, problems: Problems) -> None:
    """`security` of a thing or a form: names of definitions."""
    names = value if isinstance(value, list) else [value]
    if not names:
        problems.add(pointer, "must name at least one of securityDefinitions")
    known = definitions if isinstance(definitions, dict) else {}
    for name in names:
        if not isinstance(name, str) or name not in known:
            problems.add(pointer, f"names {shown(name)}, which securityDefinitions does not define")


def _check_combo(scheme: Mapping[str, Any], definitions: Mapping[str, Any], at: str, problems: Problems) -> None:
    given = [term for term in ("oneOf", "allOf") if term in scheme]
    if len(given) != 1:
        problems.add(at, "must have exactly one of oneOf and allOf")
        return
    names = scheme[given[0]]
    if not isinstance(names, list) or len(names) < 2:
        problems.add(child(at, given[0]), "must be an array of at least two names of securityDefinitions")
        return
    check_security(names, definitions, child(at, given[0]), problems)


def _check_oauth2(scheme: Mapping[str, Any], at: str, problems: Problems) -> None:
    flow = scheme.get("flow")
    if not isinstance(flow, str):
        problems.add(at + "/flow", "is missing: code, client, device or another flow")
        return
    for term in _OAUTH2_NEEDS.get(flow, ()):
        if term not in scheme:
            problems.add(child(at, term), f"is missing: the flow {flow} needs it")
