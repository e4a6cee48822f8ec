"""Topic aliases of one connection (MQTT 5 section 3.3.2.3.4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allthings.gateway import settings
from allthings.gateway.aliases import GivenAliases, TakenAliases
from allthings.mqtt.errors import ProtocolError
from allthings.mqtt.packets import Publish
from allthings.mqtt.properties import Properties
from allthings.mqtt.reasons import ReasonCode

TOPICS = st.sampled_from([b"a", b"b", b"c/d", b"e"])


def publish(topic: str, alias: int) -> Publish:
    return Publish(topic, b"", properties=Properties(topic_alias=alias))


@given(most=st.integers(1, 5), sent=st.lists(st.tuples(TOPICS, st.booleans())))
def test_a_client_that_keeps_what_it_is_given_knows_every_topic(most: int, sent: list[tuple[bytes, bool]]) -> None:
    aliases = GivenAliases(most)
    known: dict[int, bytes] = {}
    for topic, room in sent:
        shown, property_ = aliases.of(topic, room=room)
        if not property_:
            assert shown == topic
            continue
        assert property_[:1] == b"\x23"
        alias = int.from_bytes(property_[1:])
        assert 1 <= alias <= most
        if shown:
            assert shown == topic
            assert room
            assert alias not in known
            known[alias] = topic
        else:
            assert known[alias] == topic


def test_no_more_are_given_than_we_allow_whatever_the_client_takes() -> None:
    aliases = GivenAliases(65_535)
    given = [aliases.of(b"%d" % n, room=True)[1] for n in range(settings.TOPIC_ALIASES_MAX + 1)]
    assert all(given[:-1])
    assert given[-1] == b""


def test_an_alias_stands_for_the_topic_it_was_last_given_to() -> None:
    aliases = TakenAliases()
    for topic in ("a", "b"):
        assert aliases.resolve(publish(topic, 1)).topic == topic
    assert aliases.resolve(publish("", 1)).topic == "b"


@pytest.mark.parametrize(
    ("alias", "reason"),
    [(settings.TOPIC_ALIASES_MAX + 1, ReasonCode.TOPIC_ALIAS_INVALID), (2, ReasonCode.PROTOCOL_ERROR)],
)
def test_an_alias_beyond_the_maximum_or_for_no_topic_yet_is_refused(alias: int, reason: ReasonCode) -> None:
    aliases = TakenAliases()
    aliases.resolve(publish("a", 1))
    with pytest.raises(ProtocolError) as refused:
        aliases.resolve(publish("", alias))
    assert refused.value.reason is reason
