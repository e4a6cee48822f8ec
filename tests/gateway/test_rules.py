"""Which filters cover which, against a plain model; and what placeholders may become."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allthings.gateway.rules import EVERYTHING, NOTHING, Rules, covers
from allthings.mqtt.filters import matches
from allthings.registry.access import AccessRule
from allthings.registry.credentials import Standing
from tests.reaching import must_reach, reach

LAMP = Standing("device", "lamp", "", "main", "certificate")
ADA = Standing("user", "ada", "viewer", "acme", "password:1")


def rule(subject: str, topic_filter: str, publish: bool = True, subscribe: bool = True) -> AccessRule:
    return AccessRule(subject, topic_filter, publish, subscribe, id="id", created_ns=0)


def _filters(depth: int) -> list[str]:
    names = ["a", "b", "+"]
    found = ["#"]
    for size in range(1, depth + 1):
        for levels in itertools.product(names, repeat=size):
            found.append("/".join(levels))
            found.append("/".join((*levels, "#")))
    return found


#: Every topic that tells two of the filters above apart: one level deeper, with a name that no filter has.
TOPICS = ["/".join(levels) for size in range(1, 5) for levels in itertools.product(("a", "b", "c"), repeat=size)]


def test_a_filter_covers_another_when_it_matches_all_that_the_other_matches() -> None:
    filters = _filters(2)
    matched = {one: {topic for topic in TOPICS if matches(one, topic)} for one in filters}
    for allowed, asked in itertools.product(filters, repeat=2):
        expected = matched[asked] <= matched[allowed]
        assert covers(allowed.split("/"), asked.split("/")) == expected, (allowed, asked)
    for allowed, topic in itertools.product(filters, TOPICS):
        assert covers(allowed.split("/"), topic.split("/")) == matches(allowed, topic)


@pytest.mark.parametrize(
    ("allowed", "asked", "expected"),
    [
        ("#", "$SYS/#", False),
        ("#", "$SYS", False),
        ("+/a", "$SYS/a", False),
        ("$SYS/#", "$SYS/#", True),
        ("$SYS/#", "#", False),
        ("#", "#", True),
        ("#", "+/+", True),
        ("a/#", "a", True),
        ("a/+/#", "a", False),
        ("a/+/#", "a/#", False),
        ("a//b", "a//b", True),
        ("a/+/b", "a//b", True),
        ("/#", "/", True),
        ("+", "", True),
        ("a/$x", "a/$x", True),
        ("a/+", "a/$x", True),
    ],
)
def test_the_edges(allowed: str, asked: str, expected: bool) -> None:
    assert covers(allowed.split("/"), asked.split("/")) is expected


_LEVEL = st.sampled_from(["a", "b", "$s", "+", ""])
_FILTER = st.builds(
    lambda levels, tail: "/".join([*levels, "#"] if tail else levels),
    st.lists(_LEVEL, min_size=1, max_size=4),
    st.booleans(),
)
_TOPIC = st.lists(st.sampled_from(["a", "b", "$s", "", "c"]), min_size=1, max_size=5).map("/".join)


@must_reach("covered")
@given(_FILTER, _FILTER, _TOPIC)
def test_nothing_comes_through_a_covered_filter_that_is_not_allowed(allowed: str, asked: str, topic: str) -> None:
    if covers(allowed.split("/"), asked.split("/")) and matches(asked, topic):
        reach("covered")
        assert matches(allowed, topic)


def test_rules_are_for_their_subjects() -> None:
    subjects = ["devices", "thing:lamp", "thing:pump", "users", "role:viewer", "role:admin", "user:ada", "user:bob"]
    subjects += ["authenticated", "anonymous", "tenant:main", "tenant:acme"]
    rules = Rules([rule(subject, subject.replace(":", "/")) for subject in subjects])
    for standing, expected in (
        (LAMP, {"devices", "thing/lamp", "authenticated", "tenant/main"}),
        (ADA, {"users", "role/viewer", "user/ada", "authenticated", "tenant/acme"}),
        (None, {"anonymous"}),
    ):
        grants = rules.grants(standing, "c")
        topics = [subject.replace(":", "/") for subject in subjects]
        assert {topic for topic in topics if grants.publishing(topic)} == expected
        assert {topic for topic in topics if grants.subscribing(topic)} == expected
    assert rules.anonymous
    assert not Rules().anonymous


def test_publishing_and_subscribing_are_apart() -> None:
    grants = Rules([rule("devices", "in/#", subscribe=False), rule("devices", "out/#", publish=False)]).grants(
        LAMP, "c"
    )
    assert grants.publishing("in/x")
    assert not grants.subscribing("in/x")
    assert grants.subscribing("out/x")
    assert not grants.publishing("out/x")


def test_a_shared_subscription_needs_what_its_filter_needs() -> None:
    grants = Rules([rule("devices", "things/{thing}/#")]).grants(LAMP, "c")
    assert grants.subscribing("$share/g/things/lamp/#")
    assert not grants.subscribing("$share/g/things/+/#")
    assert not grants.subscribing("$share/g/#")


def test_topics_of_the_server_are_published_by_nobody() -> None:
    grants = Rules([rule("users", "$SYS/#"), rule("users", "$share/#")]).grants(ADA, "c")
    assert not grants.publishing("$SYS/x")
    assert not EVERYTHING.publishing("$SYS/x")
    named = Rules([rule("users", "$SYS/#"), rule("users", "$share/#"), rule("users", "$lab/#")]).grants(ADA, "c")
    assert not named.publishing("$share/x/y")
    assert named.publishing("$lab/x")
    assert EVERYTHING.publishing("$lab/x")
    assert grants.subscribing("$SYS/x")
    assert EVERYTHING.subscribing("$SYS/#")
    for topic, expected in (("$SYS/broker/connection/edge/state", True), ("$SYS/broker/connection/edge", False)):
        assert bool(grants.publishing(topic)) is bool(EVERYTHING.publishing(topic)) is expected
        assert not Rules([rule("users", "#")]).grants(ADA, "c").publishing(topic)
    assert EVERYTHING.subscribing("#")
    assert EVERYTHING.publishing("a/b")
    assert not NOTHING.publishing("a")
    assert not NOTHING.subscribing("a")


def test_placeholders() -> None:
    rules = Rules(
        [rule("authenticated", one) for one in ("t/{thing}/#", "u/{user}/#", "c/{client}/#", "x/pre-{thing}-{client}")]
    )
    device = rules.grants(LAMP, "c1")
    assert device.publishing("t/lamp/a")
    assert device.publishing("c/c1/a")
    assert device.publishing("x/pre-lamp-c1")
    assert not device.publishing("t/pump/a")
    assert not device.publishing("u/lamp/a")
    assert not device.publishing("u/{user}/a")
    user = rules.grants(ADA, "c1")
    assert user.publishing("u/ada/a")
    assert not user.publishing("t/ada/a")


@pytest.mark.parametrize(
    "client",
    [
        "#",
        "+",
        "a/b",
        "+/+",
        "/",
        "a/#",
        "",
        "$SYS",
        "$share",
        "x+y",
        "a#",
        "\x00",
        "{thing}/#",
        "{user}",
        "{client}/+",
    ],
)
def test_a_client_id_is_never_a_wildcard(client: str) -> None:
    rules = Rules([rule("devices", "c/{client}/#"), rule("devices", "{client}/#"), rule("devices", "{client}")])
    grants = rules.grants(LAMP, client)
    for topic in ("c/other/x", "other/x", "other", "c", "$SYS/x", "a/b", "c/a/b/x", "lamp/x", "ada"):
        assert not grants.publishing(topic)
        assert not grants.subscribing(topic)
    for topic_filter in ("#", "+/#", "c/#", "c/+/#", "$SYS/#", "a/#", "+"):
        assert not grants.subscribing(topic_filter)


@must_reach("another's")
@given(st.text(max_size=20), st.text(max_size=20), st.sampled_from(["{client}/#", "c/{client}", "c/x{client}/+/#"]))
def test_nobody_gets_what_is_anothers_whatever_they_call_themselves(mine: str, other: str, topic_filter: str) -> None:
    if mine == other or "/" in other:
        return
    reach("another's")
    own = topic_filter.replace("{client}", other).replace("/#", "/y").replace("+", "z")
    grants = Rules([rule("devices", topic_filter)]).grants(LAMP, mine)
    assert not grants.publishing(own)
