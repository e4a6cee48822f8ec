"""Every bound of the twin, in one place."""

from __future__ import annotations

from typing import Final

from allthings.things.times import NS_PER_S

# State

#: Series that have a current value. Further ones are in the history only, and counted.
SERIES_MAX: Final = 1_000_000
#: Of one thing, so that one device with made-up names cannot use up all places.
SERIES_PER_THING_MAX: Final = 10_000

#: A thing is online while its last message is younger than this, or than some of its typical intervals.
ONLINE_NS_MIN: Final = 60 * NS_PER_S
ONLINE_INTERVALS: Final = 3
#: The most that the newest interval weighs in the typical one, and how much longer than typical it may count.
INTERVAL_WEIGHT: Final = 0.2
INTERVAL_GROWTH_MAX: Final = 4.0

# Live feed

#: Readings of the newest blocks that are kept for subscribers that come back.
RING_ROWS_MAX: Final = 200_000
#: Blocks kept, however small they are.
RING_BLOCKS_MAX: Final = 5_000
#: Readings that wait for one subscriber before it loses its place. They are those of the ring, so they cost nothing.
QUEUE_ROWS_MAX: Final = RING_ROWS_MAX
#: Blocks that wait for one subscriber, however small they are.
QUEUE_BLOCKS_MAX: Final = 5_000
#: Values handed to a subscriber at once.
UPDATE_VALUES_MAX: Final = 10_000
#: Subscribers whose parts of the same readings are encoded by themselves; for more of them all are encoded, once.
ENCODED_ALONE_MAX: Final = 2
#: How many of the newest frames keep what was encoded.
ENCODED_FRAMES_MAX: Final = 100
#: Blocks read again from the log for one subscriber that comes back. What is further back is a gap.
RESUME_BLOCKS_MAX: Final = 10_000

# Discovery

#: New things in one minute and since the start. More are counted, and in the history, but not shown as discovered.
NEW_THINGS_PER_MINUTE_MAX: Final = 20_000
NEW_THINGS_MAX: Final = 200_000
#: Names of events of all things together. Further ones are in the history only.
EVENT_NAMES_MAX: Final = 100_000
#: Series reported at once; the others follow the next time.
REPORT_MAX: Final = 10_000
REPORT_EVERY_S: Final = 1.0
#: A range that widens is reported again after this.
WIDENING_EVERY_NS: Final = 30 * NS_PER_S

# Rates and positions

RATE_SECONDS: Final = 5
SAVE_POSITION_EVERY_S: Final = 1.0
