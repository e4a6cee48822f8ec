"""A second decoder: one message at a time, with the standard library's JSON, straight from the rules.

It exists to disagree with the fast one.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from allthings.log import block
from allthings.readings.model import Model
from allthings.readings.settings import AHEAD_NS_MAX, NESTING_MAX
from allthings.things.errors import BadInputError
from allthings.things.names import valid_property_name, valid_thing_name
from allthings.things.times import parse_time
from allthings.things.types import Kind, PropertyType
from allthings.things.values import check_value
from tests.readings.blocks import Message, Row

_WHITE = " \t\r\n"


class BadError(Exception):
    pass


class Outcome:
    """What a block says: readings in order, rows that are rejects, events as (row, data), and unclaimed messages."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.rejects: set[int] = set()
        self.events: list[tuple[int, int, Any]] = []
        self.unclaimed = 0


def decode_slowly(messages: list[Message], model: Model, sequence: int) -> Outcome:
    outcome = Outcome()
    floors: dict[str, int] = {}
    for row, message in enumerate(messages):
        _message(outcome, floors, row, message, model, sequence)
    return outcome


def _message(outcome: Outcome, floors: dict[str, int], row: int, message: Message, model: Model, sequence: int) -> None:
    parts = message.topic.split("/")
    claimed = len(parts) >= 3 and parts[0] == "things" and parts[2] in ("properties", "events")
    if claimed and parts[2] == "events":
        claimed = len(parts) >= 4
    if not claimed or (not message.payload and message.flags & block.FLAG_RETAIN):
        outcome.unclaimed += 1
        return
    thing, name = parts[1], "/".join(parts[3:])
    found: dict[tuple[str, int], Any] = {}
    types = model.types.get(thing, {})
    try:
        if not valid_thing_name(thing):
            raise BadError
        if len(parts) > 3 and not valid_property_name(name):
            raise BadError
        untimed = max(message.received_ns, floors.get(thing, message.received_ns))
        if parts[2] == "events":
            value = _value(message.payload, False)
            _fits(value, None)
            timed = isinstance(value, dict) and "@time" in value
            time_ns = _time(value["@time"], message.received_ns) if timed else message.received_ns
            outcome.events.append((row, time_ns, value))
            return
        if len(parts) > 3:
            kind = types.get(name)
            value = _value(message.payload, kind is not None and kind.type == "string")
            found[name, untimed] = value
        else:
            _object(outcome, floors, row, message, thing, untimed, found)
    except BadError:
        outcome.rejects.add(row)
    for (property_, time_ns), value in found.items():
        try:
            kind = _fits(value, types.get(property_))
        except BadError:
            outcome.rejects.add(row)
            continue
        outcome.rows.append(
            Row(thing, property_, time_ns, value, kind, message.received_ns, block.position(sequence, row))
        )


def _object(
    outcome: Outcome,
    floors: dict[str, int],
    row: int,
    message: Message,
    thing: str,
    untimed: int,
    found: dict[tuple[str, int], Any],
) -> None:
    document = _json(_text(message.payload))
    if isinstance(document, list):
        if not document:
            raise BadError
        elements = document
    elif isinstance(document, dict):
        elements = [document]
    else:
        raise BadError
    for element in elements:
        try:
            if not isinstance(element, dict) or not element.keys() - {"@time"}:
                raise BadError
            good = {name: value for name, value in element.items() if valid_property_name(name) and name != "@time"}
            if good.keys() != element.keys() - {"@time"}:
                outcome.rejects.add(row)
            if "@time" in element:
                time_ns = _time(element["@time"], message.received_ns)
            else:
                time_ns = untimed
                if isinstance(document, list):
                    untimed += 1
                    floors[thing] = untimed
            for name, value in good.items():
                found.pop((name, time_ns), None)
                found[name, time_ns] = value
        except BadError:
            outcome.rejects.add(row)


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise BadError from None


def _json(text: str) -> Any:
    def refuse(_: str) -> Any:
        raise BadError

    def finite(text: str) -> float:
        if not math.isfinite(number := float(text)):
            raise BadError
        return number

    if text.startswith("\ufeff"):
        raise BadError
    try:
        value = json.loads(text, parse_constant=refuse, parse_float=finite)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise BadError from None
    return value


def _value(payload: bytes, as_text: bool) -> Any:
    text = _text(payload).strip(_WHITE)
    if not text:
        raise BadError
    if text[0] in '{["':
        return _json(text)
    if as_text and text != "null":
        return text
    try:
        return _json(text)
    except BadError:
        if as_text:
            return text
        if text.lstrip("+-").lower() in ("nan", "inf", "infinity") and len(text) - len(text.lstrip("+-")) <= 1:
            raise
        if re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", text, re.ASCII):
            raise
        return text


def _time(value: Any, received_ns: int) -> int:
    try:
        time_ns = parse_time(value)
    except BadInputError:
        raise BadError from None
    if time_ns > received_ns + AHEAD_NS_MAX:
        raise BadError
    return time_ns


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _fits(value: Any, kind: PropertyType | None) -> Kind:
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            float(value)
        except OverflowError:
            raise BadError from None
    if kind is not None and value is not None and check_value(value, kind):
        raise BadError
    if _depth(value) > NESTING_MAX:
        raise BadError
    if isinstance(value, bool):
        return Kind.BOOLEAN
    if isinstance(value, int | float):
        return Kind.NUMBER
    return Kind.STRING if isinstance(value, str) else Kind.JSON
