"""One block of the log into readings, rejects and events.

The rules (native topics of the platform):

- `things/{thing}/properties`: a JSON object of property: value, with an optional `@time`; or an array of such
  objects (a buffered upload). Other payloads are rejects.
- `things/{thing}/properties/{name}`: one value, JSON or plain text; `payload.parse_value` says which.
- `things/{thing}/events/{name}`: JSON or plain text; an object may have an `@time`.
- An empty retained message on these only clears what was retained, and all other topics are not claimed: counted.

A value that the property's declared type forbids is left out and makes the message a reject, whole, with a reason
that names property, value and rule; the other values of the message are kept. So a replay after the cause is mended
adds what was missing, and writes the rest again under the same key. `null` fits every type: it says that there is no
value now, and is kept (as JSON, without a number). Of equal names in one object, and of equal times of one property
in one message, the last wins.

Time: without `@time` a reading has its receive time. The objects of an array that have none get the receive time plus
one nanosecond each, and what the same thing sends next in the block comes after them. An `@time` more than 24 h ahead
of the receive time is refused, since it would hide every later reading.
"""

from __future__ import annotations

import itertools
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.log import block
from allthings.readings import replay
from allthings.readings.columns import EMPTY, Columns
from allthings.readings.decoded import DECODED, Decoded, Event, Reject
from allthings.readings.device_time import device_time
from allthings.readings.model import Model
from allthings.readings.payload import (
    JSON_ERRORS,
    RefusedError,
    compact_json,
    decode_json,
    json_fault,
    parse_value,
)
from allthings.readings.plans import TIME_KEY, UNCLAIMED, Plan, Route
from allthings.readings.settings import ELEMENTS_MAX, FAULTS_NAMED_MAX, PAYLOAD_BYTES_MAX
from allthings.readings.topics import Target

__all__ = ["Block", "decode"]

_Element = tuple[int, Plan, dict[str, Any]]
_TOO_LARGE: Final = Route(Target.REFUSED, name=f"larger than {PAYLOAD_BYTES_MAX:,} bytes")
#: What reading damaged bytes as Arrow raises.
_DAMAGE: Final = (pa.ArrowException, ValueError, OSError, StopIteration, MemoryError, KeyError, TypeError)


class Block(Protocol):
    """A block as decoding needs it (see `log.entry.Entry`)."""

    sequence: int
    stored_ns: int
    data: bytes

    @property
    def batch(self) -> pa.RecordBatch: ...


def decode(entry: Block, model: Model) -> Decoded:
    """Decode one block. Pure, safe to call from any thread, and never raises for what the block holds.

    A block whose bytes are damaged becomes one reject with the block as its payload.
    """
    try:
        batch = entry.batch
        batch.validate(full=True)
        if block.is_readings(batch):
            return _readings(entry.sequence, batch)
        _check_schema(batch, block.MESSAGES)
    except _DAMAGE as error:
        reason = f"block {entry.sequence} of the log is damaged: {error}"
        place = block.position(entry.sequence, 0)
        damaged = Reject(place, entry.stored_ns, "", "", reason, entry.data)
        return Decoded(entry.sequence, EMPTY, rejects=[damaged])
    return _Messages(entry.sequence, batch, model).decoded()


def _check_schema(batch: pa.RecordBatch, schema: pa.Schema) -> None:
    if not batch.schema.equals(schema):
        raise pa.ArrowInvalid(f"its columns are {', '.join(batch.schema.names[:12])}")


def _readings(sequence: int, batch: pa.RecordBatch) -> Decoded:
    """Readings that came as columns were checked when they were uploaded."""
    _check_schema(batch, block.READINGS)
    first = block.position(sequence, 0)
    positions = np.arange(first, first + batch.num_rows, dtype=np.uint64)
    columns = [*batch.columns, pa.array(positions)]
    return Decoded(sequence, pa.RecordBatch.from_arrays(columns, schema=DECODED))


