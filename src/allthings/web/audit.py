"""`/api/audit`: what was refused to whom, and who changed what may be done."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Request, get
from litestar.params import FromQuery, QueryParameter

from allthings.registry.audit import CHANGE, REFUSAL, Area, AuditEntry
from allthings.things.times import format_time
from allthings.web import settings
from allthings.web.auth import Identity
from allthings.web.openapi import describe
from allthings.web.services import Given, Services

_EXAMPLE: Final = {
    "id": "17",
    "time": "2026-11-22T08:30:00Z",
    "area": "refusal",
    "kind": "publish-refused",
    "who": "pump-7",
    "client": "pump-7-main",
    "address": "192.0.2.7:51023",
    "what": "things/pump-8/properties",
    "why": "pump-7 may not publish to things/pump-8/properties",
    "repeated": 0,
}


class Entry(msgspec.Struct):
    """One refusal or change. `repeated`: how often the same happened again within the minute."""

    id: str
    time: str
    area: str
    kind: str
    who: str
    client: str
    address: str
    what: str
    why: str
    repeated: int


class AuditPage(msgspec.Struct):
    """Entries, newest first."""

    entries: list[Entry]
    next: str | None


@get(
    "/api/audit",
    summary="The audit list, newest first",
    tags=["access"],
    opt=describe(admins=True, example={"entries": [_EXAMPLE], "next": None}),
)
async def list_audit(
    services: Given,
    limit: Annotated[int, QueryParameter(ge=1, le=settings.PAGE_MAX)] = settings.PAGE_DEFAULT,
    next_: Annotated[str, QueryParameter(name="next", max_length=64)] = "",
    area: FromQuery[Literal["refusal", "change"] | None] = None,
    kind: Annotated[str | None, QueryParameter(max_length=64, description="Only this kind")] = None,
    who: Annotated[str | None, QueryParameter(max_length=512, description="Only of this thing or user")] = None,
) -> AuditPage:
    """Refused logins, publishes and subscriptions; tokens, passwords, users, rules and quotas that were changed."""
    list_ = services.registry.audit.list
    page = await services.pools.registry.run(list_, limit, next_, area=area, kind=kind, who=who)
    return AuditPage([_shown(entry) for entry in page.entries], page.next or None)


async def changed(request: Request[Identity, Any, Any], services: Services, kind: str, what: str) -> None:
    """The person or program that asks has changed something: note it."""
    await _add(services, CHANGE, kind, request.user.user, address(request), what, "")


async def login_failed(request: Request[Any, Any, Any], services: Services, user: str, why: str) -> None:
    """Somebody could not show to be this user."""
    await _add(services, REFUSAL, "login-failed", user, address(request), "console", why)


def address(request: Request[Any, Any, Any]) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else ""


async def _add(services: Services, area: Area, kind: str, who: str, address: str, what: str, why: str) -> None:
    entry = AuditEntry(services.clock(), area, kind, who, address, what, why)
    await services.pools.registry.run(services.registry.audit.add, [entry])


def _shown(entry: AuditEntry) -> Entry:
    return Entry(
        id=str(entry.id),
        time=format_time(entry.time_ns),
        area=entry.area,
        kind=entry.kind,
        who=entry.who,
        client=entry.client,
        address=entry.address,
        what=entry.what,
        why=entry.why,
        repeated=entry.repeated,
    )


HANDLERS = [list_audit]
