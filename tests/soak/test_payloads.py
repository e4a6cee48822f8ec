"""Payloads of every wrong kind, over real MQTT: each becomes a reject or values as documented; none stops the rest."""

from __future__ import annotations

import base64
import math
import queue
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from allthings.testing.platform import Platform, wait_until

ACKNOWLEDGED_WITHIN_S = 30.0
CONSUMED_WITHIN_S = 30.0
MB = 1_000_000

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


class Case(NamedTuple):
    """One message of thing `wrong-{name}`: the part of the topic after the thing, the payload, and what comes of it.

    `values` are the property and value of every reading, `reason` is in the reject's reason ("" for no reject).
    """

    name: str
    payload: bytes
    values: dict[str, Any] = {}  # noqa: RUF012 - a constant table
    reason: str = ""
    part: str = "properties"


CASES = (
    Case("truncated", b'{"temperature": 21.5, "humid', reason="truncated"),
    Case("empty", b"", reason="empty"),
    Case("nan", b'{"temperature": NaN}', reason="no JSON"),
    Case("infinity", b"Infinity", reason="infinity", part="properties/temperature"),
    Case("overflow", b'{"temperature": 1e400}', reason="out of range"),
    Case("huge-integer", b'{"count": ' + b"9" * 40 + b"}", {"count": 1e40}),
    Case("hopeless-integer", b'{"count": ' + b"9" * 400 + b"}", reason="beyond the range"),
    Case("deep", b"[" * 65 + b"]" * 65, reason="nested deeper", part="properties/tree"),
    Case("abyss", b'{"tree":' + b"[" * 100_000 + b"]" * 100_000 + b"}", reason="nested deeper"),
    Case("ten-megabytes", b'{"text":"' + b"x" * (10 * MB) + b'"}', reason="larger than"),
    Case("long-text", b'{"text":"' + b"x" * 70_000 + b'"}', reason="a text of 70,000 bytes"),
    Case("latin-1", '{"room":"Küche"}'.encode("latin-1"), reason="not UTF-8"),
    Case("binary", b"\xff\xfe\x00\x01", reason="not UTF-8", part="properties/raw"),
    Case("scalar", b"21.5", reason="neither an object"),
    Case("no-property", b"{}", reason="without a property"),
    Case("no-object", b"[]", reason="array of 0 objects"),
    Case("bad-name", b'{"a/b": 1}', reason="no property name"),
    Case("year-1970", b'{"@time":"1970-01-01T00:00:00Z","temperature":1.5}', {"temperature": 1.5}),
    Case("year-2100", b'{"@time":"2100-01-01T00:00:00Z","temperature":1.5}', reason="days ahead"),
    Case("no-time", b'{"@time":"yesterday","temperature":1.5}', reason="no RFC 3339"),
    Case("half-good", b'[{"@time":1700000000,"a":1},{"@time":"no","a":2},3]', {"a": 1}, "element 1"),
    Case("plain-text", b"ON", {"power": "ON"}, part="properties/power"),
    Case("bad-event", b"{bad", reason="no JSON", part="events/alarm"),
    Case("wrong-type", b'{"temperature":"hot","humidity":40}', {"humidity": 40}, "type is number"),
    Case("too-large", b'{"temperature":1000}', reason="1000"),
)
#: Described things: a value against the description is a reject.
PROBE = "probe"
DESCRIBED = ("wrong-wrong-type", "wrong-too-large", PROBE)
#: One good message after each bad one, from one device: it must see all of them arrive.
WITNESS = "witness"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with Platform(tmp_path_factory.mktemp("payloads") / "data") as running:
        _describe(running)
        _publish_all(running)
        yield running


def _describe(platform: Platform) -> None:
    for thing in DESCRIBED:
        description = {
            "title": thing,
            "id": f"urn:allthings:{thing}",
            "properties": {"temperature": {"type": "number", "maximum": 150, "forms": [{"href": "temperature"}]}},
        }
        httpx.put(f"{platform.http}/things/{description['id']}", json=description).raise_for_status()
    # The readers of the log learn of new descriptions within a second or two; a probe shows that they have.
    with httpx.Client(base_url=platform.http) as client:
        publisher = _Publisher(platform)

        def refused() -> bool:
            publisher.publish(f"things/{PROBE}/properties", b'{"temperature":9999}')
            return bool(client.get("/api/rejects").json()["rejects"])

        assert wait_until(refused, CONSUMED_WITHIN_S, every_s=0.3), "descriptions do not reach the readers of the log"
        publisher.stop()


