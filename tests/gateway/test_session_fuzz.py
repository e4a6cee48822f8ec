"""A short form of the fuzzer of sessions (tests/fuzz/fuzz_sessions.py): no bytes of any client break the gateway."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import allthings.gateway.settings
from tests.fuzz.session_inputs import sit

_steps = st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), max_size=60).map(
    lambda steps: bytes(each for step in steps for each in step)
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allthings.gateway.settings, "SMALL_BLOCK_EVERY_S", 0.0)
    monkeypatch.setattr(allthings.gateway.settings, "SESSION_MEMORY_MESSAGES_MAX", 4)
    monkeypatch.setattr(allthings.gateway.settings, "QUEUE_MESSAGES_MAX", 20)


@given(_steps | st.binary(max_size=400))
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_clients_send_the_gateway_comes_to_rest(data: bytes) -> None:
    asyncio.run(sit(data))
