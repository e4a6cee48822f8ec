import pytest

from allthings.connectors.echoes import Echoes
from allthings.connectors.settings import ECHO_WITHIN_S


def test_each_message_comes_back_once() -> None:
    echoes = Echoes()
    echoes.expect("a", b"1", 0)
    echoes.expect("a", b"1", 1)
    assert [echoes.is_one("a", b"1", 2) for _ in range(3)] == [True, True, False]
    assert len(echoes) == 0


def test_topic_and_payload_tell_messages_apart() -> None:
    echoes = Echoes()
    echoes.expect("a", b"1", 0)
    assert not echoes.is_one("a", b"2", 0)
    assert not echoes.is_one("b", b"1", 0)
    assert not echoes.is_one("a1", b"", 0)
    assert echoes.is_one("a", b"1", 0)


def test_what_does_not_come_back_in_time_is_expected_no_more() -> None:
    echoes = Echoes()
    echoes.expect("a", b"1", 0)
    assert not echoes.is_one("a", b"1", ECHO_WITHIN_S)


def test_an_echo_that_came_does_not_end_the_next_one_early() -> None:
    echoes = Echoes()
    echoes.expect("a", b"1", 0)
    assert echoes.is_one("a", b"1", 1)
    echoes.expect("a", b"1", 20)
    assert echoes.is_one("a", b"1", ECHO_WITHIN_S + 5)


def test_what_is_overdue_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    echoes = Echoes()
    for number in range(100):
        echoes.expect("a", b"%d" % number, 0)
    assert len(echoes) == 100
    echoes.expect("a", b"new", ECHO_WITHIN_S)
    assert len(echoes) == 1


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allthings.connectors.echoes.ECHOES_MAX", 5)
    echoes = Echoes()
    for number in range(50):
        echoes.expect("a", b"%d" % number, 0)
    assert len(echoes) == 5
    assert not echoes.is_one("a", b"0", 0)
    assert echoes.is_one("a", b"49", 0)


def test_clear_expects_nothing() -> None:
    echoes = Echoes()
    echoes.expect("a", b"1", 0)
    echoes.clear()
    assert len(echoes) == 0
    assert not echoes.is_one("a", b"1", 0)
