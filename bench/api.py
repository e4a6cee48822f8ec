"""The few questions that the measurements ask of a running platform over HTTP."""

from __future__ import annotations

from typing import Any

import httpx

from allthings.testing.platform import Platform, wait_until
from allthings.things.times import now_ns, parse_time

ANSWER_WITHIN_S = 60.0
#: Consumers of the log that make readings queryable and current. Others keep their positions seldom.
CONSUMERS = ("historian", "twin")


class Api:
    """A client of a platform that runs with `--open`."""

    def __init__(self, platform: Platform) -> None:
        self.client = httpx.Client(base_url=platform.http, timeout=ANSWER_WITHIN_S)

    def status(self) -> dict[str, Any]:
        """`/api/status`."""
        return dict(self._get("/api/status").json())

    def lags(self) -> dict[str, tuple[int, float]]:
        """Of historian and twin: how many blocks and seconds they are behind."""
        return {
            each["name"]: (int(each["lag_blocks"]), float(each["lag_s"] or 0))
            for each in self.status()["consumers"]
            if each["name"] in CONSUMERS
        }

    def wait_consumed(self, within_s: float) -> bool:
        """Wait until historian and twin have finished all that is in the log by now; whether that came to pass."""
        asked_ns = now_ns()

        def consumed() -> bool:
            status = self.status()
            fresh = parse_time(status["now"]) > asked_ns  # a status may be a second old
            positions = {each["name"]: each["position"] for each in status["consumers"]}
            return fresh and all(positions.get(name) == status["log"]["last"] for name in CONSUMERS)

        return wait_until(consumed, within_s, every_s=0.2)

    def count(self, condition: str) -> int:
        """How many readings there are, by SQL."""
        answer = self.client.post("/api/query", json={"sql": f"SELECT count() FROM readings WHERE {condition}"})
        answer.raise_for_status()
        return int(answer.json()["rows"][0][0])

    def _get(self, path: str, **parameters: Any) -> httpx.Response:
        answer = self.client.get(path, params=parameters)
        answer.raise_for_status()
        return answer
