"""One call does what as many calls of sockets would: the same bytes, the same errors."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from allthings.gateway import ring as rings
from allthings.gateway.ring import Ring, RingError
from tests.gateway.conftest import opened_ring

ENTRIES = 16


@pytest.fixture
def ring() -> Iterator[Ring]:
    made = opened_ring(ENTRIES)
    yield made
    made.close()


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """As many as the ring takes; what is not read is refused after a few kilobytes."""
    with ExitStack() as stack:
        made = []
        for _ in range(ENTRIES):
            ours, theirs = (stack.enter_context(each) for each in socket.socketpair())
            ours.setblocking(False)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            made.append((ours, theirs))
        yield made


Pairs = list[tuple[socket.socket, socket.socket]]


def descriptors(pairs: Pairs) -> rings.Descriptors:
    return np.array([ours.fileno() for ours, _ in pairs], np.int32)


def test_each_socket_sends_its_row(ring: Ring, pairs: Pairs) -> None:
    rows = np.arange(ENTRIES * 5, dtype=np.uint8).reshape(ENTRIES, 5)
    assert ring.send(descriptors(pairs), rows).tolist() == [5] * ENTRIES
    assert [theirs.recv(100) for _, theirs in pairs] == [row.tobytes() for row in rows]


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(st.binary(max_size=12), min_size=1, max_size=ENTRIES), max_size=8))
def test_each_socket_is_received_into_its_row_round_after_round(
    ring: Ring, pairs: Pairs, rounds: list[list[bytes]]
) -> None:
    rows = np.zeros((ENTRIES, 8), np.uint8)
    for messages in rounds:
        some = pairs[: len(messages)]
        for (_, theirs), message in zip(some, messages, strict=True):
            theirs.sendall(message)
        received = [b""] * len(some)
        # A row is shorter than what some of them sent; the rest comes next time.
        for _ in range(2):
            for number, result in enumerate(ring.receive(descriptors(some), rows[: len(some)])):
                received[number] += rows[number, : max(0, result)].tobytes()
        assert received == messages


def test_a_socket_without_anything_to_say_does_not_make_the_others_wait(ring: Ring, pairs: Pairs) -> None:
    pairs[1][1].sendall(b"here")
    pairs[2][1].close()
    results = ring.receive(descriptors(pairs[:3]), np.zeros((3, 8), np.uint8))
    assert results.tolist() == [-errno.EAGAIN, 4, 0]


def test_a_socket_that_is_full_takes_part_or_nothing(ring: Ring, pairs: Pairs) -> None:
    _, theirs = pairs[0]
    row, sent = np.full((1, 1000), 1, np.uint8), 0
    while (result := int(ring.send(descriptors(pairs[:1]), row)[0])) > 0:
        sent += result
    assert result == -errno.EAGAIN
    assert sent > 1000
    theirs.setblocking(True)
    assert len(theirs.recv(sent, socket.MSG_WAITALL)) == sent


def test_sockets_that_are_gone_are_errors_of_their_own(ring: Ring, pairs: Pairs) -> None:
    closed = descriptors(pairs[:1])
    pairs[0][0].close()
    pairs[1][1].close()
    everyone = np.concatenate([closed, descriptors(pairs[1:3])])
    assert ring.send(everyone, np.zeros((3, 4), np.uint8)).tolist() == [-errno.EBADF, -errno.EPIPE, 4]


def test_where_there_is_none_it_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(rings, "_SETUP", 100_000)
    with caplog.at_level("INFO"):
        assert Ring.open(ENTRIES) is None
    assert "one by one: [Errno 38] Function not implemented" in caplog.text


def test_what_the_kernel_does_not_go_on_with_is_an_error(
    ring: Ring, pairs: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rings, "_ENTER", 100_000)
    with pytest.raises(RingError, match="not implemented"):
        ring.send(descriptors(pairs), np.zeros((ENTRIES, 4), np.uint8))
