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
#: Decoded blocks that are kept for the second consumer of the process, and the most readings they hold together.
DECODED_BLOCKS_MAX: Final = 64
DECODED_ROWS_MAX: Final = 500_000

# One bulk upload

UPLOAD_BYTES_MAX: Final = 64 << 20
#: Of an Arrow upload once it is decompressed.
UPLOAD_RAW_BYTES_MAX: Final = 256 << 20
UPLOAD_ROWS_MAX: Final = 1_000_000
#: Row errors that are listed; the rest is counted.
UPLOAD_ERRORS_MAX: Final = 1_000
#: An encoded block of an upload stays below this.
UPLOAD_BLOCK_BYTES_MAX: Final = 8 << 20
