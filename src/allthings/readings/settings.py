"""Every bound of decoding and of bulk uploads, in one place."""

from __future__ import annotations

from typing import Final

from allthings.things.times import NS_PER_S

# One message

#: A message that claims to carry readings or an event is at most this large.
PAYLOAD_BYTES_MAX: Final = 1 << 20
#: Properties in one JSON object.
PROPERTIES_MAX: Final = 4_096
#: Objects in one array (a buffered upload).
ELEMENTS_MAX: Final = 100_000
#: UTF-8 bytes of a string, or of a JSON value as compact text.
TEXT_BYTES_MAX: Final = 64 * 1024
#: Arrays and objects within one another in one value.
NESTING_MAX: Final = 64
#: A device's clock may be ahead of ours by this much.
AHEAD_NS_MAX: Final = 24 * 3600 * NS_PER_S
#: Integers from this on (either sign) are kept exactly as text next to the nearest float.
EXACT_INTEGERS_BELOW: Final = 2**53
#: A reject's reason names this many faults of its message, then says how many more there are.
FAULTS_NAMED_MAX: Final = 3
#: What a reason shows of a value or a name.
SHOWN_CHARS_MAX: Final = 64

# What decoding remembers from block to block (per process)

#: Topics remembered, and the properties of all shapes of payload remembered.
ROUTES_MAX: Final = 250_000
CELLS_MAX: Final = 1_000_000
#: Shapes (sets of property names, in order) remembered per topic.
SHAPES_MAX: Final = 32

# What is decoded and handed on together

#: Messages of blocks that are decoded as one. It bounds how long one call of the decoder takes.
TOGETHER_MESSAGES_MAX: Final = 10_000
#: What the decoder is given at once, as stored.
TOGETHER_BYTES_MAX: Final = 1 << 20
#: Up to so much, as stored and decompressed, is decoded on the event loop: a few milliseconds.
AT_ONCE_STORED_BYTES_MAX: Final = 32 * 1024
AT_ONCE_BYTES_MAX: Final = 256 * 1024
#: After blocks were handed on, those that follow are gathered for this long. A quiet log's next block goes at once.
FEED_EVERY_S: Final = 0.02
#: Readings kept for consumers that are not as quick as the log. One that falls farther back reads for itself.
FEED_ROWS_MAX: Final = 600_000
FEED_GROUPS_MAX: Final = 5_000

# One bulk upload

UPLOAD_BYTES_MAX: Final = 64 << 20
#: Of an Arrow upload once it is decompressed.
UPLOAD_RAW_BYTES_MAX: Final = 256 << 20
UPLOAD_ROWS_MAX: Final = 1_000_000
#: Row errors that are listed; the rest is counted.
UPLOAD_ERRORS_MAX: Final = 1_000
#: An encoded block of an upload stays below this.
UPLOAD_BLOCK_BYTES_MAX: Final = 8 << 20