class _Publisher:
    """One connection that waits for each acknowledgement."""

    def __init__(self, platform: Platform) -> None:
        self._done: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="wrong", protocol=mqtt.MQTTv5)
        self._client.on_publish = lambda client, data, mid, reason, more: self._done.put(str(reason))
        self._client.on_disconnect = lambda client, data, flags, reason, more: self._done.put(f"closed: {reason}")
        self._client.connect(platform.mqtt_host, platform.mqtt_port)
        self._client.loop_start()

    def publish(self, topic: str, payload: bytes) -> str:
        """The reason code of the acknowledgement."""
        self._client.publish(topic, payload, qos=1)
        return self._done.get(timeout=ACKNOWLEDGED_WITHIN_S)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def _publish_all(platform: Platform) -> None:
    publisher = _Publisher(platform)
    for number, case in enumerate(CASES):
        answer = publisher.publish(f"things/wrong-{case.name}/{case.part}", case.payload)
        assert answer == "Success", f"{case.name}: {answer}"
        assert publisher.publish(f"things/{WITNESS}/properties", b'{"number":%d}' % number) == "Success"
    publisher.stop()
    witnessed = f"SELECT count() FROM readings WHERE thing = '{WITNESS}'"

    def consumed() -> bool:
        return _rows(platform, witnessed) == [[len(CASES)]]

    assert wait_until(consumed, CONSUMED_WITHIN_S, every_s=0.2), "good messages between bad ones did not arrive"


def _rows(platform: Platform, sql: str) -> list[list[Any]]:
    answer = httpx.post(f"{platform.http}/api/query", json={"sql": sql}, timeout=60)
    return list(answer.raise_for_status().json()["rows"])


def _rejects(platform: Platform, case: Case) -> list[dict[str, Any]]:
    """The rejects of a case's topic, whole."""
    topic = f"things/wrong-{case.name}/{case.part}"
    with httpx.Client(base_url=platform.http, timeout=60) as client:
        listed = client.get("/api/rejects", params={"limit": 500}).raise_for_status().json()["rejects"]
        return [
            client.get(f"/api/rejects/{one['id']}").raise_for_status().json() for one in listed if one["topic"] == topic
        ]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_becomes_what_is_documented(platform: Platform, case: Case) -> None:
    rows = _rows(platform, f"SELECT property, number, text FROM readings WHERE thing = 'wrong-{case.name}'")
    found = {name: text if number is None else float(number) for name, number, text in rows}
    assert found.keys() == case.values.keys()
    for name, value in case.values.items():
        assert found[name] == value or math.isclose(found[name], value)
    rejects = _rejects(platform, case)
    assert len(rejects) == bool(case.reason), rejects
    for reject in rejects:
        assert case.reason in reject["reason"]
        kept = base64.b64decode(reject["payload_base64"]) if "payload_base64" in reject else reject["payload"].encode()
        assert kept == case.payload


def test_nothing_had_to_be_restarted_and_no_consumer_is_behind(platform: Platform) -> None:
    status = httpx.get(f"{platform.http}/api/status", timeout=30).raise_for_status().json()
    assert {role["name"]: role["restarts"] for role in status["roles"]} == {"log": 0, "gateway": 0, "platform": 0}
    assert [each["lag_blocks"] for each in status["consumers"]] == [0] * len(status["consumers"])


def test_a_clock_of_1970_is_kept_as_it_was_sent(platform: Platform) -> None:
    asked = {"thing": "wrong-year-1970", "property": "temperature", "to": "1970-01-02T00:00:00Z"}
    answer = httpx.get(f"{platform.http}/api/history", params=asked, timeout=30).raise_for_status().json()
    assert answer["series"][0]["points"] == [["1970-01-01T00:00:00Z", 1.5]]
