"""A twin and its clock."""

from __future__ import annotations

import pytest

from allthings.twin.twin import Twin
from tests.twin.feed import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def twin(clock: Clock) -> Twin:
    return Twin(clock)
