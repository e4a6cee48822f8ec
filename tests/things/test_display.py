"""Text of strangers on terminals and in spreadsheets."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allthings.things.display import harmless, visible, visible_json, visible_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mRED", r"\u001b[31mRED"),
        ("\x9b2J", r"\u009b2J"),
        ("\x7f\x00", r"\u007f\u0000"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\u2066\u2069\u200e\u061c", r"\u2066\u2069\u200e\u061c"),
        ("pu\u200bmp\u00ad\ufeff", r"pu\u200bmp\u00ad\ufeff"),
        ("\U000e0041", r"\U000e0041"),
        ("水泵 Größe °C é \U0001f600 שלום", "水泵 Größe °C é \U0001f600 שלום"),
        ("\u0600", "\u0600"),  # a sign of Arabic that is seen
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_nothing_acts(text: str) -> None:
    shown = visible(text)
    assert not {unicodedata.category(one) for one in shown} & {"Cc", "Zl", "Zp", "Cs"}
    assert not any(unicodedata.bidirectional(one) in {"RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI"} for one in shown)
    assert visible_lines(text).count("\n") == text.count("\n")


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_a_document_says_the_same(value: object) -> None:
    shown = visible_json(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(shown) == value
    assert visible_lines(shown) == shown


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\rx", "\nx", "  =1", "\uff1d1", "|cmd", "%0A"]
)
def test_formulas(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a=1", "1-1", "pump-7", "21.5", "'=1", "x@y"])
def test_other_texts_stay(text: str) -> None:
    assert harmless(text) == text
