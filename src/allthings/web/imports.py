"""`/api/imports`: files of readings as people have them. What is in one, and its readings, durable when answered."""

from __future__ import annotations

import asyncio
import io
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from typing import IO, Annotated, Any, Final

import msgspec
import pyarrow as pa
from litestar import Request, post
from litestar.params import QueryParameter

from allthings.log import block
from allthings.readings.files import Options, Reading, Understood, understand, understand_file
from allthings.readings.files.piece import Piece
from allthings.readings.files.settings import SPOOLED_BYTES_MAX
from allthings.readings.files.sources import STREAMED, Head, open_stream, pieces_of
from allthings.readings.model import Model
from allthings.readings.upload import split
from allthings.registry import SeenProperty
from allthings.things.errors import AllthingsError, BadInputError, LimitExceededError
from allthings.things.times import format_time
from allthings.things.types import Kind
from allthings.web import settings
from allthings.web.errors import TimedOutError
from allthings.web.openapi import describe
from allthings.web.services import Given, Services
from allthings.web.upload import RejectedRow, Uploads, append

_THINGS_LISTED_MAX: Final = 100
#: Batches that wait for the log while the next piece is read.
_WAITING_MAX: Final = 2
#: Bytes of a file that are handed to its reader at once.
_FED_BYTES: Final = 1 << 20

FileName = Annotated[str, QueryParameter(max_length=512, description="The file's name")]
Said = Annotated[
    str,
    QueryParameter(
        name="options",
        max_length=16_384,
        description="What is said of the file, as JSON: thing, time_column, time_format, day_first, zone, …",
    ),
]


class Preview(msgspec.Struct):
    """What was understood, and the options with what was decided in them: send these with the import."""

    understood: Understood
    options: Options


class Imported(msgspec.Struct):
    """What became of a file. `absent`: by header, cells that are no values; `replaced`: rows whose time a later row
    has, so that its values stand; `position`: the place in the log up to which to wait to see it."""

    rows: int
    accepted: int
    rejected: list[RejectedRow]
    rejected_total: int
    absent: dict[str, int]
    replaced: int
    things: list[str]
    things_total: int
    first: str | None
    last: str | None
    said: list[str]
    position: str


_UNDERSTOOD: Final = {
    "understood": {
        "form": "csv",
        "shape": "wide",
        "thing": "pump-7",
        "columns": [
            {"header": "Date", "name": "Date", "role": "time", "kind": "text", "unit": "", "empty": 0.0},
            {"header": "p [bar]", "name": "p", "role": "value", "kind": "number", "unit": "bar", "empty": 0.01},
        ],
        "moment": {"columns": [0], "form": "abc", "order": "dmy", "pattern": "", "zone": "Europe/Berlin"},
        "dialect": {
            "encoding": "utf-8", "delimiter": ";", "decimal": ",", "thousands": "", "header": True, "skip": 1,
        },
        "first": "2026-01-01T00:00:00Z",
        "last": "2026-11-22T08:30:00Z",
        "period_s": 600.0,
        "rows": 20000,
        "whole": False,
        "said": ["the day stands first, since the other order has a month above 12"],
        "questions": [],
        "preview": [["01.01.2026 00:00", "2,31"]],
        "zone_by": "option",
    },
    "options": {"day_first": True, "zone": "Europe/Berlin"},
}  # fmt: skip
_IMPORTED: Final = {
    "rows": 46824,
    "accepted": 46820,
    "rejected": [{"row": 17, "reason": "property 'p': 'ERR' is no number"}],
    "rejected_total": 1,
    "absent": {"p [bar]": 3},
    "replaced": 0,
    "things": ["pump-7"],
    "things_total": 1,
    "first": "2026-01-01T00:00:00Z",
    "last": "2026-11-22T08:30:00Z",
    "said": ["the day stands first, since the other order has a month above 12"],
    "position": "4947802324993",
}
_BODY: Final = {"application/octet-stream": "Date;p [bar]\n01.01.2026 00:00;2,31\n"}


