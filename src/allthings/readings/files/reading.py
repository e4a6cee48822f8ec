"""From the pieces of a file to readings, and to the rows and cells that had to be left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.readings.files.absent import absent
from allthings.readings.files.cells import Read, read_cells
from allthings.readings.files.clock import Clock
from allthings.readings.files.json_rows import MISSING
from allthings.readings.files.names import properties_of, thing_names
from allthings.readings.files.own import read_own
from allthings.readings.files.piece import Cells, Ints, Mask, Piece
from allthings.readings.files.plan import Column, Options, Understood
from allthings.readings.files.sample import texts_of
from allthings.readings.files.settings import READINGS_AT_ONCE
from allthings.readings.files.tally import Tally
from allthings.readings.files.understand import rule_of
from allthings.readings.judging import Rows, judged
from allthings.readings.model import Model
from allthings.readings.topics import bad_name, bad_thing
from allthings.readings.upload_result import Errors
from allthings.readings.upload_values import Values
from allthings.things.names import valid_property_name, valid_thing_name

#: Why a row is left when it is told only once for all its cells.
_DEFAULT_PROPERTY: Final = "value"


class Taken(NamedTuple):
    """Readings (schema READINGS) of a piece."""

    readings: pa.RecordBatch


class _Part(NamedTuple):
    """Values of one column on their way: `names` of things and properties are places in the lists of the piece."""

    read: Read
    rows: Ints
    things: Ints
    properties: Ints
    label: str


class Reading:
    """A whole file, piece by piece. `received_ns`: when it is read; `model`: the types that are declared."""

    def __init__(self, understood: Understood, options: Options, received_ns: int, model: Model) -> None:
        self._understood = understood
        self._options = options
        self._received_ns = received_ns
        self._model = model
        self._columns = list(understood.columns)
        headers = tuple(column.header for column in understood.columns)
        self._rule = rule_of(understood.dialect, headers, options)
        several = any(column.role == "thing" for column in understood.columns) or understood.shape == "long"
        self._clock = Clock(understood.moment, several, received_ns) if understood.moment else None
        self._seen = 0
        self.errors = Errors()
        self.tally = Tally(several or understood.shape == "things")

    def take(self, piece: Piece, names: list[str] | None = None) -> Iterator[Taken]:
        """The readings of a piece. `names`: of the columns of JSON rows, which may be more than the sample had."""
        for row, reason in piece.faults:
            self.errors.add(row, reason)
        if names is not None:
            self._add_columns(names)
        columns = [*piece.columns]
        rows = len(piece.rows)
        self.tally.rows += rows + len(piece.faults)
        if not rows:
            return
        for part in range(0, rows, step := max(READINGS_AT_ONCE // max(len(columns), 1), 1)):
            yield from self._take([column[part : part + step] for column in columns], piece.rows[part : part + step])

    def _add_columns(self, names: list[str]) -> None:
        """Members that the sample did not have become properties."""
        more = names[len(self._columns) :]
        if more:
            found = properties_of(names)
            for name, property_ in zip(more, found.names[len(self._columns) :], strict=True):
                self._columns.append(Column(name, property_, "left" if self._understood.shape == "long" else "value"))

    def _take(self, columns: list[Cells], rows: Ints) -> Iterator[Taken]:
        count = len(rows)
        keep, times = self._times(columns, rows)
        things, thing_of = self._things(columns, rows, keep)
        self.tally.times(times[keep], thing_of[keep])
        parts: list[_Part] = []
        property_names: list[str] = []
        if self._understood.shape == "long":
            parts.append(self._long(columns, rows, keep, thing_of, property_names))
        else:
            for place, column in enumerate(self._columns[: len(columns)]):
                if column.role != "value":
                    continue
                read = read_cells(columns[place], self._kind(column, things), self._rule)
                if self._understood.shape == "things":
                    things.append(self._column_thing(column))
                    of = np.full(count, len(things) - 1, np.int64)
                    name = self._options.property or _DEFAULT_PROPERTY
                else:
                    of, name = thing_of, column.name
                property_names.append(name)
                self.tally.column(column.header or column.name, count, read.absent)
                parts.append(_Part(read, rows, of, np.full(count, len(property_names) - 1, np.int64), column.name))
        if batch := self._batch(parts, times, keep, things, property_names):
            yield Taken(batch)

    def _kind(self, column: Column, things: list[str]) -> str:
        """A property that is declared a string takes all cells as texts."""
        declared = self._model.types.get(things[0], {}).get(column.name) if len(things) == 1 else None
        return "text" if declared is not None and declared.type == "string" else column.kind

    def _times(self, columns: list[Cells], rows: Ints) -> tuple[Mask, Ints]:
        count = len(rows)
        keep = np.ones(count, np.bool_)
        if self._clock is None:
            times = self._received_ns + self._seen + np.arange(count, dtype=np.int64)
            self._seen += count
            return keep, times
        assert self._understood.moment is not None
        own = self._understood.moment.columns
        read = self._clock.read(columns, _empty(columns, own, count))
        for row, reason in read.faults:
            self.errors.add(int(rows[row]), reason)
        return read.fine, read.ns

    def _things(self, columns: list[Cells], rows: Ints, keep: Mask) -> tuple[list[str], Ints]:
        """The things of a piece, and per row which. Rows without a thing's name are left."""
        place = next((place for place, column in enumerate(self._columns) if column.role == "thing"), None)
        if place is None:
            return [self._understood.thing], np.zeros(len(rows), np.int64)
        encoded = texts_of(columns[place]).dictionary_encode()
        cells = encoded.dictionary.to_pylist()
        names = cells if self._rule.literal else thing_names(cells, self._before())
        of: Ints = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        self._leave_bad(names, cells, of, rows, keep, valid_thing_name, bad_thing)
        return list(names), of

    def _before(self) -> str:
        return self._options.thing or self._understood.thing

    def _leave_bad(
        self, names: list[str], cells: list[Any], of: Ints, rows: Ints, keep: Mask, valid: Any, reason: Any
    ) -> None:
        for number, name in enumerate(names):
            if valid(name):
                continue
            for row in np.flatnonzero((of == number) & keep).tolist():
                keep[row] = False
                self.errors.add(int(rows[row]), reason(cells[number]))
            names[number] = "-"

    def _column_thing(self, column: Column) -> str:
        found = thing_names([column.header or column.name], self._options.thing)[0]
        return found or "thing"

    def _long(self, columns: list[Cells], rows: Ints, keep: Mask, things: Ints, names: list[str]) -> _Part:
        place = next(place for place, column in enumerate(self._columns) if column.role == "property")
        encoded = texts_of(columns[place]).dictionary_encode()
        cells = encoded.dictionary.to_pylist()
        found = list(cells) if self._rule.literal else list(properties_of(cells).names)
        of: Ints = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        self._leave_bad(found, cells, of, rows, keep, valid_property_name, bad_name)
        names.extend(found)
        value = next(place for place, column in enumerate(self._columns) if column.role == "value")
        if self._rule.literal:
            read = read_own(columns, [column.header for column in self._columns], self._rule)
        else:
            read = read_cells(columns[value], "any", self._rule)
        self.tally.column(self._columns[value].header, len(rows), read.absent)
        return _Part(read, rows, things, of, "")

    def _batch(
        self, parts: list[_Part], times: Ints, keep: Mask, things: list[str], names: list[str]
    ) -> pa.RecordBatch | None:
        """All values of a piece as one batch of readings, without what is refused."""
        chosen: list[tuple[Values, Ints, _Part]] = []
        for part in parts:
            values, present = part.read.values, part.read.present
            fine = keep[present]
            for fault, reason in values.faults:
                if fine[fault]:
                    fine[fault] = False
                    label = f"property {part.label!r}: " if part.label else ""
                    self.errors.add(int(part.rows[present[fault]]), label + reason)
            if not fine.all():
                mask = pa.array(fine)
                values = Values(values.numbers[fine], values.texts.filter(mask), values.kinds[fine])
                present = present[fine]
            if len(present):
                chosen.append((values, present, part))
        if not chosen:
            return None
        batch = judged(
            _dictionary([part.things[present] for _, present, part in chosen], things),
            _dictionary([part.properties[present] for _, present, part in chosen], names),
            np.concatenate([times[present] for _, present, _ in chosen]),
            Values(
                np.concatenate([values.numbers for values, _, _ in chosen]),
                pa.concat_arrays([values.texts for values, _, _ in chosen]),
                np.concatenate([values.kinds for values, _, _ in chosen]),
            ),
            Rows(np.concatenate([part.rows[present] for _, present, part in chosen]), self.errors),
            self._received_ns,
            self._model,
        )
        self.tally.note(batch)
        return batch


def _dictionary(places: list[Ints], names: list[str]) -> pa.DictionaryArray:
    indices = np.concatenate(places).astype(np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(indices), pa.array(names, pa.string()))


def _empty(columns: list[Cells], times: tuple[int, ...], count: int) -> Mask:
    """Rows in which nothing stands at all."""
    empty = np.ones(count, np.bool_)
    for cells in columns:
        if not empty.any():
            break
        if isinstance(cells, list):
            empty &= np.array([cell is None or cell is MISSING for cell in cells], np.bool_)
        elif pa.types.is_string(cells.type):
            empty &= absent(pc.utf8_trim_whitespace(cells), True)
        else:
            empty &= cells.is_null().to_numpy(zero_copy_only=False)
    return empty
