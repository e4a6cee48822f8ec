"""Text of strangers where people look at it: on a terminal it must not act, in a spreadsheet it must not compute.

Devices choose their texts, and so do programs their names. A terminal obeys escape sequences within them, and marks of
direction make them look like others.
"""

from __future__ import annotations

import re
from typing import Final

#: A cell that spreadsheets take for a formula: begun with one of these, blanks before it aside, or with a tab or a
#: line end. For Python's engine and for RE2.
FORMULA: Final = "^(?:[\t\r\n]|[\\s\u00a0\ufeff]*[=+\\-@|%\uff1d\uff0b\uff0d\uff20])"
_FORMULA: Final = re.compile(FORMULA)

#: What acts or is not seen: control characters (C0, DEL, C1), marks of format and direction, invisible letters and
#: joiners, ends of lines and paragraphs, halves of pairs, tags.
_ACTING: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str) -> str:
    r"""A text of one line for a terminal: what acts or is not seen stands there as `\u001b`, `\n`, `\U000e0001`."""
    return _ACTING.sub(_escaped, text)


def visible_lines(text: str) -> str:
    """As `visible`, of a text whose lines are ours."""
    return "\n".join(map(visible, text.split("\n")))


def visible_json(document: str) -> str:
    """A JSON document for a terminal: another spelling of the same values."""
    return _ACTING.sub(_escaped_in_json, document)


def harmless(text: str) -> str:
    """A text as a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    return _SHORT.get(character) or (f"\\u{code:04x}" if code < 0x1_0000 else f"\\U{code:08x}")


def _escaped_in_json(found: re.Match[str]) -> str:
    character = found[0]
    if character == "\n":
        return character  # between values: within them it is escaped already
    pairs = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{pairs[at : at + 4]}" for at in range(0, len(pairs), 4))
