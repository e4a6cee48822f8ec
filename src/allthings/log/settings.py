"""Names and bounds of the log."""

from __future__ import annotations

from typing import Final

STREAM: Final = "allthings"
SUBJECT: Final = "allthings.blocks"
POSITIONS_BUCKET: Final = "allthings-positions"
#: Among the positions: up to which block old ones were dropped.
TRIMMED: Final = "trimmed"
#: The header of a block that has no retained message: `0`.
RETAINED: Final = "Allthings-Retained"
TABLES: Final = "allthings-table"
NOTES: Final = "allthings.notes"
QUESTIONS: Final = "allthings.questions"
#: The note of who has trouble with a write (log.underway), and the source and key of what only tries (log.probe).
TROUBLE: Final = "trouble"
PROBE: Final = "probe"

#: The oldest nats-server that is known to do all that is needed here (major, minor). `sync_interval: always`, on which
#: the promise to every device rests, came with 2.10.
SERVER_OLDEST: Final = (2, 11)

#: One append, one NATS message. A single MQTT message may be as large as the gateway allows (below this).
BLOCK_BYTES_MAX: Final = 32 * 1024 * 1024
#: How long the server remembers a block's identity, which spares looking for one that was sent again (log.appender).
DEDUPLICATION_S: Final = 120.0
#: The server answers an append after its fsync. No answer within this time counts as a failure (and is repeated).
APPEND_TIMEOUT_S: Final = 5.0

#: A write that has not been answered for this long is told to who looks after the server, as one that failed is; so
#: often each process tells. An append that only tries has failed when it was not answered within PROBE_WITHIN_S.
SUSPICIOUS_S: Final = 1.0
TELL_EVERY_S: Final = 0.5
PROBE_WITHIN_S: Final = 2.0
#: A server that has time answers a PING within this.
PROMPT_S: Final = 0.25
#: However many ask whether the log takes appends, it is not tried more often.
PROBE_EVERY_S: Final = 0.5
#: Streams that the server names in one answer.
STREAMS_LISTED: Final = 256

#: Within this a server that starts is waited for.
CONNECT_WITHIN_S: Final = 5.0

#: Who asks without knowing how many will answer waits this long for one more answer.
ANSWERS_APART_S: Final = 0.15

#: A reader asks for at most this much at once; it bounds the reader's memory.
READ_BLOCKS_MAX: Final = 256
READ_BYTES_MAX: Final = 64 * 1024 * 1024
READ_HEARTBEAT_S: Final = 2.0
READ_EXPIRES_S: Final = 30.0
#: The server forgets a reader that has not asked for this long.
READER_INACTIVE_S: Final = 60.0
#: Rows of a table that are fetched at a time, and marks of deleted ones that one reading sweeps away.
ROWS_AT_ONCE: Final = 256
ROWS_WITHIN_S: Final = 2.0
ROWS_ATTEMPTS: Final = 5
MARKS_SWEPT_MAX: Final = 1000

#: What the log keeps when nothing else is said; blocks that a consumer still needs are kept beyond both.
KEEP_AGE_S: Final = 7 * 86_400
KEEP_BYTES: Final = 20 * 1024**3
#: The hard limit over KEEP_BYTES, at which appends are refused until the consumers have caught up.
HARD_LIMIT_FACTOR: Final = 1.25


def subject_of(source: str) -> str:
    """The subject of who appends as `source`, a word without dots."""
    return f"{SUBJECT}.{source}"


def source_of(subject: str | None) -> str:
    """Who appended a block, from the subject that it was published on (below it each appender may have its own)."""
    return (subject or "").removeprefix(f"{SUBJECT}.").partition(".")[0]
