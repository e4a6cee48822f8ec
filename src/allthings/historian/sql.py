"""Read-only SQL for people and programs, within limits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.exceptions import DatabaseError

from allthings.historian.engine import Handles
from allthings.historian.errors import HistorianUnavailableError, QueryLimitError

#: How the engine's errors begin, and how far from the end of an answer one is looked for.
_CODE: Final = re.compile(rb"Code: ([0-9]+)\. DB::Exception: ")
_ERROR_BYTES_MAX: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class SqlLimits:
    """What one query may use."""

    time_s: int = 10
    memory_bytes: int = 1_000_000_000
    rows: int = 100_000
    bytes: int = 100_000_000
    rows_read: int = 2_000_000_000

    def settings(self) -> dict[str, int | str]:
        """These limits as settings of the engine. One row more than allowed is let through, which tells."""
        return {
            "max_execution_time": self.time_s,
            "timeout_overflow_mode": "throw",
            "max_memory_usage": self.memory_bytes,
            "max_result_rows": self.rows,
            "max_result_bytes": self.bytes,
            "result_overflow_mode": "throw",
            "max_rows_to_read": self.rows_read,
            "read_overflow_mode": "throw",
            "max_threads": 2,
            "max_subquery_depth": 50,
            "max_expanded_ast_elements": 50_000,
            "enable_positional_arguments": 1,
            "enable_global_with_statement": 1,
            "output_format_json_quote_64bit_integers": 0,
            "output_format_json_quote_denormals": 0,
            "output_format_json_named_tuples_as_objects": 1,
            "date_time_output_format": "iso",
        }


@dataclass(frozen=True, slots=True)
class SqlResult:
    """Names and ClickHouse types of the columns, and each row as a JSON array (times as RFC 3339 text).

    Values are passed on unread: decimals and wide integers keep all their digits.
    """

    columns: list[str]
    types: list[str]
    data: list[msgspec.Raw]

    @property
    def rows(self) -> list[list[Any]]:
        """The rows as Python has them: decimals become floats."""
        return [msgspec.json.decode(row) for row in self.data]


class _Column(msgspec.Struct):
    name: str
    type: str


class _Answer(msgspec.Struct):
    meta: list[_Column]
    data: list[msgspec.Raw]


def run(handles: Handles, text: str, limits: SqlLimits) -> SqlResult:
    """Run one SELECT. Raises QueryRefusedError, QueryLimitError, HistorianUnavailableError."""
    # Not before anybody asks: the parser that it reads SQL with takes 27 MB.
    from allthings.historian.guard import rewrite

    clause = ", ".join(
        f"{name} = '{value}'" if isinstance(value, str) else f"{name} = {value}"
        for name, value in limits.settings().items()
    )
    written = rewrite(text)
    with handles.client(strangers=True) as client:
        answer = _decoded(client.raw_query(f"{written}\nSETTINGS {clause}", fmt="JSONCompact"))
    if len(answer.data) > limits.rows:
        raise QueryLimitError(f"the answer has more than {limits.rows} rows; add a LIMIT or ask for less")
    return SqlResult([column.name for column in answer.meta], [column.type for column in answer.meta], answer.data)


def _decoded(data: bytes) -> _Answer:
    """The answer; or the error that came after its first rows, which a server has written behind them."""
    try:
        return msgspec.json.decode(data, type=_Answer)
    except msgspec.DecodeError as error:
        code = _CODE.search(data, max(0, len(data) - _ERROR_BYTES_MAX))
        if code is None:
            raise HistorianUnavailableError(f"an answer of the history's engine cannot be read: {error}") from error
        raise DatabaseError(data[code.start() :].decode(errors="replace"), code=int(code[1])) from error
