"""Bounds of the gateway, named in one place."""

from __future__ import annotations

from typing import Final

#: Largest packet that is accepted (MQTT 5 section 3.2.2.3.6); a block of the log must hold it.
PACKET_BYTES_MAX: Final = 16 * 1024 * 1024
#: Largest packet before a client is known, and how long it may take to say CONNECT.
CONNECT_BYTES_MAX: Final = 256 * 1024
CONNECT_WITHIN_S: Final = 10.0
CLIENT_BYTES_MAX: Final = 1024
CONNECTIONS_MAX: Final = 100_000
#: TLS: how long a handshake may take, how many may be under way, how much of one may wait unread, how many that wait
#: for us before newcomers wait in the backlog, and for how long one turn of the event loop works on them.
HANDSHAKE_WITHIN_S: Final = 10.0
HANDSHAKES_MAX: Final = 4096
HANDSHAKE_BYTES_MAX: Final = 256 * 1024
HANDSHAKE_TURNS_MAX: Final = 512
HANDSHAKE_TURN_S: Final = 0.004
#: A PROXY header: how much of it is accepted, and how long it may take to come.
PROXY_BYTES_MAX: Final = 16 * 1024
PROXY_WITHIN_S: Final = 5.0
#: How often the files of a certificate are looked at.
CERTIFICATE_EVERY_S: Final = 1.0
#: QoS 1 messages that a client may have unacknowledged (MQTT 5 section 3.2.2.3.3).
RECEIVE_MAXIMUM: Final = 8192
#: Used when a client asks for none, so that a dead peer is noticed (MQTT 5 section 3.2.2.3.14).
KEEPALIVE_S_MAX: Final = 3600

#: Sockets that are read and acknowledged together (gateway.lane): with fewer that costs more than one by one. Who
#: speaks of more topics than this is read alone, as the lane expects one like the last.
LANE_SOCKETS_MIN: Final = 128
LANE_SOCKETS_MAX: Final = 2048
LANE_TOPICS_MAX: Final = 4

#: A block is appended when it has this much, even while messages still stream in.
BLOCK_MESSAGES_MAX: Final = 65_536
BLOCK_BYTES_MAX: Final = 8 * 1024 * 1024
#: Blocks that are on their way into the log at once.
BLOCKS_UNDER_WAY_MAX: Final = 2
#: A block smaller than this goes at once after a quiet moment, else no sooner than this after the one before it: a
#: block costs the log, the historian and the twin the same whether it holds one message or a hundred.
SMALL_BLOCK_MESSAGES: Final = 128
SMALL_BLOCK_EVERY_S: Final = 0.008
#: What may wait for the log before reading from devices stops, and when it goes on.
WAITING_BYTES_MAX: Final = 64 * 1024 * 1024
WAITING_MESSAGES_MAX: Final = 400_000
#: How far (in messages) the historian may be behind before devices are slowed, while it moves at all.
HISTORIAN_BEHIND_MAX: Final = 150_000

#: Topics that a connection remembers as allowed, and their length.
TOPICS_REMEMBERED: Final = 1024
TOPIC_BYTES_MAX: Final = 4096
SUBSCRIPTIONS_MAX: Final = 1000

#: What may wait for one subscriber: messages of QoS 1, and bytes in its socket's buffer for QoS 0.
QUEUE_MESSAGES_MAX: Final = 10_000
QUEUE_BYTES_MAX: Final = 16 * 1024 * 1024
IN_FLIGHT_MAX: Final = 1024
#: Once messages of this size are on their way to one subscriber the next ones wait for its acknowledgements.
IN_FLIGHT_BYTES_MAX: Final = 16 * 1024 * 1024
#: Answers (PUBACK, PINGRESP and the like) that a client does not read: beyond this nothing more is read from it.
UNREAD_BYTES_MAX: Final = 1024 * 1024

