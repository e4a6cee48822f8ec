"""Connections to the engine: after whatever failed on one, the next statement is right."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from allthings.historian.cancellation import Cancellation
from allthings.historian.engine import Engine, Handles
from allthings.historian.engine_errors import as_ours
from allthings.historian.errors import (
    HistorianUnavailableError,
    HistoryDamagedError,
    QueryCancelledError,
    QueryLimitError,
    QueryRefusedError,
)
from allthings.things.errors import AllthingsError

ENDLESS = "SELECT count() FROM numbers(1000000) AS a CROSS JOIN numbers(1000000) AS b"
LATE = "SELECT number, throwIf(number = 1000000) FROM numbers(2000000) SETTINGS max_block_size = 1000"
HUNGRY = "SELECT groupArray(x) FROM (SELECT arrayJoin(range(50000000)) AS x) SETTINGS max_memory_usage = 100000000"
SLOW = "SELECT number, sleepEachRow(0.01) FROM numbers(100000) SETTINGS max_block_size = 5, max_execution_time = 0.2"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(f"chdb://{tmp_path_factory.mktemp('engine')}/history")
    engine.work.run("CREATE TABLE numbered (a Int32) ENGINE = MergeTree ORDER BY a")
    yield engine
    engine.close()


def raw(statement: str) -> Callable[[Handles], object]:
    def ask(handles: Handles) -> object:
        with handles.client(strangers=True) as client:
            return client.raw_query(statement, fmt="JSONCompact")

    return ask


def streamed(statement: str) -> Callable[[Handles], object]:
    def ask(handles: Handles) -> object:
        with handles.client() as client, client.query_rows_stream(statement) as rows:
            return sum(1 for _ in rows)

    return ask


@pytest.mark.parametrize("again", ["arrow", "raw"])
@pytest.mark.parametrize(
    ("failing", "error"),
    [
        (lambda handles: handles.arrow(HUNGRY), QueryLimitError),
        (lambda handles: handles.arrow(SLOW), QueryLimitError),
        (lambda handles: handles.arrow(LATE), HistorianUnavailableError),
        (lambda handles: handles.arrow("SELECT"), QueryRefusedError),
        (lambda handles: handles.arrow("SELECT nothing FROM numbered"), QueryRefusedError),
        (lambda handles: handles.run(LATE), HistorianUnavailableError),
        (lambda handles: handles.insert("numbered", pa.table({"a": ["x"]})), QueryRefusedError),
        (lambda handles: handles.insert("missing", pa.table({"a": [1]})), HistorianUnavailableError),
        (raw(HUNGRY), QueryLimitError),
        (raw(SLOW), QueryLimitError),
        (raw(LATE), QueryRefusedError),
        (raw("SELECT toDateTime('x')"), QueryRefusedError),
        (streamed(LATE), HistorianUnavailableError),
        (streamed(SLOW), QueryLimitError),
    ],
)
def test_the_next_statement_is_right(
    engine: Engine, failing: Callable[[Handles], object], error: type[AllthingsError], again: str
) -> None:
    """One connection, so that the next statement would meet what the one before has left."""
    handles = engine.ingest
    with pytest.raises(error):
        failing(handles)
    if again == "arrow":
        assert handles.rows("SELECT number FROM numbers(3)") == [(0,), (1,), (2,)]
    else:
        assert b'"data":\n\t[\n\t\t["7"]' in raw("SELECT toString(7)")(handles)  # type: ignore[operator]
    assert handles.value("SELECT count() FROM numbered") == 0


def test_whatever_fails_with_a_connection_in_hand_makes_a_new_one(engine: Engine) -> None:
    with pytest.raises(KeyError), engine.ingest.client() as first:
        raise KeyError
    with engine.ingest.client() as second:
        assert second.command("SELECT 7") == 7
    assert second is not first
    with pytest.raises(QueryRefusedError):
        engine.ingest.value("SELECT nonsense")
    with engine.ingest.client() as third:
        assert third.command("SELECT 7") == 7
    assert third is not second
    with engine.ingest.client() as fourth:
        assert fourth is third


@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.3])
def test_a_call_is_ended_by_another_thread(engine: Engine, after_s: float) -> None:
    cancellation, errors = Cancellation(), []

    def ask() -> None:
        try:
            engine.query.under(cancellation).value(ENDLESS)
        except AllthingsError as error:
            errors.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join(after_s)
    assert cancellation.cancel(10)
    asking.join(10)
    assert [type(error) for error in errors] == [QueryCancelledError]
    with pytest.raises(QueryCancelledError):
        engine.query.under(cancellation).value("SELECT 1")
    assert engine.query.value("SELECT 7") == 7


def test_cancelling_ends_no_statement_of_others(engine: Engine) -> None:
    mine, others = Cancellation(), []

    def ask(cancellation: Cancellation | None) -> None:
        try:
            statement = ENDLESS if cancellation else "SELECT sum(sleepEachRow(0.05)) FROM numbers(20)"
            others.append(engine.query.under(cancellation).value(statement))
        except QueryCancelledError:
            others.append("ended")

    threads = [threading.Thread(target=ask, args=(each,)) for each in (mine, None)]
    for thread in threads:
        thread.start()
    threads[0].join(0.2)
    assert mine.cancel(10)
    for thread in threads:
        thread.join(30)
    assert sorted(map(str, others)) == ["0", "ended"]


def test_stopping_ends_all_answers_and_lets_none_begin(tmp_path: Path) -> None:
    script = f"""
