"""Hypothesis strategies for every packet that the standard allows, in both versions."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from allthings.mqtt import reasons
from allthings.mqtt.packets import (
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Will,
)
from allthings.mqtt.properties import DEFINITIONS, NO_PROPERTIES, Carrier, Definition, Properties, WireType
from allthings.mqtt.reasons import ReasonCode
from allthings.mqtt.versions import V3, V5, Version

_CHARACTERS = st.characters(exclude_categories=("Cs",), exclude_characters="\0")
_TOPIC_CHARACTERS = st.characters(exclude_categories=("Cs",), exclude_characters="\0+#/")

texts = st.text(_CHARACTERS, max_size=20)
levels = st.text(_TOPIC_CHARACTERS, max_size=4)
topic_names = st.lists(levels, min_size=1, max_size=6).map("/".join).filter(bool)
payloads = st.one_of(st.binary(max_size=40), st.binary(min_size=120, max_size=300))
packet_ids = st.integers(1, 65535)
qos_levels = st.integers(0, 2)


@st.composite
def topic_filters(draw: st.DrawFn, *, shared: bool = False) -> str:
    """Valid filters; with `shared` some with a share name."""
    parts = draw(st.lists(st.one_of(levels, st.just("+")), max_size=5))
    if not parts or draw(st.booleans()):
        parts.append("#")
    found = "/".join(parts) or "/"
    if found.startswith("$share"):
        found = "x" + found
    if shared and draw(st.booleans()):
        found = f"$share/{draw(levels.filter(bool))}/{found}"
    return found


def _value(definition: Definition) -> st.SearchStrategy[Any]:
    lowest = 1 if definition.name in ("receive_maximum", "maximum_packet_size", "topic_alias") else 0
    if definition.name == "response_topic":
        return topic_names
    return {
        WireType.BIT: st.integers(0, 1),
        WireType.BOOLEAN: st.booleans(),
        WireType.TWO_BYTES: st.integers(lowest, 65535),
        WireType.FOUR_BYTES: st.integers(lowest, 0xFFFF_FFFF),
        WireType.VARINT: st.integers(1, 268_435_455),
        WireType.STRING: texts,
        WireType.PAIR: st.tuples(texts, texts),
        WireType.BINARY: st.binary(max_size=20),
    }[definition.wire_type]


@st.composite
def properties(draw: st.DrawFn, carrier: Carrier) -> Properties:
    """Any set of what `carrier` may have."""
    values: dict[str, Any] = {}
    for definition in DEFINITIONS:
        if carrier not in definition.carriers or not draw(st.booleans()):
            continue
        value = _value(definition)
        if definition.repeats:
            size = 3 if carrier in definition.repeats else 1
            value = st.lists(value, max_size=size).map(tuple)
        values[definition.name] = draw(value)
    if "authentication_data" in values:
        values.setdefault("authentication_method", "x")
    return Properties(**values)


def _properties(carrier: Carrier, version: Version) -> st.SearchStrategy[Properties]:
    return properties(carrier) if version == V5 else st.just(NO_PROPERTIES)


def connects(version: Version) -> st.SearchStrategy[Connect]:
    wills = st.builds(Will, topic_names, payloads, qos_levels, st.booleans(), _properties(Carrier.WILL, version))
    return (
        st.builds(
            Connect,
            texts,
            st.just(version),
            st.booleans(),
            st.integers(0, 65535),
            st.none() | texts,
            st.none() | st.binary(max_size=20),
            st.none() | wills,
            _properties(Carrier.CONNECT, version),
        )
        .filter(
            lambda p: version == V5 or ((p.client_id or p.clean_start) and (p.user_name is not None or not p.password))
        )
        .map(
            lambda p: (
                p
                if version == V5 or p.user_name is not None
                else Connect(p.client_id, p.version, p.clean_start, p.keep_alive_s, None, None, p.will)
            )
        )
    )


def connacks(version: Version) -> st.SearchStrategy[Connack]:
    codes = reasons.CONNACK_CODES if version == V5 else frozenset(reasons.CONNACK_3_TO_5.values())
    given = _properties(Carrier.CONNACK, version)
    refused = st.sampled_from(sorted(codes)).filter(bool)
    return st.one_of(
        st.builds(Connack, st.booleans(), st.just(ReasonCode.SUCCESS), given),
        st.builds(Connack, st.just(False), refused, given),
    )


@st.composite
def publishes(draw: st.DrawFn, version: Version) -> Publish:
    qos = draw(qos_levels)
    given = draw(_properties(Carrier.PUBLISH, version))
    topic = draw(topic_names if given.topic_alias is None else st.just("") | topic_names)
    dup = bool(qos) and draw(st.booleans())
    packet_id = draw(packet_ids) if qos else 0
    return Publish(topic, draw(payloads), qos, draw(st.booleans()), dup, packet_id, given)


def acknowledgements(version: Version) -> st.SearchStrategy[Packet]:
    rows: list[tuple[Any, Carrier, frozenset[ReasonCode]]] = [
        (Puback, Carrier.PUBACK, reasons.PUBACK_CODES),
        (Pubrec, Carrier.PUBREC, reasons.PUBACK_CODES),
        (Pubrel, Carrier.PUBREL, reasons.PUBREL_CODES),
        (Pubcomp, Carrier.PUBCOMP, reasons.PUBREL_CODES),
    ]
    return st.one_of(
        st.builds(
            kind,
            packet_ids,
            st.sampled_from(sorted(codes)) if version == V5 else st.just(ReasonCode.SUCCESS),
            _properties(carrier, version),
        )
        for kind, carrier, codes in rows
    )


@st.composite
def subscribes(draw: st.DrawFn, version: Version) -> Subscribe:
    v5 = version == V5
    subscriptions = []
    for topic_filter in draw(st.lists(topic_filters(shared=v5), min_size=1, max_size=4)):
        subscriptions.append(
            Subscription(
                topic_filter,
                draw(qos_levels),
                v5 and not topic_filter.startswith("$share/") and draw(st.booleans()),
                v5 and draw(st.booleans()),
                draw(st.integers(0, 2)) if v5 else 0,
            )
        )
    return Subscribe(draw(packet_ids), tuple(subscriptions), draw(_properties(Carrier.SUBSCRIBE, version)))


def subacks(version: Version) -> st.SearchStrategy[Suback]:
    codes = sorted(reasons.SUBACK_CODES)
    if version == V3:
        codes = [ReasonCode.SUCCESS, ReasonCode.GRANTED_QOS_1, ReasonCode.UNSPECIFIED_ERROR]
    chosen = st.lists(st.sampled_from(codes), min_size=1, max_size=5).map(tuple)
    return st.builds(Suback, packet_ids, chosen, _properties(Carrier.SUBACK, version))


def unsubscribes(version: Version) -> st.SearchStrategy[Unsubscribe]:
    filters = st.lists(topic_filters(shared=version == V5), min_size=1, max_size=4).map(tuple)
    return st.builds(Unsubscribe, packet_ids, filters, _properties(Carrier.UNSUBSCRIBE, version))


def unsubacks(version: Version) -> st.SearchStrategy[Unsuback]:
    if version == V3:
        return st.builds(Unsuback, packet_ids)
    codes = st.lists(st.sampled_from(sorted(reasons.UNSUBACK_CODES)), min_size=1, max_size=5).map(tuple)
    return st.builds(Unsuback, packet_ids, codes, properties(Carrier.UNSUBACK))


def disconnects(version: Version) -> st.SearchStrategy[Disconnect]:
    if version == V3:
        return st.just(Disconnect())
    return st.builds(Disconnect, st.sampled_from(sorted(reasons.DISCONNECT_CODES)), properties(Carrier.DISCONNECT))


def auths() -> st.SearchStrategy[Auth]:
    return st.builds(
        Auth,
        st.sampled_from(sorted(reasons.AUTH_CODES)),
        properties(Carrier.AUTH).filter(lambda given: given.authentication_method is not None),
    ) | st.just(Auth())


def packets(version: Version) -> st.SearchStrategy[Packet]:
    """Any packet of a version."""
    kinds: list[st.SearchStrategy[Any]] = [
        connects(version),
        connacks(version),
        publishes(version),
        acknowledgements(version),
        subscribes(version),
        subacks(version),
        unsubscribes(version),
        unsubacks(version),
        disconnects(version),
        st.just(Pingreq()),
        st.just(Pingresp()),
    ]
    if version == V5:
        kinds.append(auths())
    return st.one_of(kinds)
