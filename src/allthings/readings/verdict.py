"""What decoding would say of messages that have just arrived: for a gateway that refuses what a thing forbids.

Most messages can be seen to be fine at a glance, for a few microseconds each. All others go through the historian's
own decoding, as a block of one topic, so that the two never disagree, and give the same reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from allthings.log import block
from allthings.readings.decode import decode
from allthings.readings.model import Model
from allthings.readings.payload import JSON_ERRORS, RefusedError, decode_json, parse_value
from allthings.readings.settings import EXACT_INTEGERS_BELOW, PAYLOAD_BYTES_MAX, PROPERTIES_MAX, TEXT_BYTES_MAX
from allthings.readings.topics import Target, Topic, parse_topic
from allthings.things.names import valid_property_name
from allthings.things.types import PropertyType
from allthings.things.values import check_value

_SEQUENCE: Final = 1
#: Not longer in UTF-8 than what is kept, whatever its characters.
_SHORT_CHARS: Final = TEXT_BYTES_MAX // 4


def verdicts(topic: str, payloads: Sequence[bytes], flags: int, received_ns: int, model: Model) -> list[str]:
    """For each payload the reason why it would be a reject, "" if it would not.

    `flags` as in `log.block`; each is judged as received at `received_ns` (an `@time` may not be far ahead of it).
    """
    reasons = [""] * len(payloads)
    about = parse_topic(topic)
    if about.target is Target.UNCLAIMED:
        return reasons
    types = model.types.get(about.thing, {})
    doubtful = [row for row, payload in enumerate(payloads) if not _fine(about, payload, types)]
    if doubtful:
        found = _decoded(topic, [payloads[row] for row in doubtful], flags, received_ns, model)
        for row, reason in zip(doubtful, found, strict=True):
            reasons[row] = reason
    return reasons


def _fine(about: Topic, payload: bytes, types: Mapping[str, PropertyType]) -> bool:
    """Whether a glance is enough to see that it is no reject. False says nothing."""
    if not payload or len(payload) > PAYLOAD_BYTES_MAX:
        return False
    if about.target is Target.OBJECT:
        try:
            document = decode_json(payload)
        except JSON_ERRORS:
            return False
        return (
            type(document) is dict
            and 0 < len(document) <= PROPERTIES_MAX
            and all(
                name[:1] != "@" and valid_property_name(name) and _fits(value, types.get(name))
                for name, value in document.items()
            )
        )
    if about.target is Target.VALUE:
        kind = types.get(about.name)
        try:
            return _fits(parse_value(payload, as_text=kind is not None and kind.type == "string"), kind)
        except RefusedError:
            return False
    return False


def _fits(value: Any, kind: PropertyType | None) -> bool:
    form = type(value)
    if form is str:
        if len(value) > _SHORT_CHARS:
            return False
    elif form is int:
        if not -EXACT_INTEGERS_BELOW < value < EXACT_INTEGERS_BELOW:
            return False
    elif value is None:
        return True
    elif form is not float and form is not bool:
        return False
    return kind is None or not check_value(value, kind)


@dataclass
class _Arrived:
    """Messages as a block that is not in the log."""

    batch: pa.RecordBatch
    stored_ns: int
    sequence: int = _SEQUENCE
    data: bytes = b""


def _decoded(topic: str, payloads: Sequence[bytes], flags: int, received_ns: int, model: Model) -> list[str]:
    count = len(payloads)
    received = pa.array([received_ns] * count, pa.int64()).view(block.MESSAGES.field("received").type)
    clients = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([""]))
    batch = pa.RecordBatch.from_arrays(
        [
            received,
            pa.array([topic] * count, pa.string()),
            pa.array(payloads, pa.binary()),
            clients,
            pa.array([flags] * count, pa.uint8()),
            pa.nulls(count, pa.binary()),
        ],
        schema=block.MESSAGES,
    )
    reasons = {reject.position: reject.reason for reject in decode(_Arrived(batch, received_ns), model).rejects}
    return [reasons.get(block.position(_SEQUENCE, row), "") for row in range(count)]
