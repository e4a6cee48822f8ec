"""SQL of strangers: what it may, and what it must not."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from allthings.historian.errors import QueryLimitError, QueryRefusedError
from allthings.historian.guard import rewrite
from allthings.historian.history import History
from allthings.historian.sql import SqlLimits
from tests.historian.blocks import T0, decoded, end_of
from tests.historian.blocks import S as SECOND


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    history = History(f"chdb://{tmp_path_factory.mktemp('sql')}/history")
    history.open()
    rows = [(f"t{t}", "p", T0 + i * 30 * SECOND, float(i)) for t in range(3) for i in range(1000)]
    history.insert([decoded(1, [*rows, ("t0", "w", T0, "it's \\ here")])])
    history.rollup(end_of(1))
    # A correction and a new reading that the rollups do not have yet.
    history.insert([decoded(2, [("t0", "p", T0, 100.0), ("t0", "p", T0 + 10**6 * SECOND, 7.0)])])
    yield history
    history.close()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (
            "select thing, count() from readings where property = 'p' group by thing order by thing",
            [["t0", 1001], ["t1", 1000], ["t2", 1000]],
        ),
        (
            "SELECT number, time FROM readings WHERE thing='t0' AND property='p' ORDER BY time LIMIT 1;",
            [[100.0, "2026-03-02T00:00:00.000000000Z"]],
        ),
        ("select text from readings where text = 'it''s \\\\ here'", [["it's \\ here"]]),
        (
            "select count, min, max, sum, avg, first, last from readings_1m where thing = 't0' and property = 'p' "
            "order by time limit 1",
            [[2, 1.0, 100.0, 101.0, 50.5, 100.0, 1.0]],
        ),
        ("select sum(count) from readings_1h", [[3002]]),
        ("select first_text from readings_1d where property = 'w'", [["it's \\ here"]]),
        (
            "with a as (select thing, max(number) as m from readings group by thing) "
            "select count() from a join readings as r on r.thing = a.thing and r.number = a.m",
            [[3]],
        ),
        ("select 1 union all select 1", [[1], [1]]),
        (
            "select toStartOfHour(time) as h, quantile(0.5)(number), countIf(number > 50) from readings "
            "where thing = 't1' group by h order by h limit 1",
            [["2026-03-02T00:00:00Z", 59.5, 69]],
        ),
        (
            "select arrayMap(x -> x * 2, groupArray(number)) from (select number from readings where thing = 't1' "
            "order by time limit 3)",
            [[[0.0, 2.0, 4.0]]],
        ),
        (
            "select sum(number) over (partition by thing order by time rows between 1 preceding and current row) as s "
            "from readings where thing = 't2' order by s desc limit 1",
            [[1997.0]],
        ),
        ("select number > 1 ? 'high' : 'low' from readings where thing = 't1' order by time limit 1", [["low"]]),
        ("select count() from readings where time >= '2026-03-02 00:00:30' and thing in ('t1', 't2')", [[1998]]),
        (
            "select a.number from readings as a asof join readings as b on a.thing = b.thing and a.time >= b.time "
            "where a.thing = 't1' order by a.time limit 1",
            [[0.0]],
        ),
        ("select count() from events", [[0]]),
        ("select [1,2,3][2], (1, 'x').2, map('a', 1)['a'], 5::String", [[2, "x", 1, "5"]]),
        (
            "select time from readings where thing = 't1' order by time with fill step toIntervalDay(1) limit 1",
            [["2026-03-02T00:00:00.000000000Z"]],
        ),
        ("select count() from readings where time > now() - interval 5 minute and time < now()", [[0]]),
    ],
)
def test_what_people_ask(filled: History, text: str, rows: list[list[object]]) -> None:
    assert filled.sql(text).rows == rows


def test_columns_and_types(filled: History) -> None:
    result = filled.sql("select * from readings limit 0")
    assert result.columns == ["thing", "property", "time", "number", "text", "received", "position"]
    assert result.types[2:4] == ["DateTime64(9, 'UTC')", "Nullable(Float64)"]
    rolled = filled.sql("select * from readings_1m limit 0").columns
    assert rolled[:10] == ["thing", "property", "time", "count", "min", "max", "sum", "avg", "first", "last"]


@pytest.mark.parametrize("table", ["readings_1m", "readings_1h", "readings_1d"])
def test_rollups_in_sql_are_exact_at_any_time(filled: History, table: str) -> None:
    unit = {"m": "minute", "h": "hour", "d": "day"}[table[-1]]
    rolled = f"select thing, property, time, count, min, max, sum from {table} order by thing, property, time"
    plain = (
        f"select thing, property, toStartOfInterval(time, interval 1 {unit}) as t, count() as c, min(number), "
        "max(number), sum(number) from readings group by thing, property, t order by thing, property, t"
    )
    got, want = filled.sql(rolled).rows, filled.sql(plain).rows
    assert [[row[0], row[1], *row[3:]] for row in got] == [[row[0], row[1], *row[3:]] for row in want]
    assert len(got) > 3


ATTACKS = [
    "insert into readings values (1)",
    "drop table readings",
    "select 1; drop table readings",
    "alter table readings delete where 1",
    "truncate table readings",
    "create table x (a Int8) engine = Memory",
    "attach table x",
    "rename table readings to x",
    "optimize table readings",
    "kill query where 1",
    "system shutdown",
    "set readonly = 0",
    "use system",
    "grant all on *.* to x",
    "explain select 1",
    "describe table readings",
    "show tables",
    "exists table readings",
    "",
    ";",
    "select",
    "select * from system.users",
    "select * from `system`.`users`",
    'select * from "system".users',
    "select * from information_schema.tables",
    "select * from allthings.readings",
    "select * from rejects",
    "select * from latest",
    "select * from sql_readings",
    "select * from READINGS",
    "select * from file('/etc/passwd', 'LineAsString')",
    "select * from `file`('/etc/passwd', 'LineAsString')",
    "select file('/etc/passwd')",
    "select FILE('/etc/passwd')",
    "select `file`('/etc/passwd')",
    "select \"file\"('/etc/passwd')",
    "select file /* x */ ('/etc/passwd')",
    "select * from url('http://127.0.0.1/', 'CSV')",
    "select * from s3('http://127.0.0.1/x', 'CSV')",
    "select * from remote('127.0.0.1', system.one)",
    "select * from mysql('127.0.0.1:3306', 'd', 't', 'u', 'p')",
    "select * from executable('x.sh', CSV, 'a Int8')",
    "select * from python('x')",
    "select * from numbers(10)",
    "select * from merge('.*')",
    "select * from cluster('default', system.one)",
    "select * from viewIfPermitted(select 1 else null('x Int8'))",
    "select * from view(select * from system.users)",
    "select * from values('a Int8', 1)",
    "select * from input('a Int8')",
    "select dictGet('d', 'a', 1)",
    "select joinGet('j', 'a', 1)",
    "select sleep(3)",
    "select sleepEachRow(3) from readings",
    "select currentUser()",
    "select user()",
    "select hostName()",
    "select version()",
    "select getSetting('max_threads')",
    "select getServerSetting('max_server_memory_usage')",
    "select reverseDNSQuery('x')",
    "select AIGenerate('x')",
    "select chdb('x')",
    "select throwIf(1)",
    "select hasColumnInTable('system', 'users', 'name')",
    "select thing in system.users from readings",
    "select thing in rejects from readings",
    "select thing global in rejects from readings",
    "select in(thing, rejects) from readings",
    "select * apply(hostName) from readings",
    "select * apply hostName from readings",
    "select columns('.*') apply(hostName) from readings",
    "select arrayMap(hostName, [1])",
    "select 1 settings max_execution_time = 1000",
    "select * from (select 1 settings readonly = 0)",
    "with x as (select 1 settings readonly = 0) select * from x",
    "select 1 union all (select 2 settings readonly = 0)",
    "select 1 format CSV",
    "select 1 into outfile '/tmp/x'",
    "select {x:String}",
    "select {x:Identifier} from readings",
    "select @@version",
    "with readings as (select 1) select * from readings",
    "with rejects as (select 1) select * from (select * from rejects)",
    "select $$x$$",
    "select $tag$x$tag$",
    "select 'a\\",
    'select "a\\" from readings -- "',
    "select `a``b` from readings",
    "select `a\\`` from readings",
    'select 1 as "a"")"',
    "select \x00",
    "select " + "(" * 5000 + "1" + ")" * 5000,
    "select " + "-" * 200_000 + "1",
    "select 1 " + "union all select 1 " * 20_000,
]


@pytest.mark.parametrize("text", ATTACKS, ids=[str(i) for i in range(len(ATTACKS))])
def test_attacks_are_refused(filled: History, text: str) -> None:
    started = time.perf_counter()
    with pytest.raises((QueryRefusedError, QueryLimitError)):
        filled.sql(text)
    assert time.perf_counter() - started < 10
    assert filled.sql("select count() from readings").rows == [[3002]]


def test_strings_cannot_end_themselves() -> None:
    evil = "\\'; drop table x; -- \n\x00ü"
    literal = "'" + evil.replace("\\", "\\\\").replace("'", "\\'") + "'"
    written = rewrite(f"select {literal}")
    assert written.count("'") == 2
    assert "\\'" not in written


def test_strings_arrive_unchanged(filled: History) -> None:
    evil = "a\\b'c\"d`e{f}$g\tü€\U0001f600"
    literal = "'" + evil.replace("\\", "\\\\").replace("'", "''") + "'"
    assert filled.sql(f"select {literal}, length({literal})").rows == [[evil, len(evil.encode())]]


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("select * from readings", SqlLimits(rows=100)),
        ("select * from readings", SqlLimits(rows_read=10)),
        (
            "select count() from readings a cross join readings b cross join readings c cross join readings d",
            SqlLimits(time_s=1),
        ),
        (
            "select groupArray(a.number), groupArray(b.text) from readings a cross join readings b "
            "cross join readings c",
            SqlLimits(memory_bytes=20_000_000),
        ),
        ("select repeat('x', 1000000) from readings", SqlLimits(bytes=1_000_000)),
    ],
)
def test_limits_are_kept(filled: History, text: str, limits: SqlLimits) -> None:
    started = time.perf_counter()
    with pytest.raises(QueryLimitError):
        filled.sql(text, limits)
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("select foo from readings", "Unknown expression identifier `foo`"),
        ("select numbr from readings_1m", "Unknown expression identifier `numbr`"),
        ("select a.x from readings a", "(an alias of readings)"),
        ("select thing, number from readings group by thing", "not under aggregate function"),
        ("select thing + 1 from readings", "Illegal types String and UInt8"),
        ("select max(number) from readings where number = 'a'", "Cannot read floating point value"),
        ("select substring(thing) from readings", 'near: ) FROM "readings"'),
        ("select number, (select number from readings) from readings", "Scalar subquery returned more than one row"),
        ("select match(thing, '(') from readings", "missing ): ("),
        ("select quantile(2)(number) from readings", "out of range"),
        ("select CAST('x' AS Int32)", "Cannot parse string 'x'"),
        ("select map(1)", "a function may lack an argument"),
        ("select pow(number) from readings", "POW lacks an argument"),
        ("select groupArray(x) from (select arrayJoin(range(10000000)) x)", "more memory than it may use (at most "),
        ("select repeat('x', 100000000000)", "too long a text"),
        ("select * from readings a cross join readings b", "larger than it may be (at most 100 thousand rows)"),
    ],
)
def test_errors_are_a_line_in_words(filled: History, text: str, says: str) -> None:
    with pytest.raises((QueryRefusedError, QueryLimitError)) as refused:
        filled.sql(text, SqlLimits(memory_bytes=100_000_000))
    told = refused.value.detail
    assert says in told
    assert told.isprintable()
    assert not re.search(r"SETTINGS|sql_|__table|In scope|DB::|Code:|<class|_[A-Z]+\)$", told)
    assert filled.sql("select 7").rows == [[7]]


def test_the_engine_itself_is_read_only(filled: History, tmp_path: Path) -> None:
    """Should the guard ever fail, the session does not write."""
    with filled._engine.sql.client() as client, pytest.raises(Exception, match=r"(?i)readonly"):
        client.command("CREATE TABLE x (a Int8) ENGINE = Memory")


def test_a_filter_uses_the_key(filled: History) -> None:
    plan = filled._engine.query.rows("EXPLAIN indexes = 1 " + rewrite("select * from readings where thing = 't1'"))
    text = "\n".join(row[0] for row in plan)
    assert "PrimaryKey" in text
    assert "(thing in ['t1', 't1'])" in text
