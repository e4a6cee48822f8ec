"""Names, bounds and settings of the historian."""

from __future__ import annotations

import os
from typing import Final

NS_PER_SECOND: Final = 1_000_000_000
NS_PER_MINUTE: Final = 60 * NS_PER_SECOND
NS_PER_HOUR: Final = 60 * NS_PER_MINUTE
NS_PER_DAY: Final = 24 * NS_PER_HOUR

DATABASE: Final = "allthings"

#: Connections to the engine, each for one statement at a time: for what asks the history (at once the long questions
#: and the lists that the web lets in), for questions that are answered soon, for SQL of strangers, and for the state.
QUERY_HANDLES: Final = 4
QUICK_HANDLES: Final = 3
SQL_HANDLES: Final = 2
STATE_HANDLES: Final = 2
#: What is ended when the history is closed has ended within this time.
CLOSE_S_MAX: Final = 2.0
#: How long a query waits for a free handle before it is refused.
HANDLE_WAIT_S: Final = 30.0

#: Threads of the embedded engine that merge parts begin with this name; and how far they stand back (nice(2)) while
#: they do not only take what time others leave.
MERGE_THREADS: Final = "MergeMutate"
MERGE_NICENESS: Final = 10
#: How often the parts of a partition are counted, and from how many on merges get a share of the time, until they are
#: fewer than the other. While merges keep up there are about twenty; the engine slows inserts down at a thousand.
MERGE_LOOK_EVERY_S: Final = 5.0
MERGE_PARTS_MANY: Final = 60
MERGE_PARTS_FEW: Final = 30
#: More threads than all handles and merges have at once, and what makes so many.
POOL_THREADS: Final = 48
POOL_FILLED: Final = f"FROM numbers_mt({POOL_THREADS}) SETTINGS max_threads = {POOL_THREADS}, max_block_size = 1"

#: One insert is one part on disk per month that it touches, so few large ones are wanted. Readings wait a moment for
#: others; while they keep coming, they are inserted so often (they are promised within a second), or when there are
#: many.
INSERT_WAIT_S: Final = 0.2
INSERT_EVERY_S: Final = 0.7
INSERT_ROWS_ENOUGH: Final = 50_000

#: What has been read from the log and not yet been inserted; beyond it reading waits.
WAITING_ROWS_MAX: Final = 400_000
#: Inserts are behind when so many wait.
BEHIND_ROWS: Final = 200_000
WAITING_BLOCKS_MAX: Final = 2_000

#: Pauses before an insert that failed is tried again.
RETRY_FIRST_S: Final = 0.1
RETRY_MOST_S: Final = 5.0

#: Minutes are brought up after this time, hours and days after the longer one. Until then queries take what is newer
#: from the readings and the minutes.
ROLLUP_EVERY_S: Final = 60.0
ROLLUP_UPPER_EVERY_S: Final = 300.0
#: Hours and days are brought up with the minutes once so many readings came that are older than an hour, as after an
#: upload: a chart would be made of all the minutes that they lie in.
ROLLUP_UPPER_LATE_ROWS: Final = 10_000
#: While readings wait for their insert, rollups wait too, but not for longer than this.
ROLLUP_AFTER_S: Final = 600.0

#: One step of a rollup makes at most about so many buckets, or is of so many readings where these are dense.
#: It bounds the step's memory.
ROLLUP_STEP_ROWS: Final = 500_000
ROLLUP_DENSE_ROWS: Final = 20_000_000
#: Of a dense step so many readings are rolled up at once. After each part, and each step, rollups rest for so many
#: times as long as it took when more readings a second come in than this.
ROLLUP_PART_ROWS: Final = 500_000
ROLLUP_REST: Final = 3.0
BUSY_ROWS_PER_S: Final = 5_000
ROLLUP_MEMORY_BYTES: Final = 1_500_000_000

#: What a query of ours may use; the engine's default is all that the machine has. Times the number of connections it
#: is what all may use together.
QUERY_MEMORY_BYTES: Final = 400_000_000
QUERY_TIME_S: Final = 60
#: Of a question that should be answered soon: beyond it, it is asked again as a long one.
QUICK_MEMORY_BYTES: Final = 128_000_000
QUICK_TIME_S: Final = 5
#: How far threads of long questions, and of SQL, stand back (nice(2)) behind all others of an embedded engine.
QUERY_NICENESS: Final = 5
SQL_NICENESS: Final = 15
#: What makes a question quick (see weight.py): its rows, plots, series of one bucket each, and the span of time whose
#: readings it has to look at.
QUICK_ROWS_MAX: Final = 100_000
QUICK_PLOTS_MAX: Final = 20
QUICK_SERIES_MAX: Final = 200
QUICK_READINGS_NS_MAX: Final = 2 * NS_PER_DAY
STATE_MEMORY_BYTES: Final = 100_000_000
STATE_TIME_S: Final = 10

#: What rollups do not reflect yet is told to a statement as so many stretches of time at most. It is looked for in each
#: hour of spans up to this length, in each day of longer ones.
DIRTY_STRETCHES_MAX: Final = 16
DIRTY_BY_HOUR_NS_MAX: Final = 40 * NS_PER_DAY

