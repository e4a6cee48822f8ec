"""The engine's errors as ours: whose fault it is, and one line in words.

What the engine says of a statement holds the statement as it was written here, with its settings and the names of
views that nobody outside knows. None of that leaves.
"""

from __future__ import annotations

import re
from typing import Final

import pyarrow as pa

from allthings.historian.errors import (
    HistorianUnavailableError,
    HistoryDamagedError,
    QueryCancelledError,
    QueryLimitError,
    QueryRefusedError,
)
from allthings.things.errors import AllthingsError

#: ClickHouse's error codes (src/Common/ErrorCodes.cpp). What a query used too much of, in words.
_LIMITS: Final = {
    128: "the query makes too large an array",
    131: "the query makes too long a text",
    158: "the query would read more rows than it may",
    159: "the query takes longer than it may",
    160: "the query would take longer than it may",
    162: "the query has too many subqueries within each other",
    167: "the query is nested too deeply",
    168: "the query is too long",
    241: "the query needs more memory than it may use",
    290: "the query uses more than it may",
    306: "the query is nested too deeply",
    307: "the query would read more than it may",
    396: "the answer is larger than it may be",
}
_CANCELLED: Final = 394
_ASKER_CODES: Final = frozenset(
    {6, 27, 36, 38, 41, 42, 43, 44, 46, 47, 50, 53, 62, 63, 69, 70, 72, 80, 115, 130, 153, 164, 179, 184, 190}
    | {206, 207, 215, 258, 349, 352, 386, 407, 497, 582, 636}
)
#: What is never the fault of an asker, whatever was asked: files, disks, networks, the engine's own logic.
_ENGINE_CODES: Final = frozenset(
    {3, 4, 32, 33, 40, 49, 60, 74, 75, 76, 81, 107, 172, 173, 198, 202, 209, 210, 226, 228, 232, 233, 236, 242, 243}
    | {246, 252, 271, 279, 297, 439, 516, 999, 1000, 1001, 1002}
)
#: Files that are not what was written.
DAMAGE_CODES: Final = frozenset({3, 32, 33, 40, 76, 107, 117, 226, 228, 246, 271, 432})
#: Of these the ones that no SQL can cause.
_SURE_DAMAGE: Final = frozenset({40, 226, 246, 271, 432})
#: What the engine did when it failed, behind what it says of the cause.
_INSIDE: Final = re.compile(
    r":?\s+(?:In scope|In query|While executing|while executing|Stack trace|\(version) .*"
    r"|\s*SETTINGS max_execution_time .*|\. Look at https?:.*|\s*\([A-Z][A-Z_0-9]+\)\s*$",
    re.DOTALL,
)
_EXCEPTION: Final = "DB::Exception: "
_VIEW: Final = re.compile(r"\bsql_(readings(?:_1[mhd])?|events)\b")
_COLUMN: Final = re.compile(r"\b__table\d+\.")
_SYNTAX: Final = re.compile(r": failed at position \d+ .*? \(line \d+, col \d+\):")
#: How much it may be: `maximum: 95.37 MiB`, `maximum: 1000.000 ms`, `max rows: 100.00 thousand`.
_BOUND: Final = re.compile(r"max(?:imum| (rows|bytes)): ([0-9]+)(?:\.(?:0+\b|([0-9]+)))?( ?[A-Za-z]+)?")
_SHOWN_MAX: Final = 300


def as_ours(error: Exception, *, strangers: bool = False) -> AllthingsError:
    """The error of this package that says the same as one of the engine's.

    Where the SQL was a `strangers`, what is no known fault of the engine is taken for one of the SQL.
    """
    code, text = getattr(error, "code", None), str(error)
    if isinstance(error, pa.ArrowException):
        return HistorianUnavailableError(f"an answer of the history's engine cannot be read: {_shown(text)}")
    if code in (_SURE_DAMAGE if strangers else DAMAGE_CODES):
        return HistoryDamagedError(
            "the answer lies in a part of the history that is damaged on disk; it is put aside and made anew from the "
            "log, so try again in a while"
        )
    if code == _CANCELLED:
        return QueryCancelledError("the query was ended before it had its answer")
    if code in _LIMITS and "(total)" not in text:
        return QueryLimitError(f"{_LIMITS[code]}{_most(text)}; ask for a shorter time, fewer series or fewer rows")
    if code in _ASKER_CODES or (strangers and code is not None and code not in _ENGINE_CODES and code not in _LIMITS):
        return QueryRefusedError(_shown(text))
    return HistorianUnavailableError(f"the engine of the history failed: {_shown(text)}")


def _most(text: str) -> str:
    """How much it may be, where the engine says so."""
    bound = _BOUND.search(text)
    if bound is None:
        return ""
    what, whole, part, unit = bound.groups("")
    if unit.strip() == "ms":
        whole, part, unit = f"{float(f'{whole}.{part}') / 1000:g}", "", " s"
    return f" (at most {' '.join(filter(None, (f'{whole}.{part}'.rstrip('.'), unit.strip(), what)))})"


def _shown(text: str) -> str:
    """What is said of the cause, in one line, with the names that people know."""
    # An exception may wrap another one, which tells more.
    text = text.rpartition(_EXCEPTION)[2]
    text = _INSIDE.sub("", text, count=1)
    text = _INSIDE.sub("", text.split("\n", 1)[0])
    text = _SYNTAX.sub(" near:", _COLUMN.sub("", _VIEW.sub(r"\1", text)))
    text = "".join(char if char.isprintable() else " " for char in text)
    return text.rstrip(" .:")[:_SHOWN_MAX] or "it says no more"
