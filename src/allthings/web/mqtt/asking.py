"""Questions to all gateways, pages of what they answered, and payloads as JSON can hold them."""

from __future__ import annotations

import base64
import binascii
import codecs
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from allthings.gateway.questions import SUBJECT, Key, Question
from allthings.things.errors import BadInputError, UnavailableError
from allthings.web import settings
from allthings.web.services import Services

A = TypeVar("A")
R = TypeVar("R")
_KEYS: Final = msgspec.msgpack.Decoder(Key)


async def ask(services: Services, question: Question, kind: type[A]) -> list[A]:
    """What each gateway answers. Raises UnavailableError when none does."""
    answers = await services.log.ask(
        SUBJECT,
        msgspec.msgpack.encode(question),
        within_s=settings.GATEWAYS_ANSWER_S_MAX,
        replies=services.stats.gateways,
    )
    found = [msgspec.msgpack.decode(answer, type=kind) for answer in answers if answer]
    if not found:
        raise UnavailableError("no gateway answers; it may be starting, try again in a moment")
    return found


def page(rows: list[R], key: Callable[[R], Key], limit: int, *, descending: bool = False) -> tuple[list[R], str | None]:
    """The first `limit` rows in their order, and the cursor of the next page."""
    ordered = sorted(rows, key=key, reverse=descending)
    return ordered[:limit], cursor(key(ordered[limit - 1])) if len(ordered) > limit else None


def cursor(key: Key) -> str:
    """A place in a list as an opaque text."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(key)).decode().rstrip("=")


def place(next_: str) -> Key | None:
    """What `cursor` made; None for the first page. Raises BadInputError."""
    if not next_:
        return None
    try:
        found: Key = _KEYS.decode(base64.urlsafe_b64decode(next_ + "=" * (-len(next_) % 4)))
    except (binascii.Error, ValueError):
        raise BadInputError("next: this is no place in a list; take it from the page before") from None
    return found


def payload_text(payload: bytes) -> tuple[str, str | None]:
    """The beginning of a payload as text, and in base64 if it is no UTF-8."""
    try:
        # A character that was cut in the middle is no fault of the payload.
        return codecs.getincrementaldecoder("utf-8")().decode(payload), None
    except UnicodeDecodeError:
        return payload.decode(errors="replace"), base64.b64encode(payload).decode()
