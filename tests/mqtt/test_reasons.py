"""Reason codes in both versions."""

from __future__ import annotations

import pytest

from allthings.mqtt.reasons import (
    CONNACK_3_TO_5,
    CONNACK_CODES,
    SUBACK_CODES,
    ReasonCode,
    connack_return_code,
    suback_return_code,
)


@pytest.mark.parametrize("code", range(6))
def test_return_codes_of_3_come_back(code: int) -> None:
    assert connack_return_code(CONNACK_3_TO_5[code]) == code


def test_every_connack_code_has_an_answer_or_none() -> None:
    silent = {reason for reason in CONNACK_CODES if connack_return_code(reason) is None}
    # A CONNECT that does not conform: MQTT 3.1.1, [MQTT-3.1.4-1].
    assert silent == {ReasonCode.MALFORMED_PACKET, ReasonCode.PROTOCOL_ERROR, ReasonCode.TOPIC_NAME_INVALID}
    for reason in CONNACK_CODES - silent:
        assert connack_return_code(reason) in range(6)
        assert (connack_return_code(reason) == 0) == (reason == ReasonCode.SUCCESS)


def test_codes_that_no_connack_carries_have_no_answer() -> None:
    assert connack_return_code(ReasonCode.KEEP_ALIVE_TIMEOUT) is None


def test_suback_of_3_knows_one_failure() -> None:
    assert {suback_return_code(code) for code in SUBACK_CODES} == {0, 1, 2, 0x80}
    assert suback_return_code(ReasonCode.WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED) == 0x80
