"""Real components, started once a session, on loopback ports of their own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from allthings.log.stream import Log
from tests.servers import NatsServer

# `make test` draws the same examples in each run, so that a failure is met again; `make soak` draws others each time,
# and prints what repeats them. No deadline: a loaded machine is no finding.
_QUIET = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture)
settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=_QUIET)
settings.register_profile("random", deadline=None, print_blob=True, suppress_health_check=_QUIET)
settings.load_profile(os.environ.get("ALLTHINGS_EXAMPLES", "repeatable"))

#: Folders of what starts the whole platform, which takes longest, so those come first; and which of two workers runs
#: them, one after the other, so that never more than two platforms want the machine at once.
_PLATFORM = {"cli": 1, "console": 1, "runtime": 2, "scenes": 2, "soak": 2}
#: Folders of what opens an embedded history in the test's own process. Each opening keeps some file descriptors, and
#: paho's select() ends at number 1023: so those come last, whichever worker has time for them.
_HISTORY = ("historian", "web")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _place(item.nodeid))
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("property")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Two workers begin with the whole platform; the others take the rest file by file, in the order from above.

    Most tests wait (for disks, timers, processes) more than they compute, so there are twice as many workers as cores.
    """
    config.option.loadscopereorder = False
    return _Scheduling(config, log)


class _Scheduling(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        platform = _PLATFORM.get(file.split("/")[1])
        return f"platform {platform}" if platform else file


def _place(nodeid: str) -> int:
    folder = nodeid.split("/")[1]
    return 0 if folder in _PLATFORM else 2 if folder in _HISTORY else 1


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """The session's nats-server. Tests that kill it take one of their own."""
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own_nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A nats-server for one test, which may kill it."""
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
async def log(nats_server: NatsServer) -> AsyncIterator[Log]:
    """A connection to the session's log. Its stream is shared: look only behind your own appends."""
    opened = await Log.connect(nats_server.url)
    yield opened
    await opened.close()
