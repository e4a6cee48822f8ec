from typing import Any

import pytest

from allthings.things.td.problems import Problems
from allthings.things.td.security import check_security, check_security_definitions

from .problem_lists import pointers

_TWO = {"basic_sc": {"scheme": "basic"}, "bearer_sc": {"scheme": "bearer"}}


@pytest.mark.parametrize(
    "scheme",
    [
        {"scheme": "nosec"},
        {"scheme": "auto"},
        {"scheme": "basic", "in": "header", "name": "x"},
        {"scheme": "digest", "qop": "auth-int"},
        {"scheme": "apikey", "in": "uri", "name": "key"},
        {"scheme": "bearer", "authorization": "https://x/", "alg": "ES256", "format": "jwt"},
        {"scheme": "psk", "identity": "x"},
        {"scheme": "oauth2", "flow": "code", "authorization": "https://x/a", "token": "https://x/t", "scopes": "a"},
        {"scheme": "oauth2", "flow": "client", "token": "https://x/t", "scopes": ["a", "b"]},
        {"scheme": "combo", "oneOf": ["basic_sc", "bearer_sc"]},
        {"scheme": "ocf:special"},
    ],
)
def test_schemes_that_are_right(scheme: dict[str, Any]) -> None:
    assert pointers(check_security_definitions, _TWO | {"x": scheme}) == set()


@pytest.mark.parametrize(
    ("scheme", "found"),
    [
        (7, "/x"),
        ({}, "/x/scheme"),
        ({"scheme": "magic"}, "/x/scheme"),
        ({"scheme": ["basic"]}, "/x/scheme"),
        ({"scheme": "basic", "in": "hat"}, "/x/in"),
        ({"scheme": "digest", "qop": "best"}, "/x/qop"),
        ({"scheme": "oauth2"}, "/x/flow"),
        ({"scheme": "oauth2", "flow": "client"}, "/x/token"),
        ({"scheme": "combo"}, "/x"),
        ({"scheme": "combo", "oneOf": ["basic_sc"]}, "/x/oneOf"),
        ({"scheme": "combo", "allOf": ["basic_sc", "nothing"]}, "/x/allOf"),
        ({"scheme": "combo", "oneOf": ["basic_sc", "bearer_sc"], "allOf": ["basic_sc", "bearer_sc"]}, "/x"),
        ({"scheme": "nosec", "proxy": "a b"}, "/x/proxy"),
    ],
)
def test_schemes_that_are_wrong(scheme: Any, found: str) -> None:
    assert pointers(check_security_definitions, _TWO | {"x": scheme}) == {found}


def test_there_must_be_a_definition() -> None:
    assert pointers(check_security_definitions, {}) == {""}
    assert pointers(check_security_definitions, []) == {""}


@pytest.mark.parametrize(
    ("security", "right"),
    [("basic_sc", True), (["basic_sc", "bearer_sc"], True), ([], False), ("x", False), (7, False), ([["x"]], False)],
)
def test_security_names_definitions(security: object, right: bool) -> None:
    problems = Problems()
    check_security(security, _TWO, "/security", problems)
    assert bool(problems) != right
