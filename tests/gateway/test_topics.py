"""The tree of topics: what it counts, what it leaves out, and that it stays small. Time is an argument."""

from __future__ import annotations

import pytest

from allthings.gateway import settings
from allthings.gateway.gathering import Run
from allthings.gateway.questions import AskTopics, TopicsAnswer
from allthings.gateway.topics import Topics


def take(topics: Topics, *names: str, at_ns: int = 1, count: int = 1) -> None:
    """One block with `count` messages on each topic."""
    runs = [Run(name, "c", 1, None, count, None) for name in names]
    topics.take(runs, [name.encode() for name in names for _ in range(count)], at_ns)


async def ask(topics: Topics, now_s: float, prefix: str = "", *, sort: str = "name") -> TopicsAnswer:
    question = AskTopics(prefix, 100, sort=sort, descending=sort != "name")  # type: ignore[arg-type]
    return await topics.answer(question, now_s, lambda _: False)


async def test_sums_are_those_of_all_levels_below() -> None:
    topics = Topics()
    take(topics, "a/b", "a/b/c", "a/b", "d")
    take(topics, "a/b", at_ns=50, count=3)
    answer = await ask(topics, 1)
    assert [(one.name, one.messages, one.topics, one.last_ns) for one in answer.levels] == [
        ("a", 6, 2, 52),
        ("d", 1, 1, 4),
    ]
    (b,) = (await ask(topics, 1, "a/")).levels
    assert (b.messages, b.payload, b.own_ns, b.children) == (6, b"a/b", 52, 1)


async def test_while_nobody_looks_only_a_little_is_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "LOOKED_INTO_PER_S", 3)
    topics = Topics()
    await topics.tick(1)
    take(topics, "a", "b")
    take(topics, "c", "d")
    assert len(topics) == 2
    await topics.tick(2)
    take(topics, "c", "d")
    assert len(topics) == 4
    await ask(topics, 3)
    take(topics, *"efghijkl")
    assert len(topics) == 12
    await topics.tick(3 + settings.WATCHED_S)
    take(topics, *"mnopqrst")
    assert len(topics) == 12


async def test_a_rate_is_that_of_the_last_seconds() -> None:
    topics = Topics()
    await ask(topics, 0)
    for second in range(1, 21):
        take(topics, "busy", count=10)
        if second < 5:
            take(topics, "was/busy", count=40)
        await topics.tick(second)
    busy, was = (await ask(topics, 20, sort="rate")).levels
    assert busy.name == "busy"
    assert busy.rate == pytest.approx(10, rel=0.3)
    assert was.rate == 0
    (first, _) = (await ask(topics, 20, sort="messages")).levels
    assert (first.messages, first.name) == (200, "busy")


async def test_the_silent_ones_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "TOPICS_LISTED_MAX", 8)
    topics = Topics()
    await ask(topics, 0)
    for number in range(8):
        take(topics, f"old/{number}/x", at_ns=100 + number)
    take(topics, "new")
    assert (len(topics), topics.unlisted) == (8, 1)
    await topics.tick(1)
    assert len(topics) == 6
    take(topics, "new", at_ns=200)
    answer = await ask(topics, 2)
    assert [(one.name, one.topics, one.messages) for one in answer.levels] == [("new", 1, 1), ("old", 6, 6)]
    assert [one.name for one in (await ask(topics, 2, "old/")).levels] == ["2", "3", "4", "5", "6", "7"]


async def test_of_a_payload_the_beginning_is_kept() -> None:
    topics = Topics()
    topics.take([Run("a", "c", 5, None, 1, None)], [b"x" * 5000], 1)
    (level,) = (await ask(topics, 1)).levels
    assert (len(level.payload), level.payload_bytes, level.qos) == (settings.TOPIC_PAYLOAD_BYTES, 5000, 1)
