"""Size: what must stay pleasant with ten thousand things. Bounds are wide; `bench` tells the figures."""

import time
from collections.abc import Callable

import pytest

from allthings.registry import Registry, SeenProperty
from allthings.things.types import Kind


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@pytest.mark.parametrize(("things", "each"), [(10_000, 1), (100, 100)])
def test_ten_thousand_new_series_at_once(registry: Registry, things: int, each: int) -> None:
    seen = [
        SeenProperty(f"dev-{number:05}", f"p{column}_c", Kind.NUMBER, 1.0, 2.0)
        for number in range(things)
        for column in range(each)
    ]
    assert _seconds(lambda: registry.things.observe(seen, 1)) < 15
    page = registry.things.list(limit=1)
    assert page.total == things
    assert sum(map(len, registry.things.all_types().values())) == 10_000
    assert _seconds(registry.things.all_types) < 0.5
    assert _seconds(lambda: registry.things.list(search="dev-000", limit=100)) < 2
    assert registry.things.observe(seen, 2) == 0
