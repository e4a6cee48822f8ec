"""Errors of the historian.

HistorianUnavailableError  the engine does not answer, or refused for a reason of its own (503)
HistoryDamagedError        files of the history are not what was written; they are being made anew (503)
QueryRefusedError          SQL that is not allowed, or a query that makes no sense (400)
QueryLimitError            more rows, memory or time than a query may use (413)
QueryCancelledError        a query that was ended: whoever asked went away, or the platform stops (503)
LogReplacedError           the log ends before the history does: it is not the log that the history came from
"""

from __future__ import annotations

from allthings.things.errors import BadInputError, LimitExceededError, UnavailableError


class HistorianUnavailableError(UnavailableError):
    type = "historian-unavailable"
    title = "The historian does not answer"


class HistoryDamagedError(HistorianUnavailableError):
    type = "history-damaged"
    title = "A part of the history is damaged"


class QueryRefusedError(BadInputError):
    type = "query-refused"
    title = "The query cannot be run"


class QueryLimitError(LimitExceededError):
    type = "query-limit"
    title = "The query uses more than it may"


class QueryCancelledError(UnavailableError):
    type = "query-cancelled"
    title = "The query was ended"


class LogReplacedError(UnavailableError):
    type = "log-replaced"
    title = "The log is not the one that the history came from"


def log_replaced(last: int, known: int) -> LogReplacedError:
    """The log ends at block `last`, the history has seen block `known`."""
    return LogReplacedError(
        f"the log ends at block {last}, but the history has readings up to block {known}: the log has lost its end, "
        "or it is not the one that the history came from. Restore the log's directory from a backup of the same "
        "moment, or let `allthings repair` go on behind the history, which stays as it is"
    )
