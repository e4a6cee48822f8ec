"""What the web application asks all gateways through the log, and what each of them answers: MessagePack.

Lists are sorted by a key and the name that it belongs to. `after` is the last such pair of the page before; a page has
one row more than `limit` when there is another one. Who asks several gateways merges their rows by the same pair.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

#: The subject of questions (Log.ask).
SUBJECT: Final = "gateways"

Key = tuple[float | str, str]

ClientSort = Literal[
    "client",
    "owner",
    "address",
    "since",
    "subscriptions",
    "in_flight",
    "queued",
    "dropped",
    "received_rate",
    "sent_rate",
]
TopicSort = Literal["name", "messages", "rate"]


class AskClients(msgspec.Struct, tag="clients", frozen=True):
    """Clients that are connected, and persistent sessions that are away. `search`: in client id, owner or address."""

    limit: int
    search: str = ""
    state: Literal["all", "connected", "away"] = "all"
    sort: ClientSort = "client"
    descending: bool = False
    after: Key | None = None


class AskClient(msgspec.Struct, tag="client", frozen=True):
    """One client with its subscriptions."""

    client: str


class Disconnect(msgspec.Struct, tag="disconnect", frozen=True):
    """Close a client's connection; `forget`: end its session too, with all that waits in it."""

    client: str
    forget: bool
    why: str


class AskTopics(msgspec.Struct, tag="topics", frozen=True):
    """The levels below `prefix`, which is empty or ends with a slash.

    With `search` the topics below it, on whatever level, that have it in their names.
    """

    prefix: str
    limit: int
    search: str = ""
    sort: TopicSort = "name"
    descending: bool = False
    after: Key | None = None


class AskRetained(msgspec.Struct, tag="retained", frozen=True):
    """Retained messages whose topics match a filter, by topic."""

    filter: str
    limit: int
    after: str = ""


Question = AskClients | AskClient | Disconnect | AskTopics | AskRetained


class ClientShown(msgspec.Struct):
    """One client. `since_ns`: connected, or away, since; rates a second, None until they have been measured.

    `received` are the client's messages on this connection, `sent` those that went to it. `expiry_s` 0: its session
    ends with the connection.
    """

    key: Key
    client: str
    owner: str
    connected: bool
    address: str
    version: int
    since_ns: int
    expiry_s: int
    subscriptions: int
    in_flight: int
    queued: int
    dropped: int
    received: int
    sent: int
    received_rate: float | None
    sent_rate: float | None


class SubscriptionShown(msgspec.Struct):
    """One subscription of a client; `identifier` 0 means none."""

    filter: str
    qos: int
    no_local: bool
    retain_as_published: bool
    identifier: int


class ClientsAnswer(msgspec.Struct):
    """`total`: how many there are that match."""

    clients: list[ClientShown]
    total: int


class ClientAnswer(msgspec.Struct):
    """A client in full, if this gateway has it."""

    client: ClientShown | None
    subscriptions: list[SubscriptionShown]
    tenant: str = ""
    certificate: str = ""
    keep_alive_s: int = 0
    will: str = ""
    expired: int = 0
    too_large: int = 0


class Done(msgspec.Struct):
    """Whether the client was there."""

    found: bool


class TopicShown(msgspec.Struct):
    """One level below the prefix. `messages`, `rate` (a second) and `last_ns` are sums with all levels under it.

    `topics`: how many there are, itself counted. The payload, cut to its beginning, is the newest on this very topic;
    `own_ns` is 0 when none came on it.
    """

    key: Key
    name: str
    topics: int
    children: int
    messages: int
    rate: float
    last_ns: int
    own_ns: int
    payload: bytes
    payload_bytes: int
    qos: int
    retained: bool


class TopicsAnswer(msgspec.Struct):
    """`total`: levels below the prefix that match; `topics`: in the whole tree; `unlisted`: no room was left for."""

    levels: list[TopicShown]
    total: int
    topics: int
    unlisted: int


class RetainedShown(msgspec.Struct):
    """A retained message, its payload cut to its beginning. `expires_ns` 0: never."""

    topic: str
    payload: bytes
    payload_bytes: int
    qos: int
    received_ns: int
    expires_ns: int
    position: int


class RetainedAnswer(msgspec.Struct):
    """`total`: how many there are that match."""

    messages: list[RetainedShown]
    total: int