@post(
    "/api/imports/preview",
    status_code=200,
    request_max_body_size=settings.UPLOAD_BYTES_MAX,
    summary="What is in a file",
    tags=["readings"],
    opt=describe(request=_BODY, example=_UNDERSTOOD),
)
async def preview(
    request: Request[Any, Any, Any],
    services: Given,
    name: FileName = "",
    options: Said = "{}",
    head: Annotated[
        int | None, QueryParameter(ge=1, description="Bytes of the body that are the file's first; the rest its last")
    ] = None,
    whole: Annotated[bool, QueryParameter(description="The body is the whole file")] = False,
) -> Preview:
    """How a file of readings is understood, by its first megabytes and perhaps its last hundred kilobytes.

    Nothing is stored. What only a person can say is in `questions`.
    """
    said = _options(options)
    uploads: Uploads = request.app.state.uploads
    with uploads.place():
        body = await request.body()
        start, tail = (body, b"") if head is None or whole else (body[:head], body[head:])
        return await services.pools.uploads.run(_preview, services, start, tail, said, name, whole)


def _preview(services: Services, start: bytes, tail: bytes, options: Options, name: str, whole: bool) -> Preview:
    head = Head()
    head.feed(start)
    if whole and not head.full:
        head.finish()
    about: dict[str, Any] = {"name": name, "zone": services.settings.zone, "received_ns": services.clock()}
    if (form := head.form()) == "json":
        understood = understand_file(io.BytesIO(start), form, options, **about)
    else:
        sample = start if form in ("parquet", "arrow") else head.sample()
        understood = understand(sample, options, tail=tail, whole=head.whole, **about)
    return Preview(understood, decided(understood, options))


def decided(understood: Understood, options: Options) -> Options:
    """The options with what the end of the file decided, so that its beginning alone is understood in the same way."""
    moment = understood.moment
    if moment is None:
        return options
    changed: dict[str, Any] = {}
    if moment.order in ("dmy", "mdy") and not any(one.option == "day_first" for one in understood.questions):
        changed["day_first"] = moment.order == "dmy"
    if moment.zone:
        changed["zone"] = moment.zone
    return msgspec.structs.replace(options, **changed)


@post(
    "/api/imports",
    status_code=200,
    request_max_body_size=settings.IMPORT_BYTES_MAX,
    summary="Import a file",
    tags=["readings"],
    opt=describe(request=_BODY, example=_IMPORTED),
)
async def import_file(
    request: Request[Any, Any, Any], services: Given, name: FileName = "", options: Said = "{}"
) -> Imported:
    """The readings of a file of any size: CSV and its kin, NDJSON, JSON, Parquet, Arrow; text also packed with gzip.

    Everything that is accepted is on disk when this answers. Rows and cells that had to be left are listed (the first
    hundred) and counted. A file that leaves a question open is refused, and nothing of it is stored. Doing it again
    doubles nothing.
    """
    said = _options(options)
    uploads: Uploads = request.app.state.uploads
    with uploads.place():
        return await _Import(services, said, name).run(_chunks(request))


def _options(text: str) -> Options:
    try:
        return msgspec.json.decode(text, type=Options)
    except msgspec.DecodeError as error:
        raise BadInputError(f"options: {error}") from None


async def _chunks(request: Request[Any, Any, Any]) -> AsyncIterator[bytes]:
    """The body as it arrives; a client that falls silent is given up. Raises TimedOutError."""
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(settings.IMPORT_SILENCE_S_MAX):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise TimedOutError(f"nothing of the file arrived within {settings.IMPORT_SILENCE_S_MAX:g} s") from None
        if chunk is None:
            return
        if chunk:
            yield chunk