import threading
from allthings.historian.engine import Engine
from allthings.historian.errors import QueryCancelledError
engine = Engine("chdb://{tmp_path}/history")
ended = []
def ask(handles):
    try:
        handles.value({ENDLESS!r})
    except QueryCancelledError:
        ended.append(handles)
asked = [engine.sql, engine.sql, engine.query, engine.quick, engine.sql]
threads = [threading.Thread(target=ask, args=(handles,)) for handles in asked]
for thread in threads:
    thread.start()
threads[0].join(0.5)
assert engine.stop_answers(10)
for thread in threads:
    thread.join(10)
assert len(ended) == 5, ended
try:
    engine.query.value("SELECT 1")
except QueryCancelledError:
    ended.append(engine.query)
assert len(ended) == 6
engine.work.run("CREATE TABLE t (a Int32) ENGINE = MergeTree ORDER BY a")
writing = threading.Thread(target=ask, args=(engine.work,))
writing.start()
writing.join(0.3)
engine.close()
writing.join(10)
assert len(ended) == 7
print("all ended")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "all ended\n", done.stderr


@pytest.mark.parametrize(
    ("code", "text", "error", "detail"),
    [
        (
            47,
            "Code: 47. DB::Exception: Unknown expression identifier `foo`. In scope SELECT foo FROM sql_readings AS "
            "readings SETTINGS max_execution_time = 30. (UNKNOWN_IDENTIFIER)",
            QueryRefusedError,
            "Unknown expression identifier `foo`",
        ),
        (
            6,
            "Code: 6. DB::Exception: Code: 6. DB::Exception: Cannot parse string 'x'.\nStack trace:\n0. nowhere",
            QueryRefusedError,
            "Cannot parse string 'x'",
        ),
        (
            62,
            'Code: 62. DB::Exception: Syntax error: failed at position 25 ()) (line 1, col 25): ) FROM "sql_readings"\n'
            "SETTINGS max_execution_time = 1. Expected one of: token. (SYNTAX_ERROR)",
            QueryRefusedError,
            'Syntax error near: ) FROM "readings"',
        ),
        (
            241,
            "Code: 241. DB::Exception: Query memory limit exceeded: would use 134.23 MiB, maximum: 95.37 MiB: While "
            "executing AggregatingTransform. (MEMORY_LIMIT_EXCEEDED)",
            QueryLimitError,
            "the query needs more memory than it may use (at most 95.37 MiB); ask for a shorter time, fewer series or "
            "fewer rows",
        ),
        (
            159,
            "Code: 159. DB::Exception: Timeout exceeded: elapsed 1012.040 ms, maximum: 1000.000 ms. (TIMEOUT_EXCEEDED)",
            QueryLimitError,
            "the query takes longer than it may (at most 1 s); ask for a shorter time, fewer series or fewer rows",
        ),
        (
            396,
            "Code: 396. DB::Exception: Limit for result exceeded, max rows: 100.00, current rows: 48.00 thousand. "
            "(TOO_MANY_ROWS_OR_BYTES)",
            QueryLimitError,
            "the answer is larger than it may be (at most 100 rows); ask for a shorter time, fewer series or fewer "
            "rows",
        ),
        (
            241,
            "Code: 241. DB::Exception: (total) memory limit exceeded: would use 9 GiB. (MEMORY_LIMIT_EXCEEDED)",
            HistorianUnavailableError,
            "the engine of the history failed: (total) memory limit exceeded: would use 9 GiB",
        ),
        (
            40,
            "Code: 40. DB::Exception: Checksum doesn't match: corrupted data. (CHECKSUM_DOESNT_MATCH)",
            HistoryDamagedError,
            "the answer lies in a part of the history that is damaged on disk; it is put aside and made anew from the "
            "log, so try again in a while",
        ),
    ],
)
def test_what_the_engine_says_is_told_in_a_line(code: int, text: str, error: type[AllthingsError], detail: str) -> None:
    told = as_ours(DatabaseError(text, code=code), strangers=True)
    assert type(told) is error
    assert told.detail == detail
