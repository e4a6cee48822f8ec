"""Every bound of understanding and reading files, in one place."""

from __future__ import annotations

from typing import Final

#: What understanding looks at: the first bytes of a file (unpacked), and the last.
SAMPLE_BYTES: Final = 2 << 20
TAIL_BYTES: Final = 128 * 1024
SAMPLE_ROWS_MAX: Final = 20_000
#: Rows among which the form of a text is judged.
SNIFFED_ROWS_MAX: Final = 400
#: Lines before a table: comments, what the logger is, units.
PREAMBLE_LINES_MAX: Final = 100
#: Columns of a file.
COLUMNS_MAX: Final = 4_096
#: Text that is read at once. Values of a piece are in memory several times, so it bounds that.
PIECE_BYTES: Final = 1 << 20
#: One row; a quote that is never closed ends here.
ROW_BYTES_MAX: Final = 8 << 20
#: A file that cannot be read from its beginning (Parquet, Arrow, a JSON document) is put on disk first.
SPOOLED_BYTES_MAX: Final = 4 << 30
#: A JSON document is read whole.
DOCUMENT_BYTES_MAX: Final = 64 << 20
#: Rows of columnar files that are read at once.
BATCH_ROWS: Final = 65_536
#: Values of one piece are handed on in batches of about this many, so that rows of many columns stay bounded.
READINGS_AT_ONCE: Final = 250_000
#: A column is numbers (or booleans) if more than this part of its cells are; the others are then refused.
MAJORITY: Final = 0.5
#: Of the cells of a column of times, at least this part reads as one.
TIMES_SHARE: Final = 0.9
#: Rows of a sample that share their time with another, from which on the time alone is no key.
SHARED_TIMES_MAX: Final = 0.05
#: Times remembered to count those that come again; rows beyond are only compared with the one before.
TIMES_COUNTED_MAX: Final = 8_000_000
#: Epoch numbers are believed between these seconds (1990 and 2100) when a column of times is looked for.
BELIEVED_S: Final = (631_152_000, 4_102_444_800)
#: Objects within one another whose members become properties of their own.
FLATTENED_MAX: Final = 16