class _Import:
    """One file on its way into the log. While a batch is appended the next piece is read."""

    def __init__(self, services: Services, options: Options, name: str) -> None:
        self._services = services
        self._options = options
        self._about: dict[str, Any] = {"name": name, "zone": services.settings.zone, "received_ns": services.clock()}
        self._position = 0

    async def run(self, chunks: AsyncIterator[bytes]) -> Imported:
        """The whole file. Raises BadInputError, also when a question is left open."""
        head = Head()
        async for chunk in chunks:
            await self._call(head.feed, chunk)
            if head.full:
                break
        else:
            await self._call(head.finish)
        form = "csv" if self._options.delimiter else head.form()
        if form in STREAMED:
            sample = head.sample()
            understood = await self._call(lambda: understand(sample, self._options, whole=head.whole, **self._about))
            return await self._read(understood, self._streamed(understood, head, chunks))
        with tempfile.TemporaryFile(dir=self._services.settings.data_dir) as file:
            await self._spool(file, head, chunks)
            understood = await self._call(lambda: understand_file(file, form, self._options, **self._about))
            return await self._read(understood, self._whole(understood, file))

    async def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await self._services.pools.uploads.run(function, *arguments)

    async def _spool(self, file: IO[bytes], head: Head, chunks: AsyncIterator[bytes]) -> None:
        """Put a file on disk that is not read as it arrives. Raises LimitExceededError."""
        await self._call(file.write, head.raw)
        size = len(head.raw)
        async for chunk in chunks:
            size += len(chunk)
            if size > SPOOLED_BYTES_MAX:
                raise LimitExceededError(
                    f"more than {SPOOLED_BYTES_MAX:,} bytes in one file of this form: import it in parts"
                )
            await self._call(file.write, chunk)
        await self._call(file.seek, 0)

    async def _streamed(
        self, understood: Understood, head: Head, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[Iterator[tuple[Piece, list[str] | None]]]:
        stream = open_stream(understood)

        def pieces(found: Iterator[Piece]) -> Iterator[tuple[Piece, list[str] | None]]:
            return ((piece, stream.names) for piece in found)

        yield pieces(stream.feed(bytes(head.raw)))
        head.raw.clear()
        waiting = bytearray()
        async for chunk in chunks:
            waiting += chunk
            if len(waiting) >= _FED_BYTES:
                yield pieces(stream.feed(bytes(waiting)))
                waiting.clear()
        yield pieces(stream.feed(bytes(waiting)))
        yield pieces(stream.finish())

    async def _whole(
        self, understood: Understood, file: IO[bytes]
    ) -> AsyncIterator[Iterator[tuple[Piece, list[str] | None]]]:
        yield pieces_of(file, understood)

    async def _read(
        self, understood: Understood, sources: AsyncIterator[Iterator[tuple[Piece, list[str] | None]]]
    ) -> Imported:
        if understood.questions:
            raise BadInputError(
                "; ".join(question.text for question in understood.questions),
                questions=[msgspec.to_builtins(question) for question in understood.questions],
            )
        model = Model(self._services.registry.things.all_types())
        reading = Reading(understood, self._options, self._about["received_ns"], model)
        queue: asyncio.Queue[pa.RecordBatch | None] = asyncio.Queue(_WAITING_MAX)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._append_all(queue))
                async for source in sources:
                    batches = _batches(reading, source)
                    while (batch := await self._call(next, batches, None)) is not None:
                        await queue.put(batch)
                await queue.put(None)
        except* AllthingsError as errors:
            raise _first(errors) from None
        await self._tell_units(understood, reading)
        return _imported(understood, reading, self._position)

    async def _append_all(self, queue: asyncio.Queue[pa.RecordBatch | None]) -> None:
        while (batch := await queue.get()) is not None:
            for part in split(batch):
                await self._services.require_room()
                self._position = block.position(await append(self._services, part), part.num_rows - 1)

    async def _tell_units(self, understood: Understood, reading: Reading) -> None:
        """Put the units of headers into the descriptions, unless a person has written those."""
        units = [(column.name, column.unit) for column in understood.columns if column.unit and column.role == "value"]
        things = list(reading.tally.things)[:_THINGS_LISTED_MAX]
        seen = [
            SeenProperty(thing, name, Kind.NUMBER, position=self._position, unit=unit)
            for thing in things
            for name, unit in units
        ]
        if seen and understood.shape == "wide":
            await self._services.pools.registry.run(
                self._services.registry.things.observe, seen, self._services.clock()
            )


def _first(errors: BaseExceptionGroup[Any]) -> BaseException:
    """The first error of a group of groups."""
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _batches(reading: Reading, source: Iterator[tuple[Piece, list[str] | None]]) -> Iterator[pa.RecordBatch]:
    for piece, names in source:
        for taken in reading.take(piece, names):
            yield taken.readings


def _imported(understood: Understood, reading: Reading, position: int) -> Imported:
    tally, errors = reading.tally, reading.errors
    listed = sorted(errors.listed, key=lambda error: error.row)[: settings.UPLOAD_REJECTED_LISTED_MAX]
    return Imported(
        rows=tally.rows,
        accepted=tally.accepted,
        rejected=[RejectedRow(error.row, error.reason) for error in listed],
        rejected_total=errors.count,
        absent={name: count for name, count in tally.absent.items() if count},
        replaced=tally.repeated(),
        things=list(tally.things)[:_THINGS_LISTED_MAX],
        things_total=len(tally.things),
        first=None if tally.first_ns is None else format_time(tally.first_ns),
        last=None if tally.last_ns is None else format_time(tally.last_ns),
        said=list(understood.said),
        position=str(position),
    )


HANDLERS = [preview, import_file]
