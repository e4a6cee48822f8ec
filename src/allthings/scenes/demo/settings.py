"""The bounds of the demo, in one place."""

from __future__ import annotations

from typing import Final

#: Rows (times) of a recording that go into one upload.
UPLOAD_ROWS_MAX: Final = 50_000
#: An upload waits this long for its acknowledgement.
UPLOAD_TIMEOUT_S: Final = 120.0
#: An upload that the platform cannot take now is tried this often, with this pause between.
UPLOAD_TRIES_MAX: Final = 10
UPLOAD_PAUSE_S: Final = 2.0
#: Pauses between two live messages of one thing: no faster, and over gaps of a recording no slower.
PAUSE_S_MIN: Final = 0.02
PAUSE_S_MAX: Final = 60.0
#: Pauses before a connection that was lost is tried again grow to this.
RECONNECT_S_MIN, RECONNECT_S_MAX = 0.5, 10.0
