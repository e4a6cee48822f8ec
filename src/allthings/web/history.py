"""`/api/history`: readings, aggregates and plots of series over a span of time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from litestar import Request, Response, get
from litestar.params import QueryParameter
from litestar.response import Stream

from allthings.historian.aggregates import AGGREGATES
from allthings.historian.cancellation import Cancellation
from allthings.historian.errors import QueryLimitError
from allthings.historian.query import LTTB, HistoryQuery, Series
from allthings.historian.weight import is_quick
from allthings.things.calendar import Every
from allthings.things.errors import BadInputError, LimitExceededError
from allthings.things.types import PropertyType
from allthings.things.zones import UTC, find_zone
from allthings.web import points as json_points
from allthings.web import settings, tables
from allthings.web.answers import Patient, cut, sent
from allthings.web.askers import asker, unless_gone
from allthings.web.formats import MEDIA_TYPES, choose_format
from allthings.web.moments import parse_duration, parse_every, parse_moment
from allthings.web.names import PropertyParameters, ThingParameters, check_known, property_names, thing_names
from allthings.web.openapi import describe
from allthings.web.services import Given, Services

_EXAMPLE = {
    "series": [
        {
            "thing": "pump-7",
            "property": "pressure",
            "unit": "kPa",
            "columns": ["time", "value"],
            "points": [["2026-11-22T08:30:00Z", 231.5], ["2026-11-22T08:31:00Z", 232.0]],
        }
    ],
    "next": None,
}
_CSV = "thing,property,time,value,kind\npump-7,pressure,2026-11-22T08:30:00Z,231.5,number\n"
#: Answers with more rows than this leave in pieces, smaller ones whole.
_WHOLE_ROWS_MAX = 4 * tables.CHUNK_ROWS


class _Question(NamedTuple):
    """What is asked, and the form of the answer."""

    query: HistoryQuery
    form: str
    spreadsheet_safe: bool


class _Answer(NamedTuple):
    """The body, whole or in pieces, how many bytes it holds until it has left, and `next`."""

    body: bytes | Iterator[bytes]
    size: int
    next: str | None


@get(
    "/api/history",
    summary="What was",
    tags=["history"],
    opt=describe(
        answers={
            200: (
                "Readings, or aggregates. JSON has a list per series, the others one table. `Link` tells the next page",
                {
                    "application/json": _EXAMPLE,
                    "text/csv": _CSV,
                    MEDIA_TYPES["arrow"]: None,
                    MEDIA_TYPES["parquet"]: None,
                },
            )
        }
    ),
)
async def history(
    request: Request[Any, Any, Any],
    services: Given,
    thing: ThingParameters = None,
    property_: PropertyParameters = None,
    from_: Annotated[
        str | None,
        QueryParameter(name="from", max_length=64, description="First time: RFC 3339, epoch, now, -15m, -7d"),
    ] = None,
    to: Annotated[str | None, QueryParameter(max_length=64, description="End, itself not included; as `from`")] = None,
    every: Annotated[
        str | None, QueryParameter(max_length=16, description="Width of a bucket: 10s, 1m, 1h, 1d, 1w, 1mo, 1y")
    ] = None,
    zone: Annotated[
        str | None,
        QueryParameter(
            max_length=64,
            description="Whose days, weeks, months and hours `every` means, and the times that name no offset: a time "
            "zone's IANA name such as Europe/Berlin; UTC when left out",
        ),
    ] = None,
    aggregate: Annotated[
        list[str] | None,
        QueryParameter(description=f"{', '.join(AGGREGATES)}; several repeated or with commas; or lttb"),
    ] = None,
    hold: Annotated[
        str | None,
        QueryParameter(max_length=16, description="twa, duration: how long a value holds at most, such as 15m"),
    ] = None,
    rollover: Annotated[
        float | None, QueryParameter(gt=0, description="increase: the number at which a counter begins again at 0")
    ] = None,
    state_: Annotated[
        str | None,
        QueryParameter(name="state", max_length=1024, description="duration: only of this state, as a number"),
    ] = None,
    points: Annotated[
        int | None, QueryParameter(ge=3, le=settings.PLOT_POINTS_MAX, description="Points of a plot (lttb)")
    ] = None,
    limit: Annotated[
        int | None, QueryParameter(ge=1, le=settings.POINTS_MAX, description="Rows of each series; JSON: 10,000")
    ] = None,
    order: Annotated[Literal["asc", "desc"], QueryParameter(description="By time")] = "asc",
    next_: Annotated[str | None, QueryParameter(name="next", max_length=64)] = None,
    form: Annotated[
        str | None, QueryParameter(name="format", description="json, csv, arrow or parquet; wins over Accept")
    ] = None,
    spreadsheet_safe: Annotated[
        bool, QueryParameter(description="CSV: an apostrophe before texts that a spreadsheet would run as formulas")
    ] = False,
) -> Response[bytes] | Stream:
    """Readings of one or several series; with `every` or `aggregate` their aggregates; with `points` a plot's shape.

    Without a property: all properties of the thing. A request names at least one thing. 404: no such thing, or none of
    the things has such a property; one that is known and has no readings then has an empty answer.
    """
    chosen = choose_format(form, request.headers.get("accept", ""))
    if spreadsheet_safe and chosen != "csv":
        raise BadInputError(f"spreadsheet_safe: goes with format=csv, not with {chosen}")
    things = await thing_names(services, thing)
    if not things:
        raise BadInputError("thing: name at least one thing, by name or id")
    now = services.clock()
    place = _zone(zone) if zone else None
    width = parse_every(every) if every else None
    aggregates, plot_points = _aggregates(aggregate, points, width)
    query = HistoryQuery(
        series=_series(things, property_names(property_)),
        start_ns=parse_moment(from_, now, "from", place) if from_ else None,
        end_ns=parse_moment(to, now, "to", place) if to else None,
        every=width,
        aggregates=aggregates,
        points=plot_points,
        limit=limit or (settings.POINTS_DEFAULT if chosen == "json" else settings.POINTS_MAX),
        after=next_,
        descending=order == "desc",
        typed=chosen != "json",
        zone=place.key if place else UTC,
        now_ns=now,
        hold_ns=parse_duration(hold, "hold") if hold else None,
        rollover=rollover,
        state=state_,
    )
    question = _Question(query, chosen, spreadsheet_safe)
    answer = await unless_gone(request, _asked(asker(request), services, question))
    headers = {"Vary": "Accept"}
    if answer.next:
        headers["Link"] = _next_link(request, answer.next)
    if isinstance(answer.body, bytes) and answer.size <= settings.ANSWER_WHOLE_BYTES_MAX:
        return Response(answer.body, media_type=MEDIA_TYPES[chosen], headers=headers)
    pieces = cut(answer.body) if isinstance(answer.body, bytes) else answer.body
    return Patient(sent(services.pools, pieces, answer.size), media_type=MEDIA_TYPES[chosen], headers=headers)


def _series(things: list[str], properties: list[str] | None) -> tuple[tuple[str, str | None], ...]:
    names: list[str | None] = [*properties] if properties else [None]
    count = len(things) * len(names)
    if count > settings.SERIES_MAX:
        raise LimitExceededError(f"{count:,} series asked for, at most {settings.SERIES_MAX:,} at once")
    return tuple((thing, name) for thing in things for name in names)


def _zone(name: str) -> ZoneInfo:
    try:
        return find_zone(name)
    except BadInputError as error:
        raise BadInputError(f"zone: {error.detail}") from None


def _aggregates(given: list[str] | None, points: int | None, every: Every | None) -> tuple[tuple[str, ...], int | None]:
    """What to compute per bucket, or how many points a plot has. `every` alone means averages."""
    names = [name.strip() for one in given or [] for name in one.split(",") if name.strip()]
    if LTTB in names or (points is not None and not names and every is None):
        others = [name for name in names if name != LTTB]
        if others or every is not None:
            raise BadInputError("aggregate: lttb chooses readings; it goes with points, not with every or others")
        return (), points or 1_000
    if points is not None:
        raise BadInputError("points: goes with aggregate=lttb or alone")
    if every is not None and not names:
        names = ["avg"]
    return tuple(dict.fromkeys(names)), None


async def _asked(who: str, services: Services, question: _Question) -> _Answer:
    """What is quick goes its own way; what turns out not to be, and all else, waits for those that take long."""

    def ask(cancellation: Cancellation, *, quick: bool) -> _Answer:
        return _answer(services, question, quick, cancellation)

    if is_quick(question.query, services.clock()):
        with suppress(QueryLimitError):
            return await services.pools.quick.run(who, partial(ask, quick=True))
    return await services.pools.long.run(who, partial(ask, quick=False))


def _answer(services: Services, question: _Question, quick: bool, cancellation: Cancellation) -> _Answer:
    """Asks and encodes in one thread: whole when it is small, else in steps that the caller takes."""
    query = question.query
    answer = services.history.history(query, quick=quick, cancellation=cancellation)
    things = list(dict.fromkeys(thing for thing, _ in query.series))
    properties = list(dict.fromkeys(name for _, name in query.series if name is not None))
    check_known(services, things, properties, ((one.thing, one.property) for one in answer if one.table.num_rows))
    following = answer[0].next if answer else None
    small = sum(series.table.num_rows for series in answer) <= _WHOLE_ROWS_MAX
    if question.form == "json":
        pieces = json_points.json_answer(answer, _units(services, answer))
    else:
        table = tables.one_table(answer, query.aggregates or ("value",))
        if question.form == "parquet":
            return _whole(tables.parquet_file(table), following)
        if question.form == "csv":
            pieces = tables.csv_chunks(table, spreadsheet_safe=question.spreadsheet_safe)
        else:
            pieces = tables.arrow_chunks(table)
    if small:
        return _whole(b"".join(pieces), following)
    return _Answer(pieces, sum(series.table.nbytes for series in answer), following)


def _whole(body: bytes, following: str | None) -> _Answer:
    return _Answer(body, len(body), following)


def _units(services: Services, answer: list[Series]) -> dict[tuple[str, str], str]:
    types = services.registry.things.all_types()
    unknown = PropertyType()
    return {(one.thing, one.property): types.get(one.thing, {}).get(one.property, unknown).unit for one in answer}


def _next_link(request: Request[Any, Any, Any], following: str) -> str:
    """RFC 8288: the same request with the next place. Relative times are as they were asked; `next` moves on."""
    parameters = [(name, value) for name, value in request.query_params.multi_items() if name != "next"]
    return f'</api/history?{urlencode([*parameters, ("next", following)])}>; rel="next"'


HANDLERS = [history]
