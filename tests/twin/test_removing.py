"""What is removed or deleted is current no more, for nobody, whenever its blocks are read; what comes later is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from dataclasses import replace as changed
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allthings.log import block
from allthings.readings.decoded import Decoded, Event
from allthings.readings.deletions import Deletions
from allthings.registry import Deletion, Registry, SeenEvent
from allthings.registry.removals import Removal, Removals
from allthings.things.errors import NotFoundError
from allthings.things.times import NS_PER_S
from allthings.twin.resume import follow
from allthings.twin.twin import Twin
from tests.reaching import must_reach, reach
from tests.readings.blocks import NOW_NS, decode_messages, entry_of
from tests.twin.feed import Clock, block_of, said
from tests.twin.test_twin import now, table_of


def end_of(sequence: int) -> int:
    return block.position(sequence + 1, 0) - 1


def told(twin: Twin, clock: Clock) -> list[tuple[Any, ...]]:
    """What the registry is told now, and has."""
    report = twin.discovery.due(clock())
    if report is None:
        return []
    twin.discovery.confirm(report)
    return [(one.thing, one[1], one.position) for one in report.seen]


def uploaded(decoded: Decoded) -> Decoded:
    return changed(decoded, messages=0)


def rung(sequence: int, thing: str, received_ns: int = NOW_NS) -> Decoded:
    event = Event(block.position(sequence, 0), received_ns, received_ns, thing, "rung", "1")
    return changed(block_of(sequence), events=[event], messages=1)


# Removed


def test_a_removed_thing_is_gone_until_it_sends_again(twin: Twin, clock: Clock) -> None:
    twin.apply(block_of(1, said("a", t=1, s="x"), said("b", t=2)))
    told(twin, clock)
    twin.remove(Removal("a", "", end_of(2)))
    twin.remove(Removal("nobody", "", end_of(2)))
    # It was under way when it was removed.
    twin.apply(block_of(2, said("a", NOW_NS + 1, t=3), said("b", NOW_NS + 1, t=4)))
    assert now(twin) == {("b", "t"): 4}
    assert [state.thing for state in twin.thing_states()] == list(twin.last_received()) == ["b"]
    assert told(twin, clock) == []
    # The old time does not matter.
    twin.apply(block_of(3, said("a", NOW_NS - 5, t=5)))
    assert now(twin) == {("b", "t"): 4, ("a", "t"): 5}
    assert told(twin, clock) == [("a", "t", block.position(3, 0))]


def test_a_removed_property_is_gone_until_it_is_sent_again(twin: Twin, clock: Clock) -> None:
    twin.apply(block_of(1, said("a", t=1, u=2)))
    told(twin, clock)
    twin.remove(Removal("a", "properties/u", end_of(1)))
    assert now(twin) == {("a", "t"): 1}
    assert twin.online_things() == {"a"}
    twin.apply(block_of(2, said("a", NOW_NS + 1, t=3)))
    assert told(twin, clock) == []
    twin.apply(block_of(3, said("a", NOW_NS + 2, u=4)))
    assert told(twin, clock) == [("a", "u", block.position(3, 0))]
    assert now(twin) == {("a", "t"): 3, ("a", "u"): 4}


def test_what_came_before_the_twin_heard_of_the_removal_stays(twin: Twin, clock: Clock) -> None:
    twin.apply(block_of(1, said("a", t=1)))
    told(twin, clock)
    twin.apply(block_of(2, said("a", NOW_NS + 1, t=2)))
    twin.remove(Removal("a", "", end_of(1)))
    assert now(twin) == {("a", "t"): 2}
    assert twin.online_things() == {"a"}
    assert told(twin, clock) == [("a", "t", block.position(2, 0))]


def test_a_report_under_way_does_not_make_a_removed_thing_known(twin: Twin, clock: Clock) -> None:
    twin.apply(block_of(1, said("a", t=1)))
    twin.apply(rung(2, "a"))
    report = twin.discovery.due(clock())
    assert report is not None
    assert len(report.seen) == 2
    twin.remove(Removal("a", "", end_of(2)))
    twin.discovery.confirm(report)
    twin.apply(block_of(3, said("a", NOW_NS + 1, t=2)))
    twin.apply(rung(4, "a"))
    assert told(twin, clock) == [("a", "t", block.position(3, 0)), ("a", "rung", block.position(4, 0))]


def test_events_are_removed_likewise(twin: Twin, clock: Clock) -> None:
    twin.apply(rung(1, "bell"))
    assert told(twin, clock) == [("bell", "rung", block.position(1, 0))]
    twin.apply(rung(2, "bell"))
    assert told(twin, clock) == []
    twin.remove(Removal("bell", "events/rung", end_of(3)))
    twin.apply(rung(3, "bell"))
    assert told(twin, clock) == []
    twin.apply(rung(4, "bell"))
    assert told(twin, clock) == [("bell", "rung", block.position(4, 0))]


# Presence


def test_who_only_sends_events_is_there(twin: Twin, clock: Clock) -> None:
    twin.apply(rung(1, "bell", NOW_NS))
    assert twin.online_things() == {"bell"}
    assert twin.last_received() == {"bell": NOW_NS}
    clock.advance(3600)
    assert twin.online_things() == set()


def test_an_upload_makes_nothing_online(twin: Twin, clock: Clock) -> None:
    old = NOW_NS / 1e9 - 86_400
    twin.apply(uploaded(block_of(1, said("a", at=old, t=1), said("b", t=2))))
    assert (twin.online_things(), twin.last_received(), twin.thing_states()) == (set(), {}, [])
    assert now(twin) == {("a", "t"): 1, ("b", "t"): 2}
    assert [one.quality for one in twin.values()] == ["stale", "good"]
    assert twin.thing_names() == ["a", "b"]
    twin.apply(block_of(2, said("a", NOW_NS, at=old, t=3)))
    assert twin.online_things() == {"a"}
    clock.advance(120)
    assert [one.quality for one in twin.values()] == ["stale", "stale"]


def test_seen_is_when_it_was_heard_of_and_not_its_newest_time(twin: Twin, clock: Clock) -> None:
    table = table_of(block_of(3, said("a", NOW_NS - 60 * NS_PER_S, at=NOW_NS / 1e9, t=1)))
    twin.load(table, 3, heard=[("a", NOW_NS - NS_PER_S, 5), ("bell", NOW_NS - 9, 6)], events=[("bell", "rung", 6)])
    assert twin.last_received() == {"a": NOW_NS - NS_PER_S, "bell": NOW_NS - 9}
    assert told(twin, clock) == [("a", "t", block.position(3, 0)), ("bell", "rung", 6)]


def test_what_was_removed_before_the_start_stays_away(twin: Twin, clock: Clock) -> None:
    removals = Removals([Removal("gone", "", 9), Removal("bell", "events/rung", 9)])
    heard = [("gone", NOW_NS, 9), ("bell", NOW_NS, 9)]
    twin.load(table_of(block_of(0)), 0, heard=heard, events=[("gone", "e", 9), ("bell", "rung", 9)], removals=removals)
    assert twin.last_received() == {"bell": NOW_NS}
    assert told(twin, clock) == []


# Clocks


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_a_clock_that_is_ahead_hides_nothing(twin: Twin, clock: Clock, order: tuple[int, ...]) -> None:
    second = NOW_NS / 1e9
    messages = [said("a", at=second + 8 * 3600, t=99), said("a", at=second, t=20), said("a", at=5, t=1)]
    for sequence, place in enumerate(order, 1):
        twin.apply(block_of(sequence, messages[place]))
    assert now(twin) == {("a", "t"): 20}
    twin.apply(block_of(5, *messages))
    assert now(twin) == {("a", "t"): 20}


def test_of_clocks_that_are_ahead_the_last_one_counts(twin: Twin) -> None:
    second = NOW_NS / 1e9
    twin.apply(block_of(1, said("a", at=second + 8 * 3600, t=99)))
    assert [(one.value, one.quality) for one in twin.values()] == [(99, "clock")]
    twin.apply(block_of(2, said("a", NOW_NS + 1, at=second + 3600, t=50)))
    assert now(twin) == {("a", "t"): 50}


# Deleted


async def test_what_is_deleted_is_given_to_nobody_who_comes_back(clock: Clock) -> None:
    deletions = Deletions()
    twin = Twin(clock, deletions)
    twin.apply(block_of(1, said("a", t=1), said("b", t=2)))
    twin.apply(block_of(2, said("a", NOW_NS + 1, t=3)))
    wanted = Deletion(("a",), (), None, None, end_of(1))
    deletions.add(wanted)
    assert twin.delete(wanted) == []
    assert now(twin) == {("a", "t"): 3, ("b", "t"): 2}

    class Log:
        """Two blocks that nobody has in memory any more."""

        async def get(self, sequence: int) -> Any:
            return entry_of([said("a", t=1), said("b", t=2)], sequence)

        async def status(self) -> Any:
            raise AssertionError("the position is known")

    class Decoder:
        async def decode(self, entry: Any) -> Decoded:
            return decode_messages(said("a", t=1), said("b", t=2), sequence=entry.sequence)

    for ring_after in (0, 1):
        twin.hub.ring_after = ring_after
        if ring_after:
            twin.hub._ring.popleft()
        found = []
        async for update in follow(twin, Log(), Decoder(), after=block.position(1, 0) - 1):
            found += [(one.thing, one.value) for one in update.values]
            if len(found) == 2:
                break
        assert found == [("b", 2), ("a", 3)]


def test_of_a_deleted_value_the_older_one_is_current_again(twin: Twin) -> None:
    twin.apply(block_of(1, said("a", t=1, u="x")))
    twin.apply(block_of(2, said("a", NOW_NS + 1, t=2, u="y")))
    wanted = Deletion(("a",), ("t",), NOW_NS + 1, None, end_of(2))
    twin.deletions.add(wanted)
    assert twin.delete(wanted) == [("a", "t")]
    assert now(twin) == {("a", "u"): "y"}
    twin.restore(table_of(block_of(1, said("a", t=1))))
    assert now(twin) == {("a", "u"): "y", ("a", "t"): 1}
    # Newer ones stay.
    twin.restore(table_of(block_of(1, said("a", u="x"))))
    assert now(twin) == {("a", "u"): "y", ("a", "t"): 1}


# All together, against a model


@dataclass
class Model:
    """What is so after any sequence of acts, by the plain rules."""

    #: thing, property -> position, time, value of all that was sent and not deleted.
    sent: dict[tuple[str, str], list[tuple[int, int, int]]] = field(default_factory=dict)
    removed: dict[tuple[str, str | None], int] = field(default_factory=dict)
    known: dict[str, set[str]] = field(default_factory=dict)

    def alive(self, thing: str, name: str) -> list[tuple[int, int, int]]:
        bound = max(self.removed.get((thing, None), 0), self.removed.get((thing, name), 0))
        return [one for one in self.sent.get((thing, name), []) if one[0] > bound]

    def current(self) -> dict[tuple[str, str], int]:
        newest = {key: max(self.alive(*key), key=lambda one: (one[1], one[0]), default=None) for key in self.sent}
        return {key: one[2] for key, one in newest.items() if one is not None}


_ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 3)),
        st.tuples(st.just("remove"), st.sampled_from("ab"), st.sampled_from([None, "x", "y"]), st.just(0)),
        st.tuples(st.just("delete"), st.sampled_from("ab"), st.sampled_from([None, "x"]), st.integers(0, 3)),
        st.tuples(st.just("add"), st.sampled_from("ab"), st.none(), st.just(0)),
        st.tuples(st.sampled_from(["start", "crash", "crash"]), st.none(), st.none(), st.integers(0, 2)),
    ),
    min_size=3,
    max_size=14,
)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    registry = Registry(f"sqlite:///{tmp_path_factory.mktemp('registry')}/registry.db")
    registry.migrate()
    yield registry
    registry.close()


_RUNS = itertools.count()


@must_reach("hidden at a start", "discovered at a start", "came back")
@settings(max_examples=40, deadline=None)
@given(acts=_ACTS)
def test_nothing_removed_comes_back_but_by_something_new(
    registry: Registry, acts: list[tuple[str, Any, Any, int]]
) -> None:
    # Things of its own, in a registry that all examples share.
    run = next(_RUNS)
    _Run(registry).all([(kind, thing and f"{thing}{run}", name, number) for kind, thing, name, number in acts])


class _Run:
    """A twin over a registry, and a history and a log that are lists."""

    def __init__(self, registry: Registry) -> None:
        self.registry, self.clock, self.model = registry, Clock(), Model()
        self.deletions = Deletions()
        self.twin = Twin(self.clock, self.deletions)
        self.blocks: list[Decoded] = []

    def all(self, acts: list[tuple[str, Any, Any, int]]) -> None:
        for kind, thing, name, number in acts:
            if kind == "send":
                self.send(thing, name, number)
            elif kind == "remove":
                self.remove(thing, name)
            elif kind == "delete":
                self.delete(thing, name, number)
            elif kind == "add":
                self.add(thing)
            else:
                self.start(number if kind == "crash" else 0, report=kind == "start")
            assert now(self.twin) == self.model.current(), kind
        self.report()
        for thing in {thing for _, thing, _, _ in acts if thing}:
            assert self.known(thing) == self.model.known.get(thing), thing
        versions = self.registry.things.version()
        self.start(0, report=True)
        assert self.registry.things.version() == versions

    def known(self, thing: str) -> set[str] | None:
        try:
            return set(self.registry.things.get(thing).td.get("properties", {}))
        except NotFoundError:
            return None

    @property
    def end(self) -> int:
        return end_of(len(self.blocks))

    def send(self, thing: str, name: str, time: int) -> None:
        sequence = len(self.blocks) + 1
        self.blocks.append(
            block_of(sequence, said(thing, NOW_NS + sequence, at=NOW_NS // 10**9 - time, **{name: sequence}))
        )
        self.twin.apply(self.blocks[-1])
        moment = (NOW_NS // 10**9 - time) * NS_PER_S
        self.model.sent.setdefault((thing, name), []).append((block.position(sequence, 0), moment, sequence))
        if name not in self.model.known.get(thing, ()) and self.model.removed:
            reach("came back")
        self.model.known.setdefault(thing, set()).add(name)

    def report(self) -> None:
        report = self.twin.discovery.due(self.clock())
        if report is not None:
            self.registry.things.observe(report.seen, self.clock())
            self.twin.discovery.confirm(report)

    def remove(self, thing: str, name: str | None) -> None:
        self.report()
        try:
            if name is None:
                self.registry.things.remove(thing, position=self.end)
            else:
                self.registry.things.patch(thing, {"properties": {name: None}}, self.clock(), position=self.end)
        except NotFoundError:
            return
        known = self.model.known[thing]
        if name is None:
            del self.model.known[thing]
            self.model.removed[thing, None] = self.end
        elif name in known:
            known.discard(name)
            self.model.removed[thing, name] = self.end
        for removal in self.registry.removals.of(thing):
            self.twin.remove(removal)

    def add(self, thing: str) -> None:
        if thing not in self.model.known:
            self.registry.things.create({"title": thing}, self.clock(), name=thing)
            self.model.known[thing] = set()

    def delete(self, thing: str, name: str | None, time: int) -> None:
        self.report()
        start = (NOW_NS // 10**9 - time) * NS_PER_S
        wanted = Deletion((thing,), (name,) if name else (), start, None, self.end)
        self.deletions.add(wanted)
        for (owner, part), sent in self.model.sent.items():
            if owner == thing and part == (name or part):
                sent[:] = [one for one in sent if one[1] < start]
        series = self.twin.delete(wanted)
        self.twin.restore(self.history(self.registry.removals.all(), series))

    def history(self, removals: Removals, series: list[tuple[str, str]] | None = None) -> Any:
        """The newest of each series as the history finds it, with the rules of `historian.newest`."""
        rows = [
            self.deletions.left(each)
            for each in self.blocks
            if each.readings.column("position")[0].as_py()
            > removals.of_property(*(each.readings.column(name)[0].as_py() for name in ("thing", "property")))
        ]
        wanted = [
            each
            for each in rows
            if series is None
            or (
                each.readings.num_rows
                and tuple(each.readings.column(n)[0].as_py() for n in ("thing", "property")) in series
            )
        ]
        return table_of(*(wanted or [block_of(0)]))

    def start(self, behind: int, *, report: bool) -> None:
        """Stop and start, or crash and start; the history may be some blocks behind the log."""
        if report:
            self.report()
        finished = max(0, len(self.blocks) - behind)
        removals = self.registry.removals.all()
        self.twin = Twin(self.clock, self.deletions)
        everything, self.blocks = self.blocks, self.blocks[:finished]
        self.twin.load(self.history(removals), finished, removals=removals)
        if removals and len(self.history(removals)) < sum(len(self.deletions.left(b).readings) for b in self.blocks):
            reach("hidden at a start")
        self.blocks = everything
        for each in everything[finished:]:
            self.twin.apply(each)
        version = self.registry.things.version()
        self.report()
        if report:
            assert self.registry.things.version() == version
        elif self.registry.things.version() != version:
            reach("discovered at a start")


def test_events_wait_within_bounds(twin: Twin, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allthings.twin.events.EVENT_NAMES_MAX", 2)
    for sequence, thing in enumerate("abc", 1):
        twin.apply(rung(sequence, thing))
    report = twin.discovery.due(clock())
    assert report is not None
    assert report.seen == [SeenEvent("a", "rung", block.position(1, 0)), SeenEvent("b", "rung", block.position(2, 0))]