#: Series that a statement of ours names at most.
KEYS_AT_ONCE: Final = 1_000
#: Rows of a piece of what may be much. A bucket takes about 1 kB of the engine's memory while it is made.
PIECE_ROWS_MAX: Final = 200_000
PIECE_ROWS_MIN: Final = 50_000
SERIES_PER_QUERY_MAX: Final = 2_000
ROWS_PER_SERIES_DEFAULT: Final = 10_000
ROWS_PER_SERIES_MAX: Final = 1_000_000
ROWS_PER_QUERY_MAX: Final = 5_000_000
#: Aggregates of up to so many buckets are sorted after the engine has answered.
SORTED_HERE_ROWS_MAX: Final = 100_000
#: Buckets that are not equally long, or in which values hold, are asked for so many at once, of all series together
#: and of each; and a question may have so many.
SLOT_ROWS_PER_PART: Final = 100_000
SLOTS_PER_PART: Final = 4_000
SLOTS_MAX: Final = 2_000_000
#: What values held is made of about so many readings at once, and told of at most so many states of a series.
HELD_ROWS_PER_PART: Final = 2_000_000
STATES_MAX: Final = 100
POINTS_MAX: Final = 20_000
#: A plot is drawn from at most so many rows of a series; beyond it a coarser rollup is its source.
PLOT_ROWS_MAX: Final = 50_000

SQL_TEXT_MAX: Final = 100_000
REJECTS_PER_PAGE_MAX: Final = 1_000
EVENTS_PER_PAGE_MAX: Final = 10_000
#: Rejects and events older than this are dropped.
REJECTS_KEEP_DAYS: Final = 90
EVENTS_KEEP_DAYS: Final = 730

#: What an insert needs so that it is on disk, whole, when it returns. Strange clocks may touch every month from
#: 1900 to 2262 in one insert, hence no limit of partitions.
INSERT_SETTINGS: Final = {
    "async_insert": "0",
    "max_partitions_per_insert_block": "0",
    "throw_on_max_partitions_per_insert_block": "0",
    "max_insert_threads": "1",
    "min_insert_block_size_rows": "1048576",
    "min_insert_block_size_bytes": "0",
    # Merges drop what came twice, and no answer counts on it; to drop it on the way in makes an insert cost two thirds
    # more.
    "optimize_on_insert": "0",
}

#: For every handle. Partitions of our tables are functions of the key, so a key never spans two of them.
SESSION_SETTINGS: Final = {
    **INSERT_SETTINGS,
    "do_not_merge_across_partitions_select_final": "1",
    "use_query_condition_cache": "0",
    "session_timezone": "UTC",
    "join_use_nulls": "0",
    "max_execution_time": str(QUERY_TIME_S),
    "max_memory_usage": str(QUERY_MEMORY_BYTES),
}

#: For the handles of quick questions, and of the state.
QUICK_SETTINGS: Final = {
    **SESSION_SETTINGS,
    "max_execution_time": str(QUICK_TIME_S),
    "max_memory_usage": str(QUICK_MEMORY_BYTES),
}
STATE_SETTINGS: Final = {
    **SESSION_SETTINGS,
    "max_execution_time": str(STATE_TIME_S),
    "max_memory_usage": str(STATE_MEMORY_BYTES),
}

#: For handles that write rollups and drop what has expired: these may take long.
WORK_SETTINGS: Final = {
    **SESSION_SETTINGS,
    "max_execution_time": "0",
    "max_memory_usage": str(ROLLUP_MEMORY_BYTES),
    # One thread of a small machine: devices and people go first.
    "max_threads": str(max(1, (os.cpu_count() or 1) // 4)),
    "max_bytes_before_external_group_by": str(ROLLUP_MEMORY_BYTES // 2),
}

#: The ledger beside the history: how often it is written at most, as a multiple of the time that writing takes, and
#: how long it waits in any case. What came since is read from the log once more after a start.
LEDGER_EVERY_S: Final = 5.0
LEDGER_PAUSE_FACTOR: Final = 50.0
#: It knows so many things by name, and so many losses.
LEDGER_THINGS_MAX: Final = 20_000
LEDGER_LOSSES_MAX: Final = 100
#: A loss names so many things, and counts the others.
LOSS_THINGS_MAX: Final = 20

#: A history that cannot be opened is tried again after so long, growing from the first to the second.
OPEN_FIRST_S: Final = 1.0
OPEN_MOST_S: Final = 30.0
#: After an error that may come from damage all parts are read through, but not more often than this, unless the error
#: says that it is damage.
LOOK_EVERY_S: Final = 600.0

#: The log is read again in steps of about so many readings; after each, healing rests for as long as it took, times
#: this: devices and people go first.
HEAL_ROWS: Final = 100_000
HEAL_REST: Final = 1.0
#: When the log gives nothing more for so long it is taken as read.
HEAL_QUIET_S: Final = 10.0
#: Minutes are made anew by the day, or by the hour on days with more readings than this.
REMAKE_DAY_ROWS_MAX: Final = 2_000_000
#: What was lost is made anew in so many stretches of time at most.
REMAKE_STRETCHES_MAX: Final = 64
