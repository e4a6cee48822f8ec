"""SQL of strangers: read, judged, and written anew.

What is run is never the text that came but one that is written from what was understood of it, in a form so plain
(strings without quotes or backslashes in them, words, numbers) that no two parsers can disagree about it. That text
is then checked a second time, word by word. Refused is everything that is not known to be harmless:

- anything but one SELECT (WITH, UNION, subqueries are fine);
- tables other than the views of `views.py`, and table functions;
- functions that are not listed in `functions.py`;
- SETTINGS, FORMAT, INTO OUTFILE, parameters.
"""

from __future__ import annotations

import logging
import re
from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.dialects.clickhouse import ClickHouse
from sqlglot.errors import SqlglotError

from allthings.historian import settings
from allthings.historian.errors import QueryRefusedError
from allthings.historian.functions import allowed
from allthings.historian.schema import TABLES
from allthings.historian.views import VIEWS

# It warns of statements that it does not know; they are refused here.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

_LOGGER = logging.getLogger(__name__)

_REFUSED: Final = (
    exp.Apply,
    exp.BitString,
    exp.ByteString,
    exp.Command,
    exp.DDL,
    exp.DML,
    exp.HexString,
    exp.Into,
    exp.Lock,
    exp.National,
    exp.Parameter,
    exp.Placeholder,
    exp.Pragma,
    exp.RawString,
    exp.SessionParameter,
    exp.UnicodeString,
)
_LACKS: Final = re.compile(r"Required keyword: '\w+' missing for <class '[\w.]*?(\w+)'>")
_NAME: Final = re.compile(r"[^\x00-\x1f\x7f`\"'\\]{1,128}")
_NUMBER: Final = re.compile(r"[0-9][0-9.]*([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?")
_PLAIN: Final = re.compile(r"[^\x00-\x1f\x7f'\\]")
#: One lexical unit of the text that is written here. Every character has to belong to one.
_UNIT: Final = re.compile(
    r"""(?P<string>'(?:[^'\\\x00-\x1f]|\\x[0-9a-f]{2})*')|(?P<quoted>"[^"\\\x00-\x1f]*")|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"""
    r"""|(?P<number>[0-9.][0-9.]*(?:[eE][+-]?[0-9]+)?)|(?P<space>\s+)|(?P<sign>->|<=|>=|<>|!=|\|\||::|[-+*/%=<>(),.\[\]?:])"""
)
_WORDS_REFUSED: Final = frozenset({"apply", "format", "into", "outfile", "settings", "columns", "infile", "global"})


class _Writer(ClickHouse.Generator):  # type: ignore[misc]
    """Writes strings so that nothing in them can end them."""

    def literal_sql(self, expression: exp.Literal) -> str:
        text = str(expression.this)
        if expression.is_string:
            return f"'{''.join(char if _PLAIN.match(char) else _escaped(char) for char in text)}'"
        if not _NUMBER.fullmatch(text):
            raise QueryRefusedError(f"{text[:40]!r} is no number")
        return text


def _escaped(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode())


def rewrite(text: str) -> str:
    """The SELECT to run for a stranger's text. Raises QueryRefusedError, which says why."""
    if len(text) > settings.SQL_TEXT_MAX:
        raise QueryRefusedError(f"the SQL is longer than {settings.SQL_TEXT_MAX} characters")
    try:
        statements = [each for each in sqlglot.parse(text, read="clickhouse") if each is not None]
        if len(statements) != 1 or not isinstance(statements[0], exp.Query):
            raise QueryRefusedError("send exactly one SELECT")
        statement = statements[0]
        _judge(statement)
        written: str = _Writer(dialect="clickhouse", comments=False, identify=True).generate(statement, copy=True)
    except QueryRefusedError:
        raise
    except (SqlglotError, ValueError) as error:
        raise QueryRefusedError(f"the SQL cannot be understood: {_short(error)}") from None
    except RecursionError:
        raise QueryRefusedError("the SQL is nested too deeply") from None
    except Exception as error:  # noqa: BLE001 - a parser of others, given what a stranger wrote
        _LOGGER.info("the parser of SQL failed: %r", error)
        raise QueryRefusedError("the SQL cannot be understood: a function may lack an argument") from None
    _check_words(written)
    return written


def _short(error: Exception) -> str:
    # sqlglot marks the place with terminal colours.
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split("\n", 1)[0]
    return _LACKS.sub(lambda lacks: f"{lacks[1].upper()} lacks an argument", text)[:300]


def _judge(statement: exp.Query) -> None:
    """Refuse what is not allowed, and put our views in the place of the tables."""
    names = {cte.alias.lower() for cte in statement.find_all(exp.CTE)}
    taken = names & ({name.lower() for name in VIEWS} | TABLES)
    if taken:
        raise QueryRefusedError(f"WITH may not name {min(taken)!r}: that is a table")
    for node in list(statement.walk()):
        if isinstance(node, _REFUSED):
            raise QueryRefusedError(f"{type(node).__name__.upper()} is not allowed here")
        if isinstance(node, exp.Identifier) and not _NAME.fullmatch(str(node.this)):
            raise QueryRefusedError(f"{str(node.this)[:40]!r} is no name")
        if isinstance(node, exp.Query) and any(node.args.get(part) for part in ("settings", "format", "into", "locks")):
            raise QueryRefusedError("SETTINGS, FORMAT and INTO are not allowed")
        if isinstance(node, exp.In) and isinstance(node.args.get("field"), exp.Column | exp.Table | exp.Identifier):
            raise QueryRefusedError("IN takes a list or a subquery in parentheses")
        if isinstance(node, exp.Table):
            _judge_table(node, names)


def _judge_table(table: exp.Table, names: set[str]) -> None:
    name = table.this
    if not isinstance(name, exp.Identifier):
        raise QueryRefusedError("table functions are not allowed")
    if table.args.get("db") or table.args.get("catalog"):
        raise QueryRefusedError(f"there is no database to name: say {table.name!r} alone")
    if table.name.lower() in names:
        return
    view = VIEWS.get(table.name)
    if view is None:
        raise QueryRefusedError(f"there is no table {table.name[:80]!r}; there are {', '.join(VIEWS)}")
    if not table.alias:
        table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name)))
    table.set("this", exp.to_identifier(view[0]))


def _check_words(written: str) -> None:
    """Refuse the written text unless each unit of it is known and each call is allowed."""
    at, before = 0, ""
    while at < len(written):
        unit = _UNIT.match(written, at)
        if unit is None:
            raise QueryRefusedError(f"{written[at]!r} is not allowed here")
        kind, value = unit.lastgroup, unit.group()
        if kind == "word" and value.lower() in _WORDS_REFUSED and not _called(written, unit.end()):
            raise QueryRefusedError(f"{value.upper()} is not allowed here")
        if value == "(" and before and not allowed(before):
            raise QueryRefusedError(f"the function {before[:80]!r} is not allowed here")
        if kind == "word":
            before = value
        elif kind == "quoted":
            before = value[1:-1]
        elif kind != "space":
            before = ""
        at = unit.end()


def _called(written: str, at: int) -> bool:
    return written[at : at + 1] == "("
