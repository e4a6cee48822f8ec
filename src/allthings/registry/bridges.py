"""Bridges: other brokers that messages are exchanged with, and which. Thread-safe."""

from __future__ import annotations

import re
import secrets
import ssl
from dataclasses import dataclass
from typing import Final, Literal, cast
from urllib.parse import urlsplit

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from allthings.mqtt.errors import MqttError
from allthings.mqtt.filters import check_topic_filter
from allthings.registry.counters import BRIDGES, count
from allthings.registry.database import Database
from allthings.registry.schema import BridgeRow, CounterRow
from allthings.registry.sealing import Sealing, Secret
from allthings.registry.settings import BRIDGE_CA_MAX, BRIDGE_MAPS_MAX, BRIDGE_TEXT_MAX, BRIDGES_MAX
from allthings.things.errors import BadInputError, ConflictError, LimitExceededError, NotFoundError

Direction = Literal["in", "out"]
Version = Literal["5", "3.1.1"]
SCHEMES: Final = {"mqtt": 1883, "mqtts": 8883}

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class TopicMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which messages cross, in one direction, and what becomes of their topics.

    `in`: messages of the other broker that `filter` matches are published here; `out`: ours are published there. From
    the topic `strip` (how it must begin) is taken away, and `prefix` is put before the rest. `qos` is the highest that
    is used; `retain` says whether retained messages stay retained.
    """

    direction: Direction
    filter: str
    prefix: str = ""
    strip: str = ""
    qos: int = 1
    retain: bool = True


@dataclass(frozen=True)
class Bridge:
    """`id` stays for ever, `name` is how people call it. `version` is of MQTT; `ca`: who signs (PEM, "": the system's);
    `certificate` and `key`: files that it shows itself with ("": none, or both in one).

    `password` is for the bridge alone: it is never shown.
    """

    name: str
    id: str
    url: str
    version: Version
    user: str
    password: Secret
    ca: str
    certificate: str
    key: str
    maps: tuple[TopicMap, ...]
    enabled: bool
    created_ns: int
    modified_ns: int

    def __repr__(self) -> str:
        return f"Bridge({self.name!r}, {self.url!r})"

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        address = urlsplit(self.url)
        return address.port or SCHEMES[address.scheme]

    @property
    def tls(self) -> bool:
        return self.url.startswith("mqtts:")


@dataclass(frozen=True)
class BridgeSettings:
    """What a person says of a bridge. `password` None keeps the one there is."""

    url: str
    maps: tuple[TopicMap, ...]
    version: Version = "5"
    user: str = ""
    password: str | None = None
    ca: str = ""
    certificate: str = ""
    key: str = ""
    enabled: bool = True


class Bridges:
    def __init__(self, database: Database, sealing: Sealing) -> None:
        self._database = database
        self._sealing = sealing

    def version(self) -> int:
        """Grows with every change of any bridge. Cheap."""
        with self._database.read() as session:
            return session.execute(sa.select(CounterRow.value).where(CounterRow.name == BRIDGES)).scalar_one()

    def list(self) -> list[Bridge]:
        """All bridges by name."""
        with self._database.read() as session:
            return [self._bridge(row) for row in session.scalars(sa.select(BridgeRow).order_by(BridgeRow.name))]

    def get(self, name: str) -> Bridge:
        """Raises NotFoundError."""
        with self._database.read() as session:
            return self._bridge(_require(session, name))

    def create(self, name: str, wanted: BridgeSettings, now_ns: int) -> Bridge:
        """Raises BadInputError, ConflictError if the name is taken, LimitExceededError."""
        if not _NAME.fullmatch(name):
            raise BadInputError(f"{name[:64]!r} is no name of a bridge: 1 to 64 letters, digits, _ and -")
        _check(wanted)

        def change(session: Session) -> Bridge:
            count(session, BRIDGES)
            if session.get(BridgeRow, name):
                raise ConflictError(f"there is a bridge {name} already: remove it, or choose another name")
            if session.execute(sa.select(sa.func.count()).select_from(BridgeRow)).scalar_one() >= BRIDGES_MAX:
                raise LimitExceededError(f"there are {BRIDGES_MAX} bridges already")
            row = BridgeRow(name=name, id=secrets.token_hex(8), password="", created_ns=now_ns)
            self._write(row, wanted, now_ns)
            session.add(row)
            return self._bridge(row)

        return self._database.write(change)

    def replace(self, name: str, wanted: BridgeSettings, now_ns: int) -> Bridge:
        """Raises NotFoundError, BadInputError."""
        _check(wanted)

        def change(session: Session) -> Bridge:
            count(session, BRIDGES)
            row = _require(session, name)
            if row.password and wanted.password is None and wanted.url != row.url:
                raise BadInputError("password: give it again, since the bridge would tell it to another address")
            self._write(row, wanted, now_ns)
            return self._bridge(row)

        return self._database.write(change)

    def remove(self, name: str) -> Bridge:
        """What it was. Raises NotFoundError."""

        def change(session: Session) -> Bridge:
            count(session, BRIDGES)
            row = _require(session, name)
            session.delete(row)
            return self._bridge(row)

        return self._database.write(change)

    def _write(self, row: BridgeRow, wanted: BridgeSettings, now_ns: int) -> None:
        row.url, row.version, row.user, row.ca = wanted.url, wanted.version, wanted.user, wanted.ca
        row.certificate, row.key = wanted.certificate, wanted.key
        row.maps = msgspec.json.encode(wanted.maps).decode()
        row.enabled, row.modified_ns = wanted.enabled, now_ns
        if wanted.password is not None:
            row.password = self._sealing.seal(wanted.password, _context(row)) if wanted.password else ""

    def _bridge(self, row: BridgeRow) -> Bridge:
        return Bridge(
            name=row.name,
            id=row.id,
            url=row.url,
            version=cast(Version, row.version),
            user=row.user,
            password=Secret(row.password, _context(row), self._sealing),
            ca=row.ca,
            certificate=row.certificate,
            key=row.key,
            maps=msgspec.json.decode(row.maps, type=tuple[TopicMap, ...]),
            enabled=row.enabled,
            created_ns=row.created_ns,
            modified_ns=row.modified_ns,
        )


def _context(row: BridgeRow) -> str:
    """Whose password it is, and to whom it may be told (migration 0005)."""
    return f"bridge {row.id} {row.url}"


def _check(wanted: BridgeSettings) -> None:
    for what, text in (("url", wanted.url), ("user", wanted.user), ("password", wanted.password or "")):
        if len(text) > BRIDGE_TEXT_MAX or "\x00" in text:
            raise BadInputError(f"{what}: at most {BRIDGE_TEXT_MAX} characters, and no NUL")
    _check_url(wanted.url)
    if wanted.version not in ("5", "3.1.1"):
        raise BadInputError(f"version: 5 or 3.1.1, not {str(wanted.version)[:16]!r}")
    if wanted.ca:
        if len(wanted.ca) > BRIDGE_CA_MAX:
            raise BadInputError(f"ca: at most {BRIDGE_CA_MAX} characters")
        try:
            ssl.create_default_context(cadata=wanted.ca)
        except (ssl.SSLError, ValueError) as error:
            raise BadInputError(f"ca: no certificates in PEM: {error}") from None
    _check_files(wanted)
    if not 1 <= len(wanted.maps) <= BRIDGE_MAPS_MAX:
        raise BadInputError(f"maps: 1 to {BRIDGE_MAPS_MAX} of them say what crosses the bridge")
    for number, each in enumerate(wanted.maps):
        try:
            _check_map(each)
        except (BadInputError, MqttError, UnicodeEncodeError) as error:
            raise BadInputError(f"maps/{number}: {error}") from None


def _check_files(wanted: BridgeSettings) -> None:
    for what, path in (("certificate", wanted.certificate), ("key", wanted.key)):
        if path and (not path.startswith("/") or len(path) > BRIDGE_TEXT_MAX or "\x00" in path):
            raise BadInputError(f"{what}: the absolute path of a file on the platform's machine, not {path[:64]!r}")
    if wanted.key and not wanted.certificate:
        raise BadInputError("key: there is no certificate for it")
    if wanted.certificate and not wanted.url.startswith("mqtts:"):
        raise BadInputError("certificate: only for mqtts://")


def _check_url(url: str) -> None:
    try:
        address = urlsplit(url)
        port = address.port
    except ValueError as error:
        raise BadInputError(f"url: {error}") from None
    if address.scheme not in SCHEMES or not address.hostname or port == 0 or address.path not in ("", "/"):
        raise BadInputError(f"url: mqtt://host:1883 or mqtts://host:8883, not {url[:64]!r}")
    if address.username is not None or address.password is not None or address.query or address.fragment:
        raise BadInputError("url: only scheme, host and port; user and password have members of their own")


def _check_map(each: TopicMap) -> None:
    if each.direction not in ("in", "out"):
        raise BadInputError(f"direction: in or out, not {str(each.direction)[:16]!r}")
    if each.qos not in (0, 1):
        # A position in the log, and acknowledgements after it, deliver at least once: QoS 2 would promise more.
        raise BadInputError(f"qos: 0 or 1, not {each.qos}: a bridge delivers at least once")
    for what, text in (("filter", each.filter), ("prefix", each.prefix), ("strip", each.strip)):
        if len(text.encode()) > BRIDGE_TEXT_MAX or "\x00" in text:
            raise BadInputError(f"{what}: at most {BRIDGE_TEXT_MAX} bytes, and no NUL")
    if each.filter.startswith("$"):
        raise BadInputError("filter: what begins with $ is of one broker and does not cross a bridge")
    check_topic_filter(each.filter, shared=False)
    if "+" in each.prefix or "#" in each.prefix or each.prefix.startswith("$"):
        raise BadInputError(f"prefix: {each.prefix[:64]!r} has a wildcard, or begins with $")
    if not each.filter.startswith(each.strip) or "+" in each.strip or "#" in each.strip:
        raise BadInputError(f"strip: {each.strip[:64]!r} is not how every topic of {each.filter[:64]!r} begins")
    if each.strip == each.filter and not each.prefix:
        raise BadInputError("strip: nothing would be left of the topic")


def _require(session: Session, name: str) -> BridgeRow:
    row = session.get(BridgeRow, name) if _NAME.fullmatch(name) else None
    if row is None:
        raise NotFoundError(f"there is no bridge {name[:64]!r}")
    return row
