"""The whole platform: what is removed or deleted stays so over a stop, kill -9 of everything, and blocks read again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as mqtt
import pytest

from allthings.registry import Deletion, Registry
from allthings.testing.platform import Platform, wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

_MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with Platform(tmp_path / "data") as running:
        yield running


class User:
    """What people and devices do."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    def publish(self, *messages: tuple[str, Any]) -> None:
        """As a device, acknowledged."""
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        client.connect("127.0.0.1", self.platform.mqtt_port)
        client.loop_start()
        for topic, value in messages:
            client.publish(f"things/{topic}", json.dumps(value), qos=1).wait_for_publish(10)
        client.disconnect()
        client.loop_stop()

    def get(self, path: str, **asked: str) -> Any:
        return httpx.get(self.platform.http + path, params=asked, timeout=30)

    def do(self, method: str, path: str, **more: Any) -> Any:
        answer = httpx.request(method, self.platform.http + path, timeout=60, **more)
        return answer.raise_for_status()

    def known(self, thing: str) -> bool:
        return wait_until(lambda: self.get(f"/things/{thing}").status_code == 200, 20)

    def values(self, thing: str) -> dict[str, Any]:
        found = self.get("/api/current", thing=thing).json()["values"]
        return {one["property"]: one["value"] for one in found}

    def history(self, thing: str) -> dict[str, list[Any]]:
        series = self.get("/api/history", thing=thing).json()["series"]
        return {one["property"]: [value for _, value in one["points"]] for one in series if one["points"]}

    def settled(self) -> bool:
        """Whether the registry has heard of all that was sent so far."""
        self.publish(("last-one/properties", {"n": 1}))
        known = self.known("last-one")
        self.do("DELETE", "/things/last-one")
        return known

    def state(self) -> dict[str, Any]:
        """What must be the same after a start: descriptions with their versions, values, when things were heard of."""
        things = self.get("/api/things").json()["things"]
        return {
            one["thing"]: (
                self.get(f"/things/{one['thing']}").headers["etag"],
                self.get(f"/things/{one['thing']}").json(),
                self.values(one["thing"]),
                one["seen"],
            )
            for one in things
        }


def test_nothing_comes_back_but_by_something_new(platform: Platform) -> None:
    user = User(platform)
    user.publish(
        ("gone/properties", {"a": 1}),
        ("part/properties", {"a": 1, "b": 2}),
        ("put/properties", {"a": 1, "b": 2}),
        ("anew/properties", {"a": 1, "b": 2}),
        ("wide/properties", {"x": 5}),
        ("wide/properties", {"x": 500}),
        ("bell/events/rung", {"loud": True}),
    )
    user.do(
        "POST", "/api/readings", json=[{"thing": "up", "property": "v", "value": 1, "time": "2020-01-01T00:00:00Z"}]
    )
    assert all(user.known(thing) for thing in ("gone", "part", "put", "anew", "wide", "bell", "up"))
    user.do("PATCH", "/things/part", json={"properties": {"b": None}}, headers=_MERGE)
    td = user.get("/things/put").json()
    del td["properties"]["b"]
    user.do("PUT", "/things/put", json=td, headers={"Content-Type": "application/td+json"})
    for thing in ("gone", "up", "anew"):
        user.do("DELETE", f"/things/{thing}")
    user.do("POST", "/api/things", json={"thing": "anew"})
    # An older time than those of the values before.
    user.publish(("anew/properties", {"@time": "2026-01-01T00:00:00Z", "a": 7}))
    deleted = user.do("DELETE", "/api/history", params={"thing": "wide", "from": "-1h"}).json()
    assert deleted["readings"] == 2
    assert user.settled()
    before = user.state()
    assert set(before) == {"part", "put", "anew", "wide", "bell"}
    assert (before["anew"][2], before["wide"][2]) == ({"a": 7}, {})
    assert all(one["seen"] is not None for one in user.get("/api/things").json()["things"])
    for stop in (platform.stop, platform.kill_all):
        stop()
        platform.start()
        # A discovery of old things would have come with the one of a new thing.
        assert user.settled()
        assert user.state() == before
        assert user.get("/things/gone").status_code == 404
        assert user.values("gone") == user.values("up") == user.history("wide") == {}
        assert user.history("gone") == {"a": [1]}
    user.publish(("gone/properties", {"c": 3}), ("part/properties", {"b": 4}), ("wide/properties", {"x": 6}))
    assert user.known("gone")
    assert wait_until(lambda: "b" in user.get("/things/part").json()["properties"], 20)
    assert user.values("gone") == {"c": 3}
    assert user.values("part") == {"a": 1, "b": 4}
    assert wait_until(lambda: user.history("wide") == {"x": [6]}, 20)


def test_what_a_crash_cuts_off_is_still_made(platform: Platform) -> None:
    """A discovery, and a deletion of which only the note is on disk."""
    user = User(platform)
    user.publish(("kept/properties", {"a": 1}), ("kept/properties", {"a": 2}))
    assert user.known("kept")
    # Acknowledged, and with that in the log; nobody had time to discover it.
    user.publish(("cut/properties", {"a": 1}), ("cut/events/rung", 1))
    platform.kill_all()
    registry = Registry(f"sqlite:///{platform.data}/registry.db")
    # A position of any log: nothing that this one will bring was deleted.
    registry.deletions.note(Deletion(("kept",), (), None, None, (1 << 62)), 1)
    registry.close()
    platform.start()
    assert user.known("cut")
    assert wait_until(lambda: "rung" in user.get("/things/cut").json().get("events", {}), 20)
    assert user.history("kept") == user.values("kept") == {}
    user.publish(("kept/properties", {"a": 3}))
    assert wait_until(lambda: user.history("kept") == {"a": [3]}, 20)