class _Messages:
    """The decoding of one block of messages."""

    def __init__(self, sequence: int, batch: pa.RecordBatch, model: Model) -> None:
        self._sequence = sequence
        self._batch = batch
        self._plans = model.plans()
        self._columns = Columns()
        self._received = batch.column("received").cast(pa.int64()).to_numpy()
        #: Row to the reasons why its message is a reject.
        self._faults: dict[int, list[str]] = {}
        self._events: list[Event] = []
        #: Thing number to the first time that an untimed reading of it may have; see `_array`.
        self._floors: dict[int, int] = {}

    def decoded(self) -> Decoded:
        routes = self._routes()
        received: list[int] = self._received.tolist()
        self._loop(routes, received)
        readings, faults = self._columns.finish(self._sequence, self._received, self._plans)
        for row, reason in faults:
            self._refuse(row, reason)
        replayed = self._replayed()
        return Decoded(
            self._sequence,
            readings,
            rejects=self._rejects(received, replayed),
            events=self._events,
            messages=self._batch.num_rows,
            unclaimed=routes.count(UNCLAIMED),
            replayed=[place for row, place in replayed.items() if row not in self._faults],
        )

    def _routes(self) -> list[Route]:
        """The route of each row."""
        routes = self._plans.routes(self._batch.column("topic").to_pylist())
        sizes = pc.binary_length(self._batch.column("payload")).to_numpy()
        if len(sizes) and sizes.max() > PAYLOAD_BYTES_MAX:
            for row in np.flatnonzero(sizes > PAYLOAD_BYTES_MAX).tolist():
                if routes[row] is not UNCLAIMED:
                    routes[row] = _TOO_LARGE
        if not sizes.all():
            flags = self._batch.column("flags").to_numpy()
            for row in np.flatnonzero((sizes == 0) & (flags & block.FLAG_RETAIN != 0)).tolist():
                routes[row] = UNCLAIMED
        return routes

    def _loop(self, routes: list[Route], received: list[int]) -> None:
        """The hot loop: a flat object without a time costs one decode, one look-up and four appends."""
        columns, floors = self._columns, self._floors
        add_plan, add_row = columns.plans.append, columns.rows.append
        add_time, add_values = columns.times.append, columns.values.extend
        for row, route, payload in zip(
            itertools.count(), routes, self._batch.column("payload").to_pylist(), strict=False
        ):
            if route.target is not Target.OBJECT:
                if route is not UNCLAIMED:
                    self._single(row, route, payload, received[row])
                continue
            try:
                document = decode_json(payload)
            except JSON_ERRORS as error:
                self._refuse(row, json_fault(error) if payload else "the payload is empty")
                continue
            if type(document) is dict:
                plan = route.plans.get(tuple(document))
                if plan is not None and plan.simple and not floors:
                    add_plan(plan)
                    add_row(row)
                    add_time(received[row])
                    add_values(document.values())
                else:
                    self._object(row, route, document, received[row])
            elif type(document) is list:
                self._array(row, route, document, received[row])
            else:
                self._refuse(row, "neither an object of properties nor an array of such objects")

    def _object(self, row: int, route: Route, document: dict[str, Any], received_ns: int) -> None:
        try:
            plan = self._shape(row, route, document)
            if plan.timed:
                time_ns = device_time(document[TIME_KEY], received_ns)
            else:
                time_ns = self._untimed(plan.thing, received_ns)
        except RefusedError as error:
            self._refuse(row, str(error))
            return
        self._segment(row, plan, time_ns, document)

    def _array(self, row: int, route: Route, elements: list[Any], received_ns: int) -> None:
        """A buffered upload. Elements without a time are a nanosecond apart, so that none replaces another."""
        if not 0 < len(elements) <= ELEMENTS_MAX:
            self._refuse(row, f"an array of {len(elements):,} objects: 1 to {ELEMENTS_MAX:,} are allowed")
            return
        thing = self._plans.things.number(route.thing)
        untimed_ns = self._untimed(thing, received_ns)
        found: list[_Element] = []
        for index, element in enumerate(elements):
            try:
                if type(element) is not dict:
                    raise RefusedError("no object of properties")
                plan = self._shape(row, route, element)
                if plan.timed:
                    found.append((device_time(element[TIME_KEY], received_ns), plan, element))
                else:
                    found.append((untimed_ns, plan, element))
                    untimed_ns += 1
                    self._floors[thing] = untimed_ns
            except RefusedError as error:
                self._refuse(row, f"element {index}: {error}")
        if len({time_ns for time_ns, _, _ in found}) < len(found):
            found = self._latest(row, route, found)
        for time_ns, plan, element in found:
            self._segment(row, plan, time_ns, element)

    def _latest(self, row: int, route: Route, found: list[_Element]) -> list[_Element]:
        """Of several values for one property and time in one message, only the last."""
        seen: set[tuple[int, str]] = set()
        kept: list[_Element] = []
        for time_ns, plan, element in reversed(found):
            rest = {name: element[name] for name in plan.names if (time_ns, name) not in seen}
            seen.update((time_ns, name) for name in rest)
            if rest:
                kept.append((time_ns, self._shape(row, route, rest), rest))
        kept.reverse()
        return kept

    def _shape(self, row: int, route: Route, document: dict[str, Any]) -> Plan:
        plan = route.plans.get(tuple(document)) or self._plans.shape(route, document)
        if plan.fault:
            self._refuse(row, plan.fault)
        elif not plan.names:
            raise RefusedError("an object without a property")
        return plan

    def _untimed(self, thing: int, received_ns: int) -> int:
        return max(received_ns, self._floors.get(thing, received_ns))

    def _segment(self, row: int, plan: Plan, time_ns: int, document: dict[str, Any]) -> None:
        columns = self._columns
        columns.plans.append(plan)
        columns.rows.append(row)
        columns.times.append(time_ns)
        columns.values.extend(map(document.__getitem__, plan.names))

    def _single(self, row: int, route: Route, payload: bytes, received_ns: int) -> None:
        """A payload on any claimed topic but that of an object."""
        try:
            if route.target is Target.REFUSED:
                raise RefusedError(route.name)
            if route.target is Target.EVENT:
                self._event(row, route, payload, received_ns)
                return
            assert route.plan is not None
            value = parse_value(payload, as_text=route.plan.as_text)
        except RefusedError as error:
            self._refuse(row, str(error))
            return
        columns = self._columns
        columns.plans.append(route.plan)
        columns.rows.append(row)
        columns.times.append(self._untimed(route.plan.thing, received_ns) if self._floors else received_ns)
        columns.values.append(value)

    def _event(self, row: int, route: Route, payload: bytes, received_ns: int) -> None:
        value = parse_value(payload, as_text=False)
        time_ns = received_ns
        if type(value) is dict and TIME_KEY in value:
            time_ns = device_time(value[TIME_KEY], received_ns)
        place = block.position(self._sequence, row)
        self._events.append(Event(place, time_ns, received_ns, route.thing, route.name, compact_json(value)))

    def _refuse(self, row: int, reason: str) -> None:
        self._faults.setdefault(row, []).append(reason)

    def _replayed(self) -> dict[int, int]:
        """Row to the position of the reject that was appended again there."""
        flags = self._batch.column("flags").to_numpy()
        properties = self._batch.column("properties")
        found = {}
        for row in np.flatnonzero(flags & block.FLAG_REPLAYED).tolist():
            place = replay.original(properties[row].as_py())
            if place is not None:
                found[row] = place
        return found

    def _rejects(self, received: list[int], replayed: dict[int, int]) -> list[Reject]:
        client, topic, payload = (self._batch.column(name) for name in ("client", "topic", "payload"))
        return [
            Reject(
                position=replayed.get(row, block.position(self._sequence, row)),
                received_ns=received[row],
                client=client[row].as_py(),
                topic=topic[row].as_py(),
                reason=_reason(reasons),
                payload=payload[row].as_py(),
            )
            for row, reasons in sorted(self._faults.items())
        ]


def _reason(faults: list[str]) -> str:
    named = "; ".join(faults[:FAULTS_NAMED_MAX])
    more = len(faults) - FAULTS_NAMED_MAX
    return f"{named}; and {more:,} more" if more > 0 else named
