"""Bounds of the connectors, named in one place."""

from __future__ import annotations

from typing import Final

#: A bridge that lost its broker tries again after this; each failure doubles it.
PAUSE_S_MIN: Final = 0.5
PAUSE_S_MAX: Final = 30.0
#: A connection that held this long ends the doubling.
HEALTHY_AFTER_S: Final = 30.0
CONNECT_WITHIN_S: Final = 10.0
#: For the TCP connection alone, which is made in a thread that a stopping process waits for.
TCP_WITHIN_S: Final = 3.0
KEEPALIVE_S: Final = 30

#: How long the other broker keeps our session, and what comes for it, while we are away (MQTT 5).
SESSION_EXPIRY_S: Final = 7 * 86_400
#: Messages that may be on their way unacknowledged, in either direction; the other broker may ask for fewer.
IN_FLIGHT_MAX: Final = 500
#: After so many messages a sender waits until all are confirmed, and its place in the log moves on.
CHECK_MESSAGES: Final = 2_000
#: ... and after so many it lets others have a turn.
YIELD_EVERY: Final = 32
PACKET_BYTES_MAX: Final = 16 * 1024 * 1024
#: Bytes of a packet around topic, payload and properties.
PACKET_OVERHEAD_BYTES: Final = 16

#: What arrived becomes one block of the log, of at most this many messages and bytes.
BLOCK_MESSAGES_MAX: Final = 1_000
BLOCK_BYTES_MAX: Final = 8 * 1024 * 1024
#: Longer topics are not taken over; as in the gateway.
TOPIC_BYTES_MAX: Final = 4_096

#: Topics whose way across is remembered.
ROUTES_REMEMBERED: Final = 10_000
#: Bridges that a message may have crossed.
HOPS_MAX: Final = 16
#: Over MQTT 3.1.1: messages of ours that are expected back, and for how long.
ECHOES_MAX: Final = 100_000
ECHO_WITHIN_S: Final = 30.0

#: How often the registry is asked for changed bridges, and a bridge's place in the log is kept.
FOLLOW_EVERY_S: Final = 0.5
SAVE_EVERY_S: Final = 0.2
#: How long a bridge that ends may take to say goodbye.
FAREWELL_WITHIN_S: Final = 5.0
