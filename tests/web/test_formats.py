"""Which format an answer has."""

from __future__ import annotations

import pytest

from allthings.things.errors import BadInputError
from allthings.web.errors import NotAcceptableError
from allthings.web.formats import choose_format


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("application/json", "json"),
        ("text/csv", "csv"),
        ("text/csv;q=0.5, application/json;q=0.4", "csv"),
        ("*/*, application/vnd.apache.arrow.stream", "arrow"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "json"),
        ("application/vnd.apache.parquet", "parquet"),
        ("application/json;q=0, text/csv", "csv"),
        ("TEXT/CSV ; charset=utf-8", "csv"),
    ],
)
def test_accept(accept: str, expected: str) -> None:
    assert choose_format(None, accept) == expected


def test_the_parameter_wins() -> None:
    assert choose_format("csv", "application/json") == "csv"
    with pytest.raises(BadInputError):
        choose_format("xml", "")


@pytest.mark.parametrize("accept", ["image/png", "application/json;q=0", "application/json;q=x", ";;,,"])
def test_nothing_fits(accept: str) -> None:
    with pytest.raises(NotAcceptableError):
        choose_format(None, accept)