#: A session that outlives its connection is kept so long at most, and so many messages wait in it; then it loses its
#: oldest ones, which is counted. Beyond the first few they wait in the log, and cost ten bytes each.
SESSION_EXPIRY_S_MAX: Final = 30 * 86_400
SESSION_MESSAGES_MAX: Final = 1_000_000
SESSION_MEMORY_MESSAGES_MAX: Final = 1000
SESSION_MEMORY_BYTES_MAX: Final = 1024 * 1024
#: Messages that are read from the log again at a time, and blocks that are read at once for that.
REFILL_MESSAGES: Final = 500
REFILL_BLOCKS_AT_ONCE: Final = 16
#: Blocks that are kept for sessions that come back at the same time.
REFILL_BLOCKS_KEPT: Final = 32
REFILL_BYTES_KEPT: Final = 32 * 1024 * 1024
#: Topic aliases that a client may use, and that are used towards a client that offers them (section 3.3.2.3.4).
TOPIC_ALIASES_MAX: Final = 64
#: How often changed sessions and retained messages are kept; a start replays what came after.
KEEP_EVERY_S: Final = 5.0
#: How often gateways look whether their shared subscriptions changed, and tell each other at the latest.
SHARES_LOOK_S: Final = 0.02
SHARES_EVERY_S: Final = 1.0
#: A gateway that starts waits so long for the others to tell theirs, and for one answer.
SHARES_WITHIN_S: Final = 10.0
SHARES_ANSWER_S: Final = 0.25
#: How often `$SYS` topics are told.
SYSTEM_EVERY_S: Final = 10.0
RETAINED_MAX: Final = 1_000_000
"""Retained messages in all."""
#: Topics whose message was removed in the last seconds.
REMOVED_MAX: Final = 100_000

#: CONNECTs that are decided on in one turn of the loop, and as many of those who waited; then all others have theirs.
ADMITTED_AT_ONCE: Final = 64
#: Passwords verified at once (each costs tens of milliseconds of a core and 64 MiB by design), and how many may wait.
PASSWORDS_AT_ONCE: Final = 2
PASSWORDS_WAITING_MAX: Final = 256
#: How often processes tell each other which addresses failed to log in, and of how many addresses at once.
ATTEMPTS_TOLD_EVERY_S: Final = 0.1
ATTEMPTS_TOLD_MAX: Final = 500
#: Credentials that were right and are remembered, so that ten thousand devices can come back at once.
CREDENTIALS_KNOWN_MAX: Final = 20_000
#: How often the registry is asked whether something has changed. A change holds within a second.
FOLLOW_EVERY_S: Final = 0.25
#: A gateway that starts says that the registry is not up to date when that has lasted so long.
MIGRATION_S: Final = 30.0
#: Connections that are looked at in one turn of the loop when rules have changed.
RENEWED_AT_ONCE: Final = 200

#: Refusals that one client (an address until it is known) may put on the audit list at once, then one after each pause.
AUDIT_BURST: Final = 20
AUDIT_EVERY_S: Final = 10.0
#: The same for all clients together.
AUDIT_ALL_BURST: Final = 500
AUDIT_ALL_EVERY_S: Final = 0.05
#: The same refusal within this time is counted and not listed again.
AUDIT_SAME_S: Final = 60.0
#: Clients and refusals remembered for that.
AUDIT_REMEMBERED_MAX: Final = 5_000
AUDIT_WRITE_EVERY_S: Final = 0.25

#: A reason string is cut to 1,024 characters and left out for a client that takes no packets of this size.
EXPLAINED_BYTES: Final = 4_200

#: The tree of topics that people see: topics in it, of each the last payload's beginning. The silent ones make room.
TOPICS_LISTED_MAX: Final = 30_000
TOPIC_PAYLOAD_BYTES: Final = 1024
#: Runs of messages that are looked into each second while nobody looks on; somebody does until this after a question.
LOOKED_INTO_PER_S: Final = 1000
WATCHED_S: Final = 30.0
#: What one answer to the console may hold, and the beginning of a retained payload in it.
ANSWER_ROWS_MAX: Final = 200
RETAINED_PAYLOAD_BYTES: Final = 4096
#: Sessions or topics that are gone through in one turn of the loop.
GONE_THROUGH_AT_ONCE: Final = 2000
#: How often rates of clients are measured while somebody looks.
MEASURED_EVERY_S: Final = 2.0

DECIDE_EVERY_S: Final = 0.1
#: While the disk is nearly full so much of what a client has published waits in memory; more is left in its socket.
PARKED_BYTES_MAX: Final = 8 * 1024
#: Below this share of the reserve not even what sessions need is written.
LAST_SHARE: Final = 0.25
DISK_EVERY_S: Final = 1.0
REPORT_EVERY_S: Final = 1.0
#: How long a stopping gateway tries to append what it has.
STOP_WITHIN_S: Final = 2.0
