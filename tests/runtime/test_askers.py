"""A platform that many ask for much: what else it does goes on, and it stops when it is told to."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pyarrow as pa
import pytest

from allthings.testing.platform import Platform, wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

ENDLESS = "SELECT count() FROM readings a CROSS JOIN readings b CROSS JOIN readings c"
ROWS = 400_000
#: 2026-01-01 00:00:00 UTC, in seconds; a reading each second from then on.
START_S = 1_767_225_600
LARGE = "/api/history?thing=tank&property=level&format=csv"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """With readings of some days."""
    with Platform(tmp_path_factory.mktemp("askers")) as platform:
        table = pa.table(
            {
                "thing": pa.array(["tank"] * ROWS),
                "property": pa.array(["level"] * ROWS),
                "time": pa.array(START_S + np.arange(ROWS), pa.timestamp("s", tz="UTC")),
                "value": pa.array(np.arange(ROWS, dtype=np.float64)),
            }
        )
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        media_type = {"Content-Type": "application/vnd.apache.arrow.stream"}
        body = sink.getvalue().to_pybytes()
        httpx.post(f"{platform.http}/api/readings", content=body, headers=media_type, timeout=60).raise_for_status()

        def stored() -> bool:
            parameters = {"thing": "tank", "property": "level", "aggregate": "count"}
            answer = httpx.get(f"{platform.http}/api/history", params=parameters, timeout=30)
            # Until its first readings are seen the thing is not known.
            return answer.status_code == 200 and [row[1] for row in answer.json()["series"][0]["points"]] == [ROWS]

        assert wait_until(stored, 60)
        yield platform


def asked(
    platform: Platform, sql: str, answers: list[httpx.Response | None], timeout_s: float = 120
) -> threading.Thread:
    """Ask in a thread of its own; None stands for an answer that never came."""

    def ask() -> None:
        try:
            answers.append(httpx.post(f"{platform.http}/api/query", json={"sql": sql}, timeout=timeout_s))
        except httpx.HTTPError:
            answers.append(None)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def one(platform: Platform) -> httpx.Response:
    """SQL that is answered at once when it has its turn."""
    return httpx.post(f"{platform.http}/api/query", json={"sql": "SELECT 7"}, timeout=20)


def test_sql_that_nobody_waits_for_is_ended(platform: Platform) -> None:
    answers: list[httpx.Response | None] = []
    asked(platform, ENDLESS, answers, timeout_s=1).join()
    assert answers == [None]
    # One question of an asker at a time: this one has its turn when that one has ended, long before its limit of time.
    assert one(platform).json()["rows"] == [[7]]


def test_sql_has_a_limit_an_asker_and_stops_no_chart(platform: Platform) -> None:
    answers: list[httpx.Response | None] = []
    threads = [asked(platform, ENDLESS, answers, timeout_s=5) for _ in range(8)]
    # One runs and four wait.
    assert wait_until(lambda: len(answers) >= 3, 20)
    for answer in answers[:3]:
        assert answer is not None
        assert answer.status_code == 429
        assert answer.json()["type"] == "urn:allthings:problem:too-many-requests"
        assert int(answer.headers["retry-after"]) >= 1
    parameters = {"thing": "tank", "property": "level", "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}
    chart = httpx.get(f"{platform.http}/api/history", params={**parameters, "every": "1h"}, timeout=20).json()
    assert len(chart["series"][0]["points"]) == 24
    assert httpx.get(f"{platform.http}/api/status", timeout=20).status_code == 200
    assert len(answers) == 3, "the cross joins have not ended meanwhile"
    for thread in threads:
        thread.join()
    assert one(platform).json()["rows"] == [[7]]


def test_it_stops_whatever_runs(platform: Platform) -> None:
    answers: list[httpx.Response | None] = []
    threads = [asked(platform, ENDLESS, answers) for _ in range(4)]
    with contextlib.ExitStack() as stack:
        for path in (LARGE, LARGE, "/api/live"):
            # These read nothing of their answer, or all the time.
            reader = stack.enter_context(socket.create_connection(("127.0.0.1", platform.http_port)))
            reader.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            assert reader.recv(4) == b"HTTP"
        assert answers == []
        began = time.monotonic()
        assert platform.stop(30) == 0
        assert time.monotonic() - began < 10
    for thread in threads:
        thread.join()
    said = "\n".join(platform.output)
    assert "Traceback" not in said
    assert "killed" not in said
    # Who asked was told, or lost the connection.
    assert len(answers) == 4
    for answer in answers:
        assert answer is None or answer.status_code == 503
