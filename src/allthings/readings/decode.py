"""Blocks of the log into readings, rejects and events.

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

A block says the same whether it is decoded alone or with its neighbours: it is decoded again after a crash, perhaps
among others, and must then give the same keys.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
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
from allthings.readings.settings import ELEMENTS_MAX, FAULTS_NAMED_MAX, PAYLOAD_BYTES_MAX, TOGETHER_MESSAGES_MAX
from allthings.readings.topics import Target

__all__ = ["Block", "decode", "decode_all", "open_size"]

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
    (decoded,) = decode_all([entry], model)
    return decoded


def open_size(entry: Block) -> int:
    """How many bytes a block's columns are, which may be far more than are stored; 0 when it is damaged."""
    try:
        return int(entry.batch.nbytes)
    except _DAMAGE:
        return 0


def decode_all(entries: Sequence[Block], model: Model) -> list[Decoded]:
    """Decode consecutive blocks, as `decode` does, but several small ones together.

    What a block costs is mostly the same whether it holds one message or a hundred. Alone stay blocks of readings,
    damaged ones, and those with replayed messages, whose rejects are versioned by their block.
    """
    found: list[Decoded] = []
    for together in _together(entries):
        if isinstance(together, Decoded):
            found.append(together)
        else:
            found.append(_Messages(together, model).decoded())
    return found


_Batches = list[tuple[int, pa.RecordBatch]]


def _together(entries: Sequence[Block]) -> Iterator[Decoded | _Batches]:
    """What is decoded at once: blocks of messages that follow one another, or a block that is decoded already."""
    waiting: _Batches = []
    messages = 0
    for entry in entries:
        opened = _opened(entry)
        alone = isinstance(opened, Decoded) or _has_replayed(opened)
        if waiting and (alone or messages >= TOGETHER_MESSAGES_MAX):
            yield waiting
            waiting, messages = [], 0
        if isinstance(opened, Decoded):
            yield opened
        elif alone:
            yield [(entry.sequence, opened)]
        else:
            waiting.append((entry.sequence, opened))
            messages += opened.num_rows
    if waiting:
        yield waiting


def _opened(entry: Block) -> Decoded | pa.RecordBatch:
    """The messages of a block; or what it says, when it holds readings or is damaged."""
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
    return batch


def _has_replayed(batch: pa.RecordBatch) -> bool:
    flags = batch.column("flags").to_numpy()
    return bool(len(flags)) and bool((flags & block.FLAG_REPLAYED).any())


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
    """The decoding of blocks of messages that follow one another, as if they were one table."""

    def __init__(self, blocks: _Batches, model: Model) -> None:
        self._sequence = blocks[-1][0]
        batches = [batch for _, batch in blocks]
        # Columns of one block are faster to work with than those of a table.
        self._batch: Any = batches[0] if len(batches) == 1 else pa.Table.from_batches(batches)
        self._plans = model.plans()
        self._columns = Columns()
        self._received = self._batch.column("received").to_numpy().view(np.int64)
        firsts = [np.arange(batch.num_rows, dtype=np.uint64) + block.position(each, 0) for each, batch in blocks]
        self._positions = firsts[0] if len(firsts) == 1 else np.concatenate(firsts)
        #: Where blocks end, by row.
        self._ends = np.cumsum([batch.num_rows for batch in batches])
        #: Row to the reasons why its message is a reject.
        self._faults: dict[int, list[str]] = {}
        self._events: list[Event] = []
        #: Thing number to the first time that an untimed reading of it may have, and the row before which that
        #: holds, the end of the block; see `_array`.
        self._floors: dict[int, tuple[int, int]] = {}

    def decoded(self) -> Decoded:
        routes = self._routes()
        received: list[int] = self._received.tolist()
        self._loop(routes, received)
        readings, faults = self._columns.finish(self._positions, self._received, self._plans)
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
                    add_plan(plan.number)
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
                time_ns = self._untimed(row, plan.thing, received_ns)
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
        untimed_ns = self._untimed(row, thing, received_ns)
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
                    self._floors[thing] = untimed_ns, self._end(row)
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

    def _untimed(self, row: int, thing: int, received_ns: int) -> int:
        floor_ns, before = self._floors.get(thing, (received_ns, 0))
        return max(received_ns, floor_ns) if row < before else received_ns

    def _end(self, row: int) -> int:
        """The row at which the block of a row ends."""
        return int(self._ends[np.searchsorted(self._ends, row, side="right")])

    def _segment(self, row: int, plan: Plan, time_ns: int, document: dict[str, Any]) -> None:
        columns = self._columns
        columns.plans.append(plan.number)
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
        columns.plans.append(route.plan.number)
        columns.rows.append(row)
        columns.times.append(self._untimed(row, route.plan.thing, received_ns) if self._floors else received_ns)
        columns.values.append(value)

    def _event(self, row: int, route: Route, payload: bytes, received_ns: int) -> None:
        value = parse_value(payload, as_text=False)
        time_ns = received_ns
        if type(value) is dict and TIME_KEY in value:
            time_ns = device_time(value[TIME_KEY], received_ns)
        place = int(self._positions[row])
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
                position=replayed.get(row, int(self._positions[row])),
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
