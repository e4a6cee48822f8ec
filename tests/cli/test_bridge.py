"""What `--in` and `--out` of `allthings bridge add` mean."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from allthings.cli.bridge import parse_map


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("things/#", {"filter": "things/#"}),
        ("things/#,prefix=site1/", {"filter": "things/#", "prefix": "site1/"}),
        ("a/+/b,strip=a/,prefix=x/=y/", {"filter": "a/+/b", "strip": "a/", "prefix": "x/=y/"}),
        ("a,qos=0,retain=no", {"filter": "a", "qos": 0, "retain": False}),
        ("a,qos=1,retain=yes", {"filter": "a", "qos": 1, "retain": True}),
    ],
)
def test_a_map(text: str, made: dict[str, Any]) -> None:
    assert parse_map("out", text) == {"direction": "out", **made}
    assert parse_map("in", text)["direction"] == "in"


@pytest.mark.parametrize("text", ["a,b", "a,qos=x", "a,retain=maybe", "a,prefix", "a,to=b"])
def test_what_is_no_map(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="prefix=, strip="):
        parse_map("out", text)
