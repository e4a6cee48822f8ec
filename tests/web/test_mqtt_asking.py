"""Pages of what several gateways answered, and payloads as JSON can hold them."""

from __future__ import annotations

import pytest

from allthings.gateway.questions import Key
from allthings.things.errors import BadInputError
from allthings.web.mqtt.asking import cursor, page, payload_text, place


def test_rows_of_several_gateways_become_one_page() -> None:
    rows: list[Key] = [(2.0, "b"), (1.0, "c"), (2.0, "a"), (3.0, "d")]
    first, more = page(rows, lambda row: row, 2, descending=True)
    assert first == [(3.0, "d"), (2.0, "b")]
    assert more is not None
    assert place(more) == (2.0, "b")
    rest = [row for row in rows if row < (2.0, "b")]
    assert page(rest, lambda row: row, 2, descending=True) == ([(2.0, "a"), (1.0, "c")], None)


def test_a_place_is_any_key() -> None:
    assert place("") is None
    for key in (("name", "näme/+/#"), (0.5, ""), (-1.0, "x" * 1000)):
        assert place(cursor(key)) == key
    for wrong in ("!", "AAAA", "k", cursor(("a", "b"))[:-2]):
        with pytest.raises(BadInputError):
            place(wrong)


def test_a_payload_is_text_or_base64() -> None:
    assert payload_text("caf\u00e9".encode()) == ("caf\u00e9", None)
    assert payload_text("caf\u00e9".encode()[:-1]) == ("caf", None)
    assert payload_text(b"\xff\x00") == ("\ufffd\x00", "/wA=")
    assert payload_text(b"") == ("", None)
