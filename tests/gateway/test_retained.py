"""The last message of each topic, in whatever order those of several gateways come."""

from __future__ import annotations

import pytest

from allthings.gateway import settings
from allthings.gateway.retained import Retained, RetainedMessage


def message(payload: bytes, position: int) -> RetainedMessage:
    return RetainedMessage(payload, 1, None, 0, position)


def test_the_newest_in_the_log_stays_whichever_comes_last() -> None:
    retained = Retained()
    retained.keep("t", message(b"new", 9))
    retained.keep("t", message(b"old", 5))
    retained.keep("t", message(b"", 4))
    assert retained.match("t") == [("t", message(b"new", 9))]


@pytest.mark.parametrize("before", [True, False])
def test_what_is_older_than_a_removal_does_not_bring_a_message_back(before: bool) -> None:
    retained = Retained()
    if before:
        retained.keep("t", message(b"first", 3))
    retained.keep("t", message(b"", 9))
    retained.keep("t", message(b"old", 5))
    retained.settled(8)
    retained.keep("t", message(b"old", 7))
    assert not retained
    retained.settled(9)
    retained.keep("t", message(b"new", 10))
    assert retained.get("t") == message(b"new", 10)


def test_removals_are_remembered_only_for_so_many_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "REMOVED_MAX", 2)
    retained = Retained()
    for number in range(3):
        retained.keep(f"t{number}", message(b"", 9))
    for number in range(3):
        retained.keep(f"t{number}", message(b"old", 5))
    assert [topic for topic, _ in retained.match("#")] == ["t0"]
