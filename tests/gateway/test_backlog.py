"""A backlog is a list of pairs, whatever was taken from its front before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from allthings.gateway import backlog
from allthings.gateway.backlog import QOS, RETAIN, SHARE_SHIFT, SHARES_MAX, Backlog

_steps = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 9), st.integers(0, 31)),
    st.tuples(st.just("prepend"), st.integers(1, 9), st.integers(0, 31)),
    st.tuples(st.just("drop"), st.integers(0, 6), st.just(0)),
    st.tuples(st.just("take"), st.integers(1, 9), st.integers(0, 31)),
)


@given(st.lists(_steps, max_size=60))
def test_it_is_a_list_of_pairs(steps: list[tuple[str, int, int]]) -> None:
    log, plain, dropped = Backlog(), list[tuple[int, int]](), 0
    for step, number, options in steps:
        if step == "append":
            log.append(number, options)
            plain.append((number, options))
        elif step == "prepend":
            log.prepend(number, options)
            plain.insert(0, (number, options))
        elif step == "drop":
            log.drop(number)
            dropped += min(number, len(plain))
            del plain[:number]
        else:
            mask = 0xFFFF & ~RETAIN
            found = next((each for each in plain if each[0] == number and each[1] & mask == options & mask), None)
            taken = log.take(number, options & mask, mask)
            assert taken == (found[1] if found else None)
            if found:
                dropped += plain[0] == found
                plain.remove(found)
        assert len(log) == len(plain)
        assert log.head(100) == plain
        assert log.head(2) == plain[:2]
        assert log.dropped == dropped
    again = Backlog(*log.dump())
    assert again.head(100) == plain


def test_what_was_taken_from_the_front_is_given_back() -> None:
    log = Backlog()
    for number in range(100_000):
        log.append(number, 1)
        if number % 2:
            log.drop(1)
    assert len(log) == 50_000
    assert len(log._positions) < 101_000
    while log:
        log.drop(500)
    assert len(log._positions) < backlog._COMPACT_MIN
    assert log.dropped == 100_000


def test_bits_do_not_overlap() -> None:
    assert QOS & RETAIN == 0
    assert (QOS | RETAIN) >> SHARE_SHIFT == 0
    assert SHARES_MAX << SHARE_SHIFT | QOS | RETAIN == 0xFFFF
