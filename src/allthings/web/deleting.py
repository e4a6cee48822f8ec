"""`DELETE /api/history`: readings go for good; nothing of them comes back from the log."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, delete
from litestar.params import QueryParameter

from allthings.historian.deleting import Deleted
from allthings.historian.ingest import CONSUMER as HISTORIAN
from allthings.log import block
from allthings.registry import Deletion
from allthings.registry.deletions import NotedDeletion
from allthings.things.errors import BadInputError
from allthings.things.times import format_time
from allthings.web import audit, settings
from allthings.web.auth import Identity
from allthings.web.moments import parse_moment
from allthings.web.names import PropertyParameters, ThingParameters, property_names, thing_names
from allthings.web.openapi import describe
from allthings.web.removing import newest_position
from allthings.web.services import Given, Services

_EXAMPLE: Final = {"readings": 1440, "events": 0, "deleted": True}
_LOOK_EVERY_S: Final = 0.02


class DeletedHistory(msgspec.Struct):
    """How many readings and events were deleted or, where `deleted` is false, would be."""

    readings: int
    events: int
    deleted: bool


@delete(
    "/api/history",
    status_code=200,
    summary="Delete readings for good",
    tags=["history"],
    opt=describe(admins=True, example=_EXAMPLE),
)
async def delete_history(
    request: Request[Identity, Any, Any],
    services: Given,
    thing: ThingParameters = None,
    property_: PropertyParameters = None,
    from_: Annotated[
        str | None,
        QueryParameter(name="from", max_length=64, description="First time: RFC 3339, epoch, now, -15m, -7d"),
    ] = None,
    to: Annotated[str | None, QueryParameter(max_length=64, description="End, itself not included; as `from`")] = None,
    dry_run: Annotated[bool, QueryParameter(description="Only count")] = False,
) -> DeletedHistory:
    """Of the things named their readings, or those of some properties, or of a span of time; of whole things their
    events as well. Rollups, current values and every later answer follow before this answers. What is sent again
    afterwards is kept. A request names at least one thing."""
    things = await thing_names(services, thing)
    if not things:
        raise BadInputError("thing: name at least one thing, by name or id")
    now = services.clock()
    start = parse_moment(from_, now, "from") if from_ else None
    end = parse_moment(to, now, "to") if to else None
    if start is not None and end is not None and start >= end:
        raise BadInputError(f"from: {from_} is not before to, {to}")
    upto = await newest_position(services)
    wanted = Deletion(tuple(things), tuple(property_names(property_) or ()), start, end, upto)
    await _history_has(services, block.sequence(upto))
    found = await services.pools.history.run(services.history.count_deletion, wanted)
    if not dry_run:
        id_ = await services.pools.registry.run(services.registry.deletions.note, wanted, now)
        # Before it begins: what is cut off is ended at the next start, when nobody knows who asked.
        await audit.changed(request, services, "history-deleted", _told(wanted, found))
        found = await carry_out(services, NotedDeletion(id_, wanted, done=False))
    return DeletedHistory(found.readings, found.events, not dry_run)


async def carry_out(services: Services, noted: NotedDeletion) -> Deleted:
    """Make a deletion that was noted; may be done again. Raises HistorianUnavailableError, and is still to be made."""
    found = await services.pools.deletions.run(services.history.delete, noted.deletion)
    await services.pools.registry.run(services.registry.deletions.done, noted.id)
    series = services.twin.delete(noted.deletion)
    removals = await services.pools.registry.run(services.registry.removals.all)
    for start in range(0, len(series), settings.RESTORED_AT_ONCE):
        chunk = series[start : start + settings.RESTORED_AT_ONCE]
        services.twin.restore(await services.pools.history.run(services.history.current, chunk, removals=removals))
    return found


async def _history_has(services: Services, sequence: int) -> None:
    """Wait until the history has taken in the log up to a block, so that all is counted; but not for long: what it
    takes in later is left out all the same."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(settings.DELETION_WAIT_S):
            while await services.log.position(HISTORIAN) < sequence:  # noqa: ASYNC110 - others than we may move it
                await asyncio.sleep(_LOOK_EVERY_S)


def _told(wanted: Deletion, found: Deleted) -> str:
    """For the audit list: how many of what. Long lists of names are cut off there, so numbers come first."""
    span = " ".join(
        f"{word} {format_time(time)}"
        for word, time in (("from", wanted.start_ns), ("to", wanted.end_ns))
        if time is not None
    )
    what = ", ".join(wanted.properties) or "all properties"
    return (
        f"{found.readings} readings, {found.events} events {span or 'of all time'}: {', '.join(wanted.things)}: {what}"
    )


HANDLERS = [delete_history]
