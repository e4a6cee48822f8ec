"""Devices wait for a historian that moves but lags, never for one that is down."""

from __future__ import annotations

from allthings.gateway import settings
from allthings.gateway.flow import Lag

MANY = settings.HISTORIAN_BEHIND_MAX + 1


def make() -> tuple[Lag, list[bool]]:
    said: list[bool] = []
    return Lag(said.append), said


def test_a_lagging_historian_slows_devices_until_it_has_caught_up_half() -> None:
    lag, said = make()
    lag.told(1, 0.0)
    lag.appended(2, MANY)
    lag.decide(0.1)
    assert said == [True]
    lag.appended(3, MANY + 10)
    lag.told(2, 0.2)
    lag.decide(0.2)
    assert said == [True, False]
    assert lag.behind == 10


def test_between_half_and_the_limit_nothing_changes() -> None:
    lag, said = make()
    lag.told(1, 0.0)
    lag.appended(2, MANY // 4)
    lag.appended(3, MANY - 1)
    lag.decide(0.0)
    assert said == []
    lag.appended(4, MANY)
    lag.decide(0.0)
    assert said == [True]
    lag.told(2, 0.1)
    lag.decide(0.1)
    assert said == [True]


def test_a_silent_or_stuck_historian_slows_nobody() -> None:
    lag, said = make()
    lag.appended(2, MANY)
    lag.decide(0.0)
    assert said == []
    lag.told(1, 0.0)
    lag.decide(0.1)
    assert said == [True]
    # Silent: its process is gone.
    lag.decide(10.0)
    assert said == [True, False]
    # Told again and again, but the position stands still.
    lag.told(1, 11.0)
    lag.decide(11.0)
    assert said == [True, False]
