"""Every bound of the web application, and what the runtime tells it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of a lane: calls at once, of all and of one asker; calls that wait, likewise, and for how long; how long one may
    take. `per_user`: whoever has too many waiting is told so (429), rather than that the platform is busy (503)."""

    running: int
    running_each: int
    waiting: int
    waiting_each: int
    wait_s: float
    call_s: float
    per_user: bool = False


# What one request may bring

#: A request body where the route says nothing else (JSON documents).
BODY_BYTES_MAX: Final = 1 << 20
#: A Thing Description or a merge patch of one.
TD_BYTES_MAX: Final = 1 << 20
#: A bulk upload, and how long its body may take to arrive.
UPLOAD_BYTES_MAX: Final = 64 << 20
UPLOAD_BODY_S_MAX: Final = 120.0
#: How long an upload waits for the log before it is refused.
UPLOAD_APPEND_S_MAX: Final = 15.0
#: Uploads that are held in memory at once; the next one is asked to come back.
UPLOADS_MAX: Final = 4
#: Rejected rows that the answer to an upload lists; the rest is counted.
UPLOAD_REJECTED_LISTED_MAX: Final = 100
#: A file that is imported as it arrives, and how long it may fall silent.
IMPORT_BYTES_MAX: Final = 1 << 38
IMPORT_SILENCE_S_MAX: Final = 60.0
#: Things or properties that one request may name.
NAMES_MAX: Final = 10_000
#: Names that an error lists.
NAMES_SHOWN: Final = 10
#: A SQL text.
SQL_CHARS_MAX: Final = 64 * 1024

# What one answer may hold

SERIES_MAX: Final = 1_000
POINTS_DEFAULT: Final = 10_000
POINTS_MAX: Final = 1_000_000
PLOT_POINTS_MAX: Final = 10_000
PAGE_DEFAULT: Final = 50
PAGE_MAX: Final = 1_000
QUERY_ROWS_MAX: Final = 100_000
QUERY_S_MAX: Final = 30
QUERY_MEMORY_BYTES_MAX: Final = 512 << 20
#: Rejects that one request replays, and about how much they are; more are replayed by asking again.
REPLAY_MAX: Final = 10_000
REPLAY_BYTES_MAX: Final = 64 << 20
#: Larger answers leave in pieces of this size.
CHUNK_BYTES: Final = 256 * 1024

# Live feed

LIVE_STREAMS_MAX: Final = 500
#: What waits for a client becomes one event of about so many values at most.
LIVE_EVENT_VALUES_MAX: Final = 5_000
LIVE_UPDATES_WAITING_MAX: Final = 16
LIVE_KEEPALIVE_S: Final = 15.0

# MQTT over WebSocket

#: Connections of browsers; each takes two file descriptors here and one of the gateway.
WEBSOCKETS_MAX: Final = 10_000
#: One frame of a browser. It is passed on as it arrives, so this bounds no memory.
FRAME_BYTES_MAX: Final = 16 << 20
#: How long the gateway may take to answer.
RELAY_CONNECT_S_MAX: Final = 5.0

#: How long gateways may take to answer a question of the console, and rows of a page of what they answer.
GATEWAYS_ANSWER_S_MAX: Final = 3.0
GATEWAY_PAGE_MAX: Final = 200

# Who may come in

SESSION_COOKIE: Final = "allthings_session"
SESSION_S: Final = 30 * 86_400
#: An identity is looked up again after this; it is how long a token revoked by another process may still work.
IDENTITY_CACHED_S: Final = 2.0
IDENTITIES_CACHED_MAX: Final = 4_096
CREDENTIAL_CHARS_MAX: Final = 512
#: Argon2 takes 64 MB and a core each.
LOGINS_AT_ONCE_MAX: Final = 2

# Questions to the history

#: Those that are known to be answered soon, all others, and SQL: each at once, of all and of one asker; waiting; how
#: long for; and how long one may take. As many as the history has connections for.
QUICK: Final = Bounds(running=3, running_each=3, waiting=256, waiting_each=128, wait_s=15.0, call_s=15.0)
LONG: Final = Bounds(running=2, running_each=2, waiting=128, waiting_each=64, wait_s=30.0, call_s=60.0)
SQL: Final = Bounds(running=2, running_each=1, waiting=32, waiting_each=4, wait_s=30.0, call_s=40.0, per_user=True)
#: Answers larger than this leave in pieces. Together they hold so much until they have been read; beyond it no other
#: long question begins. A client that takes nothing for so long is cut off.
ANSWER_WHOLE_BYTES_MAX: Final = 1 << 20
ANSWERS_BYTES_MAX: Final = 256 << 20
TAKE_S_MAX: Final = 30.0
#: A call that is ended has ended within this time; else its thread and connection stay taken until it does.
CALL_ENDS_S_MAX: Final = 10.0
RETRY_AFTER_S_MAX: Final = 60

# Threads for calls that block

REGISTRY_THREADS: Final = 4
#: What the state of the platform is told from; small lists of the history.
STATE_THREADS: Final = 2
LISTS_THREADS: Final = 2
ENCODE_THREADS: Final = 2
#: Pieces of large answers that are on their way.
ANSWER_THREADS: Final = 2
UPLOAD_THREADS: Final = 2
#: Deletions are made one after the other, and may take long; so many may wait.
DELETIONS_WAITING_MAX: Final = 16
#: Calls that wait for a thread of a pool; the next one is refused with 503.
WAITING_MAX: Final = 256

# Deletions

#: How long one waits for the history to take in what is in the log, and of how many series the older values are asked
#: for at once.
DELETION_WAIT_S: Final = 10.0
RESTORED_AT_ONCE: Final = 1_000

#: The state of the platform is gathered at most this often, the size of the data directory more seldom.
STATUS_CACHED_S: Final = 1.0
#: Who asks waits for so long, then the state is told as it was last, unless it is too old. The first one waits longer.
STATUS_WAIT_S_MAX: Final = 0.2
STATUS_FIRST_S_MAX: Final = 5.0
STATUS_OLD_S_MAX: Final = 30.0
DISK_CACHED_S: Final = 15.0
#: The state does not wait longer for an append that is tried.
APPEND_SHOWN_S: Final = 0.3


@dataclass(slots=True)
class WebSettings:
    """What the runtime tells the web application.

    `mqtt_host` and `mqtt_port` are where the gateway listens, for command lines that people copy. `static_dir` is the
    built console, None when it has not been built. `open` switches authentication off (loopback only). `zone` is the
    machine's time zone, for files whose times have no offset.
    """

    data_dir: Path
    started_ns: int
    open: bool = False
    static_dir: Path | None = None
    mqtt_host: str = "127.0.0.1"
    mqtt_port: int = 1883
    zone: str = "UTC"
