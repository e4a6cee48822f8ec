"""Strict things: what their descriptions forbid is refused at once instead of being kept as a reject.

MQTT 5 has a code for it, 0x99 (Payload format invalid, sections 3.4.2.1 and 3.5.2.1), in the answer to QoS 1 and 2.
QoS 0 has no answer. MQTT 3.1.1 has answers without codes: a server "MUST either make a positive acknowledgement [...]
or close the Network Connection" [MQTT-3.3.5-2], and a device whose connection is closed would send the same message
again, for ever. So there, and for QoS 0, the message is taken and becomes a reject, as for every other thing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from allthings.mqtt.reasons import ReasonCode
from allthings.mqtt.scanner import Run

if TYPE_CHECKING:
    from allthings.gateway.broker import Broker
    from allthings.gateway.connection import Connection
    from allthings.readings.model import Model
    from allthings.things.types import PropertyType

_PREFIX: Final = "things/"


def load() -> None:
    """Load what decoding needs: only where there is a strict thing, and in a thread, since it takes a second."""
    importlib.import_module("allthings.readings.verdict")


class Strict:
    """The things that are strict. Nothing of it costs anything on topics of other things."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._types: dict[str, dict[str, PropertyType]] = {}
        self._model: Model | None = None

    @property
    def things(self) -> frozenset[str]:
        return frozenset(self._types)

    def replace(self, types: dict[str, dict[str, PropertyType]]) -> None:
        """The strict things and the types of their properties, from now on."""
        if types == self._types:
            return
        self._types = types
        if types:
            from allthings.readings.model import Model

            self._model = Model(types) if self._model is None else self._model.renewed(types)

    def concerns(self, topic: str) -> bool:
        """Whether messages on the topic must be looked at one by one."""
        return bool(self._types) and topic.startswith(_PREFIX) and topic.split("/", 2)[1] in self._types

    def admit(self, broker: Broker, connection: Connection, topic: str, run: Run) -> Run:
        """The messages of a run that may go on; the others are answered with 0x99 and the reason."""
        qos = run.first >> 1 & 3
        if not connection.v5 or not qos or self._model is None or not self.concerns(topic):
            return run
        from allthings.readings.verdict import verdicts

        flags = qos | (run.first & 1) << 2
        reasons = verdicts(topic, run.payloads, flags, self._now_ns(), self._model)
        if not any(reasons):
            return run
        payloads: list[bytes] = []
        identifiers: list[bytes] = []
        for payload, identifier, reason in zip(run.payloads, run.identifiers, reasons, strict=True):
            if reason:
                broker.refuse_message(connection, topic, qos, identifier, ReasonCode.PAYLOAD_FORMAT_INVALID, reason)
            else:
                payloads.append(payload)
                identifiers.append(identifier)
        return run._replace(payloads=payloads, identifiers=identifiers)
