"""The OpenAPI description is complete and has examples."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from allthings.web.app import HANDLERS
from allthings.web.parameters import declared_by


@pytest.fixture
async def document(http: httpx.AsyncClient) -> dict[str, Any]:
    answer = await http.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


async def test_every_route_is_in_it(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    served = {
        (method, path.replace(":str}", "}"))
        for handler in HANDLERS
        if handler.resolve_include_in_schema()
        for method in handler.http_methods
        for path in handler.paths
    }
    assert set(operations(document)) == served
    assert ("GET", "/api/history") in served


async def test_every_operation_says_what_it_does(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    for where, operation in operations(document).items():
        assert operation["summary"], where
        assert operation["description"], where
        assert set(operation["tags"]) <= tags, where
        assert "400" not in operation["responses"], where
        assert "application/problem+json" in operation["responses"]["default"]["content"], where


async def test_every_answer_and_body_has_an_example(document: dict[str, Any]) -> None:
    for where, operation in operations(document).items():
        contents = [operation.get("requestBody", {}).get("content", {})]
        contents += [one.get("content", {}) for code, one in operation["responses"].items() if code.startswith("2")]
        for content in contents:
            for media_type, value in content.items():
                if "arrow" not in media_type and "parquet" not in media_type:
                    assert "example" in value, (where, media_type)


async def test_public_routes_say_so(document: dict[str, Any]) -> None:
    public = {path for (_, path), operation in operations(document).items() if operation.get("security") == []}
    assert public == {"/health", "/ready", "/api/login", "/.well-known/wot"}
    assert {"bearer": []} in document["security"]
    assert set(document["components"]["securitySchemes"]) == {"bearer", "session"}


async def test_references_resolve(document: dict[str, Any]) -> None:
    def walk(value: Any) -> None:
        if isinstance(value, dict):
            reference = value.get("$ref")
            if isinstance(reference, str):
                found: Any = document
                for part in reference.removeprefix("#/").split("/"):
                    found = found[part]
            for one in value.values():
                walk(one)
        elif isinstance(value, list):
            for one in value:
                walk(one)

    walk(document)


async def test_parameters_are_described(document: dict[str, Any]) -> None:
    history = document["paths"]["/api/history"]["get"]
    parameters = {one["name"]: one for one in history["parameters"]}
    assert {"thing", "property", "from", "to", "every", "aggregate", "points", "limit", "next", "format"} <= set(
        parameters
    )
    assert parameters["from"]["description"]


async def test_routes_take_the_parameters_that_they_say(document: dict[str, Any]) -> None:
    """What is refused as unknown (parameters.py) is what the description does not have."""
    described = {
        where: {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}
        for where, operation in operations(document).items()
    }
    declared = {
        (method, path.replace(":str}", "}")): declared_by(handler)
        for handler in HANDLERS
        if handler.resolve_include_in_schema()
        for method in handler.http_methods
        for path in handler.paths
    }
    assert described == declared
    assert "aggregate" in declared["GET", "/api/history"]
