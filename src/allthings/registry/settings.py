"""The registry's limits and times, in one place."""

from __future__ import annotations

from typing import Final

from allthings.things.times import NS_PER_S

_DAY_NS: Final = 86_400 * NS_PER_S

#: How long a writer waits for another one, and how often it then begins anew.
BUSY_MS: Final = 10_000
WRITE_TRIES: Final = 4
#: How long a caller waits for a free connection.
POOL_TIMEOUT_S: Final = 30
POOL_SIZE: Final = 8

PAGE_MAX: Final = 1_000
SEARCH_MAX: Final = 256
SEARCH_WORDS_MAX: Final = 8
#: Of a description, this much can be searched.
SEARCHED_MAX: Final = 2_000

#: Things that nobody asked for: more than these are not remembered (their readings are).
DISCOVERED_MAX: Final = 100_000
#: Removed things and properties that are remembered; beyond it the oldest are forgotten.
REMOVALS_MAX: Final = 100_000
#: Deletions of readings that the log may still bring back; more are refused until it has dropped its old blocks.
DELETIONS_MAX: Final = 10_000
#: Rows that one statement looks up; SQLite allows 32,766 bound values.
LOOKUP_CHUNK: Final = 1_000

USER_NAME_MAX: Final = 64
PASSWORD_MIN: Final = 8
PASSWORD_MAX: Final = 1_024
#: argon2id takes 64 MiB each time; more at once would let anybody who logs in exhaust the memory.
PASSWORD_CHECKS_AT_ONCE: Final = 2

SESSION_NS: Final = 30 * _DAY_NS
SESSION_IDLE_NS: Final = 7 * _DAY_NS
#: A session's last use is written at most this often.
SESSION_SEEN_NS: Final = 3_600 * NS_PER_S
SESSIONS_PER_USER_MAX: Final = 100

TOKEN_LABEL_MAX: Final = 128
TOKENS_PER_SUBJECT_MAX: Final = 100
#: How long a token of a browser's MQTT client can be used to connect, and when it is forgotten: until then connections
#: that were made with it live on.
BRIEF_TOKEN_NS: Final = 300 * NS_PER_S
EXPIRED_TOKEN_KEPT_NS: Final = 7 * _DAY_NS

ACCESS_RULES_MAX: Final = 2_000
RULE_NOTE_MAX: Final = 256
FILTER_BYTES_MAX: Final = 1_024
QUOTAS_MAX: Final = 10_000
#: A second; more is no limit at all.
QUOTA_MAX: Final = 1e12

#: Failures to show who one is, from one address (IPv6: one /64): so many at once, then one after each pause.
ATTEMPTS_BURST: Final = 10
ATTEMPT_EVERY_S: Final = 6.0
ATTEMPT_ADDRESSES_MAX: Final = 10_000

#: What the audit list keeps: of refusals, which strangers can cause, and of changes apart from them.
AUDIT_ENTRIES_MAX: Final = 50_000
AUDIT_AGE_NS: Final = 365 * _DAY_NS
AUDIT_TEXT_MAX: Final = 512

BRIDGES_MAX: Final = 100
BRIDGE_MAPS_MAX: Final = 100
BRIDGE_TEXT_MAX: Final = 1_024
#: Certificates of authorities, PEM.
BRIDGE_CA_MAX: Final = 256 * 1_024
