"""What is a topic, what is a filter, what matches what; and the trees against the plain definition."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from paho.mqtt.client import topic_matches_sub

from allthings.mqtt.errors import MalformedPacketError, ProtocolError
from allthings.mqtt.filters import (
    LEVELS_MAX,
    RetainedTree,
    SubscriptionTree,
    check_topic_filter,
    check_topic_name,
    decode_topic_name,
    matches,
    split_share,
)
from allthings.mqtt.reasons import ReasonCode
from tests.reaching import must_reach, reach

from .packet_strategies import topic_filters, topic_names

# Few different levels, so that much matches.
topics = st.lists(st.sampled_from(["", "a", "b", "$x"]), min_size=1, max_size=5).map("/".join).filter(bool)
filters = st.builds(
    lambda parts, end: "/".join(parts + end),
    st.lists(st.sampled_from(["", "a", "b", "$x", "+"]), max_size=4),
    st.sampled_from([["#"], ["a"], ["+"], [""], []]),
).filter(bool)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        # MQTT 5 sections 4.7.1.2, 4.7.1.3, 4.7.2: the standard's own examples.
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("#", "sport", True),
        ("sport/tennis/+", "sport/tennis/player1", True),
        ("sport/tennis/+", "sport/tennis/player2", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/monitor/Clients", False),
        ("+/monitor/Clients", "$SYS/monitor/Clients", False),
        ("$SYS/#", "$SYS/monitor/Clients", True),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", True),
        # 4.7.3
        ("ACCOUNTS", "Accounts", False),
        ("/finance", "finance", False),
        # and what they leave open
        ("a/#", "b", False),
        ("a/b/#", "a", False),
        ("+/#", "a", True),
        ("a/+/#", "a", False),
        ("a/$x", "a/$x", True),
        ("a/+", "a/$x", True),
        ("a//b", "a/b", False),
        ("a/+/b", "a//b", True),
    ],
)
def test_matches(topic_filter: str, topic: str, expected: bool) -> None:
    assert matches(topic_filter, topic) is expected
    tree: SubscriptionTree[str] = SubscriptionTree()
    tree.add(topic_filter, "key", "value")
    assert tree.match(topic) == (("value",) if expected else ())
    tree.add("x", "other", "unseen")
    tree.add("a/b/c/d", "other", "unseen")
    assert tree.match(topic) == (("value",) if expected else ())
    retained: RetainedTree[str] = RetainedTree()
    retained.set(topic, "value")
    retained.set(topic + "/beside", "unseen")
    retained.set("x", "unseen")
    found = [entry for entry in retained.match(topic_filter) if entry[1] == "value"]
    assert found == ([(topic, "value")] if expected else [])


@must_reach("matches", "does not match")
@settings(max_examples=500)
@given(filters, topics)
def test_a_stranger_agrees(topic_filter: str, topic: str) -> None:
    reach("matches" if matches(topic_filter, topic) else "does not match")
    assert matches(topic_filter, topic) == topic_matches_sub(topic_filter, topic)


@given(topic_names)
def test_topic_names_are_accepted(topic: str) -> None:
    check_topic_name(topic)
    assert decode_topic_name(topic.encode()) == topic
    assert matches(topic, topic)


@given(topic_filters(shared=True))
def test_topic_filters_are_accepted(topic_filter: str) -> None:
    check_topic_filter(topic_filter)
    name, rest = split_share(topic_filter)
    assert topic_filter == (f"$share/{name}/{rest}" if name else rest)


@pytest.mark.parametrize("topic", ["", "a+", "#", "a/+/b", "/" * LEVELS_MAX])
def test_no_topic_names(topic: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        check_topic_name(topic)
    assert caught.value.reason is ReasonCode.TOPIC_NAME_INVALID
    with pytest.raises(ProtocolError):
        decode_topic_name(topic.encode())


@pytest.mark.parametrize("data", [b"\xff", b"a\0", b"\xed\xa0\x80"])
def test_no_strings(data: bytes) -> None:
    with pytest.raises(MalformedPacketError):
        decode_topic_name(data)


@pytest.mark.parametrize("topic_filter", ["", "a#", "#/a", "a/#/b", "##", "a+", "+a/b", "++", "$share/g", "$share//a"])
def test_no_topic_filters(topic_filter: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        check_topic_filter(topic_filter)
    assert caught.value.reason is ReasonCode.TOPIC_FILTER_INVALID


def test_share_is_a_name_like_any_other_in_mqtt_3() -> None:
    check_topic_filter("$share//a", shared=False)
    with pytest.raises(ProtocolError):
        check_topic_filter("$share/+a", shared=False)


class TreesAreLists(RuleBasedStateMachine):
    """Both trees against lists that are searched with `matches`."""

    @initialize(memo_bytes_max=st.sampled_from([0, 400, 1 << 20]))
    def start(self, memo_bytes_max: int) -> None:
        self.tree: SubscriptionTree[tuple[str, int, int]] = SubscriptionTree(memo_bytes_max)
        self.retained: RetainedTree[int] = RetainedTree()
        self.subscriptions: dict[tuple[str, int], int] = {}
        self.messages: dict[str, int] = {}

    @rule(topic_filter=filters, key=st.integers(0, 3), value=st.integers(0, 9))
    def subscribe(self, topic_filter: str, key: int, value: int) -> None:
        new = (topic_filter, key) not in self.subscriptions
        assert self.tree.add(topic_filter, key, (topic_filter, key, value)) is new
        self.subscriptions[topic_filter, key] = value

    @rule(topic_filter=filters, key=st.integers(0, 3))
    def unsubscribe(self, topic_filter: str, key: int) -> None:
        there = self.subscriptions.pop((topic_filter, key), None) is not None
        assert self.tree.remove(topic_filter, key) is there

    @rule(data=st.data())
    def unsubscribe_one_that_is_there(self, data: st.DataObject) -> None:
        if self.subscriptions:
            topic_filter, key = data.draw(st.sampled_from(sorted(self.subscriptions)))
            del self.subscriptions[topic_filter, key]
            assert self.tree.remove(topic_filter, key)

    @rule(topic=topics)
    def match(self, topic: str) -> None:
        expected = [
            (topic_filter, key, value)
            for (topic_filter, key), value in self.subscriptions.items()
            if matches(topic_filter, topic)
        ]
        assert sorted(self.tree.match(topic)) == sorted(expected)
        assert sorted(self.tree.match(topic)) == sorted(expected)  # remembered

    @rule(topic=topics, value=st.integers(0, 9))
    def retain(self, topic: str, value: int) -> None:
        assert self.retained.set(topic, value) == self.messages.get(topic)
        self.messages[topic] = value

    @rule(topic=topics)
    def clear(self, topic: str) -> None:
        assert self.retained.remove(topic) == self.messages.pop(topic, None)
        assert self.retained.get(topic) is None

    @rule(topic_filter=filters)
    def match_retained(self, topic_filter: str) -> None:
        expected = [entry for entry in self.messages.items() if matches(topic_filter, entry[0])]
        assert sorted(self.retained.match(topic_filter)) == sorted(expected)

    @invariant()
    def sizes(self) -> None:
        assert len(self.tree) == len(self.subscriptions)
        assert len(self.retained) == len(self.messages)


TestTreesAreLists = TreesAreLists.TestCase
TestTreesAreLists.settings = settings(max_examples=60, stateful_step_count=40)


def test_the_memo_is_bounded() -> None:
    tree: SubscriptionTree[int] = SubscriptionTree(memo_bytes_max=10_000)
    tree.add("#", 1, 1)
    for number in range(10_000):
        assert tree.match(f"topic/{number}") == (1,)
    assert 0 < len(tree._memo) < 100
    assert tree._memo_bytes <= 10_000
    tree.match("x" * 20_000)  # alone over the bound: found, not remembered
    assert "x" * 20_000 not in tree._memo


def test_a_filter_without_wildcards_forgets_only_its_topic() -> None:
    tree: SubscriptionTree[int] = SubscriptionTree()
    tree.add("#", 1, 1)
    tree.match("a")
    tree.match("b")
    tree.add("a", 2, 2)
    assert set(tree._memo) == {"b"}
    assert sorted(tree.match("a")) == [1, 2]
    tree.remove("a", 2)
    assert tree.match("a") == (1,)
    tree.add("+", 3, 3)
    assert not tree._memo


def test_many_plus_filters_stay_searchable() -> None:
    """Each of 2^12 filters over 12 levels matches one topic: the search visits each node once, not more."""
    tree: SubscriptionTree[int] = SubscriptionTree(memo_bytes_max=0)
    for number in range(1 << 12):
        levels = ["+" if number >> bit & 1 else "a" for bit in range(12)]
        tree.add("/".join(levels), number, number)
    assert len(tree.match("/".join("a" * 12))) == 1 << 12
    assert tree.match("/".join("a" * 11)) == ()
