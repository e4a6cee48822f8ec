"""The request that opens a WebSocket for MQTT (RFC 6455 section 4.2, MQTT 5 section 6)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final

from litestar.datastructures import Headers

from allthings.things.errors import AllthingsError, NotFoundError, UnavailableError
from allthings.web import settings
from allthings.web.auth import check_host, check_origin
from allthings.web.errors import BadUpgradeError
from allthings.web.problems import MEDIA_TYPE, TYPE_PREFIX
from allthings.web.values import dumps

PATH: Final = "/mqtt"
#: MQTT 3.1 had a name of its own.
SUBPROTOCOLS: Final = ("mqtt", "mqttv3.1")
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION: Final = "13"
_REASONS: Final = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 503: "Service Unavailable"}


def accept(head: bytes, is_open: bool, others: int) -> bytes:
    """The answer that opens the WebSocket which the request `head` asks for; `others` are open already.

    In open mode nobody asks for credentials: then only our own pages and programs of this machine may come in, as for
    everything else that changes something. Raises AllthingsError.
    """
    request, _, rest = head.partition(b"\r\n")
    target = request.split(b" ")[1].partition(b"?")[0].decode("latin-1")
    pairs = [line.partition(b":")[::2] for line in rest.split(b"\r\n") if line]
    headers = Headers([(name.lower(), value.strip()) for name, value in pairs])
    if target != PATH:
        raise NotFoundError(f"no WebSocket is served at {target[:100]}; MQTT is at {PATH}")
    if not request.startswith(b"GET ") or headers.get("sec-websocket-version") != _VERSION:
        raise BadUpgradeError(f"a GET with Sec-WebSocket-Version: {_VERSION} opens a WebSocket")
    key = headers.get("sec-websocket-key", "").encode("latin-1")
    if not _is_key(key):
        raise BadUpgradeError("Sec-WebSocket-Key must be 16 bytes in base64 (RFC 6455 section 4.1)")
    offered = [name.strip() for value in headers.getall("sec-websocket-protocol", []) for name in value.split(",")]
    taken = next((name for name in SUBPROTOCOLS if name in offered), None)
    if taken is None:
        raise BadUpgradeError(f"Sec-WebSocket-Protocol must offer {SUBPROTOCOLS[0]} [MQTT-6.0.0-3]")
    if is_open:
        check_host(headers)
        check_origin(headers)
    if others >= settings.WEBSOCKETS_MAX:
        raise UnavailableError(f"{settings.WEBSOCKETS_MAX} WebSockets are open, which is the limit; try again later")
    answer = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest()).decode()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {answer}\r\nSec-WebSocket-Protocol: {taken}\r\n\r\n"
    ).encode()


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def refuse(error: AllthingsError) -> bytes:
    """The answer to a request that opens nothing: problem details, as everywhere."""
    members = {"type": TYPE_PREFIX + error.type, "title": error.title, "status": error.status, "detail": error.detail}
    body = dumps(members)
    return (
        f"HTTP/1.1 {error.status} {_REASONS.get(error.status, 'Refused')}\r\nContent-Type: {MEDIA_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\nSec-WebSocket-Version: {_VERSION}\r\nCache-Control: no-store\r\n"
        "Connection: close\r\n\r\n"
    ).encode() + body
