"""Files that commands write: whole, or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, NamedTuple

from allthings.cli.errors import InputFileError

#: The form that the end of a name tells.
FORMS: Final = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".parquet": "parquet", ".arrow": "arrow"}
#: Forms that are text, and worth packing.
_PACKED: Final = frozenset({"csv", "ndjson"})


class Form(NamedTuple):
    """What a file shall hold, and whether it is packed with gzip."""

    name: str
    packed: bool


def form_of(path: Path) -> Form:
    """The form that a file's name asks for. Raises InputFileError."""
    name = path.name.lower()
    packed = name.endswith(".gz")
    form = FORMS.get(Path(name.removesuffix(".gz")).suffix, "")
    if not form:
        raise InputFileError(
            f"{path}: the end of its name must tell its form: .csv, .ndjson (both also with .gz), .parquet or .arrow"
        )
    if packed and form not in _PACKED:
        raise InputFileError(f"{path}: {form} is not packed with gzip; leave .gz out (parquet is compressed already)")
    return Form(form, packed)


@contextmanager
def open_sink(output: Path | None, binary: bool) -> Iterator[IO[bytes]]:
    """The file, or standard output. A file appears under its name when all of it was written, and else not at all.

    Raises InputFileError for bytes onto a terminal, and for a file that cannot be written.
    """
    if output is None:
        if binary and sys.stdout.isatty():
            raise InputFileError("this format is not for a terminal: name a file with -o")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    # A device, a pipe: nothing that could take another's place.
    at_once = output.exists() and not output.is_file()
    # Behind a link lies the file that is meant.
    place = output.resolve()
    target = output if at_once else place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        with target.open("wb") as sink:
            yield sink
            if not at_once:
                sink.flush()
                os.fsync(sink.fileno())
        if not at_once:
            target.replace(place)
    except OSError as error:
        raise InputFileError(f"{output} cannot be written: {error.strerror or error}") from error
    finally:
        if not at_once:
            target.unlink(missing_ok=True)
