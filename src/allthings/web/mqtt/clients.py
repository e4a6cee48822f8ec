"""`/api/mqtt/clients`: who is connected, which sessions wait for their clients, and sending one away."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Request, delete, get
from litestar.params import PathParameter, QueryParameter

from allthings.gateway.questions import (
    AskClient,
    AskClients,
    ClientAnswer,
    ClientsAnswer,
    ClientShown,
    ClientSort,
    Disconnect,
    Done,
)
from allthings.things.errors import NotFoundError
from allthings.things.times import format_time
from allthings.web import audit, settings
from allthings.web.auth import Identity
from allthings.web.mqtt.asking import ask, page, place
from allthings.web.openapi import describe
from allthings.web.paths import reference
from allthings.web.services import Given

_VERSIONS: Final = {3: "3.1", 4: "3.1.1", 5: "5"}
_CLIENT: Final[dict[str, Any]] = {
    "client": "pump-7-main",
    "owner": "thing:pump-7",
    "connected": True,
    "address": "192.0.2.7:51023",
    "version": "5",
    "since": "2026-11-22T08:30:00Z",
    "persistent": True,
    "expiry_s": 3600,
    "subscriptions": 1,
    "in_flight": 0,
    "queued": 0,
    "dropped": 0,
    "messages_in": 4711,
    "messages_out": 12,
    "rate_in": 1.2,
    "rate_out": 0.0,
}

ClientPath = Annotated[str, PathParameter(description="A client id, percent-encoded")]


class Client(msgspec.Struct):
    """One client. `owner` is `thing:NAME`, `user:NAME`, or empty; `since`: connected, or away, since.

    `expiry_s`: how long its session outlives the connection; `persistent` says whether it does. Rates are messages a
    second over the last seconds, null until they have been measured. `dropped` messages it did not take, or had no
    room for.
    """

    client: str
    owner: str
    connected: bool
    address: str | None
    version: str | None
    since: str
    persistent: bool
    expiry_s: int
    subscriptions: int
    in_flight: int
    queued: int
    dropped: int
    messages_in: int
    messages_out: int
    rate_in: float | None
    rate_out: float | None


class Clients(msgspec.Struct):
    """A page of clients; `total` match."""

    clients: list[Client]
    total: int
    next: str | None


class Subscription(msgspec.Struct):
    """One topic filter of a client with its options (MQTT 5 section 3.8.3.1)."""

    filter: str
    qos: int
    no_local: bool
    retain_as_published: bool
    identifier: int | None


class ClientDetail(msgspec.Struct):
    """A client with what the list leaves out.

    `will`: the topic of its will. `expired` messages were too old when their turn came, `too_large` ones larger than
    it takes.
    """

    client: Client
    subscriptions: list[Subscription]
    tenant: str | None
    certificate: str | None
    keep_alive_s: int
    will: str | None
    expired: int
    too_large: int


_SUBSCRIPTION: Final = {
    "filter": "things/pump-7/actions/#",
    "qos": 1,
    "no_local": False,
    "retain_as_published": False,
    "identifier": None,
}


@get(
    "/api/mqtt/clients",
    summary="Clients of the gateways",
    tags=["mqtt"],
    opt=describe(example={"clients": [_CLIENT], "total": 1, "next": None}),
)
async def list_clients(
    services: Given,
    search: Annotated[str, QueryParameter(max_length=256, description="In client id, owner or address")] = "",
    state_: Annotated[
        Literal["all", "connected", "away"],
        QueryParameter(name="state", description="away: persistent sessions without a client"),
    ] = "all",
    sort: Annotated[ClientSort, QueryParameter(description="What to sort by")] = "client",
    order: Annotated[Literal["asc", "desc"], QueryParameter(description="Which end comes first")] = "asc",
    limit: Annotated[int, QueryParameter(ge=1, le=settings.GATEWAY_PAGE_MAX)] = settings.PAGE_DEFAULT,
    next_: Annotated[str, QueryParameter(name="next", max_length=2_048)] = "",
) -> Clients:
    """Those that are connected, and persistent sessions whose clients are away. Rates come with the second question."""
    descending = order == "desc"
    question = AskClients(limit, search, state_, sort, descending, place(next_))
    answers = await ask(services, question, ClientsAnswer)
    # A client that has just moved from one gateway to another may still be away there.
    rows: dict[str, ClientShown] = {}
    for row in (row for answer in answers for row in answer.clients):
        if row.client not in rows or row.connected:
            rows[row.client] = row
    shown, more = page(list(rows.values()), lambda row: row.key, limit, descending=descending)
    return Clients([_shown(row) for row in shown], sum(answer.total for answer in answers), more)


@get(
    "/api/mqtt/clients/{client:str}",
    summary="One client",
    tags=["mqtt"],
    opt=describe(
        example={
            "client": _CLIENT,
            "subscriptions": [_SUBSCRIPTION],
            "tenant": "main",
            "certificate": None,
            "keep_alive_s": 60,
            "will": None,
            "expired": 0,
            "too_large": 0,
        }
    ),
)
async def get_client(client: ClientPath, services: Given) -> ClientDetail:
    """With its subscriptions."""
    name = reference(client)
    answers = [answer for answer in await ask(services, AskClient(name), ClientAnswer) if answer.client]
    answer = next((one for one in answers if one.client and one.client.connected), answers[0] if answers else None)
    if answer is None or answer.client is None:
        raise NotFoundError(f"no client {name[:128]!r} is connected, and no session waits for it")
    return ClientDetail(
        client=_shown(answer.client),
        subscriptions=[
            Subscription(each.filter, each.qos, each.no_local, each.retain_as_published, each.identifier or None)
            for each in answer.subscriptions
        ],
        tenant=answer.tenant or None,
        certificate=answer.certificate or None,
        keep_alive_s=answer.keep_alive_s,
        will=answer.will or None,
        expired=answer.expired,
        too_large=answer.too_large,
    )


@delete("/api/mqtt/clients/{client:str}", summary="Disconnect a client", tags=["mqtt"], opt=describe())
async def disconnect_client(
    request: Request[Identity, None, Any],
    client: ClientPath,
    services: Given,
    session: Annotated[
        Literal["keep", "end"], QueryParameter(description="end: forget its session, and what waits in it")
    ] = "keep",
) -> None:
    """MQTT 5 clients are told the reason code 0x98 (Administrative action). Most clients connect again."""
    name = reference(client)
    forget = session == "end"
    why = f"disconnected by {request.user.user}"
    if not any(answer.found for answer in await ask(services, Disconnect(name, forget, why), Done)):
        raise NotFoundError(f"no client {name[:128]!r} is connected, and no session waits for it")
    await audit.changed(request, services, "client-disconnected", name + (", session ended" if forget else ""))


def _shown(row: ClientShown) -> Client:
    return Client(
        client=row.client,
        owner=row.owner,
        connected=row.connected,
        address=row.address or None,
        version=_VERSIONS.get(row.version),
        since=format_time(row.since_ns),
        persistent=row.expiry_s > 0,
        expiry_s=row.expiry_s,
        subscriptions=row.subscriptions,
        in_flight=row.in_flight,
        queued=row.queued,
        dropped=row.dropped,
        messages_in=row.received,
        messages_out=row.sent,
        rate_in=None if row.received_rate is None else round(row.received_rate, 2),
        rate_out=None if row.sent_rate is None else round(row.sent_rate, 2),
    )


HANDLERS: Final[list[Any]] = [list_clients, get_client, disconnect_client]
