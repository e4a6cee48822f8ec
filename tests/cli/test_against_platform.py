"""The commands against a running platform, as its user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import Commands, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

ROWS = [
    ("2026-11-22T08:00:00Z", 21.5, "heat"),
    ("2026-11-22T08:01:00Z", 22.0, "cool"),
    ("2026-11-22T09:00:00Z", 23.0, ""),
]
SPAN = ("--from", "2026-11-22T00:00:00Z", "--to", "2026-11-23T00:00:00Z")


@pytest.fixture(scope="module")
def pump(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A thing with a past that was imported from a file."""
    path = tmp_path_factory.mktemp("files") / "pump.csv"
    path.write_text("time,temperature,mode\n" + "".join(f"{','.join(map(str, row))}\n" for row in ROWS))
    answer = commands.json("import", str(path), "--thing", "pump")
    assert answer["rejected_total"] == 0
    wait_for(commands, "pump", answer["accepted"])
    return "pump"


def test_things_are_added_shown_listed_and_removed(commands: Commands, tmp_path: Path) -> None:
    td = {"title": "Mill", "id": "urn:example:mill", "properties": {"speed": {"type": "number", "unit": "{rev}/min"}}}
    (tmp_path / "td.json").write_text(json.dumps(td))
    assert commands.run("things", "add", str(tmp_path / "td.json")) == "added urn:example:mill\n"
    assert commands.json("things", "add", str(tmp_path / "td.json"))["done"] == "replaced"
    assert commands.json("things", "show", "urn:example:mill")["title"] == "Mill"
    assert "rpm" in commands.run("things", "show", "urn:example:mill")
    assert [thing["title"] for thing in commands.json("things", "list", "mill")["things"]] == ["Mill"]
    assert "removed" in commands.run("things", "remove", "urn:example:mill", "--yes")
    assert "error: " in commands.run("things", "show", "urn:example:mill", status=1)


def test_a_thing_that_cannot_be_added_says_why(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "td.json").write_text('{"title": 5}')
    assert "error: " in commands.run("things", "add", str(tmp_path / "td.json"), status=1)
    (tmp_path / "td.json").write_text("{")
    assert "is no JSON" in commands.run("things", "add", str(tmp_path / "td.json"), status=1)
    assert "cannot be read" in commands.run("things", "add", str(tmp_path / "none.json"), status=1)
    assert "standard input is no JSON" in commands.run("things", "add", "-", status=1, input="{")
    assert "is no name" in commands.run("things", "add", "no/name", status=1)
    commands.run("things", "add", str(tmp_path / "td.json"), "--title", "Twice", status=2)


def test_a_thing_is_added_by_its_name_and_its_device_given_a_token(commands: Commands) -> None:
    assert commands.run("things", "add", "saw", "--title", "The saw") == "added urn:allthings:saw\n"
    assert commands.json("things", "show", "saw")["title"] == "The saw"
    assert "never" in commands.run("things", "list", "saw")
    assert "exists already" in commands.run("things", "add", "saw", status=1)
    made = commands.json("things", "token", "saw", "--label", "test")
    assert made["thing"] == "saw"
    assert made["token"].startswith("atd_")
    assert commands.run("things", "token", "saw").startswith("atd_")
    assert "logs in as saw" in commands.remarks("things", "token", "saw")
    assert "there is no thing" in commands.run("things", "token", "saww", status=1)
    assert "no thing matches" in commands.remarks("things", "list", "sawww")
    commands.run("things", "remove", "saw", "--yes")


def test_an_empty_history_says_why(commands: Commands, pump: str) -> None:
    assert "no readings in this time" in commands.remarks("history", pump, "--from", "2000-01-01", "--to", "2000-01-02")
    assert "pump has no property 'mood'; did you mean mode?" in commands.run("history", pump, "mood", *SPAN, status=1)
    assert "no thing is called 'pumpp'; did you mean pump?" in commands.run("history", "pumpp", status=1)
    assert "did you mean pump? (waiting for its first value)" in _first_remark(commands, "watch", "pumpp")
    assert "`from` is after `to`" in commands.run("history", pump, "--from", "1h", "--to", "2h", status=1)
    assert "did you mean Europe/Berlin or" in commands.run(
        "history", pump, *SPAN, "--every", "1d", "--zone", "Europe/Berln", status=1
    )


def test_days_of_a_zone(commands: Commands, pump: str) -> None:
    day = ("history", pump, "temperature", "--from", "2026-11-22", "--to", "2026-11-23", "--every", "1d")
    aggregates = ("--aggregate", "count", "--aggregate", "twa", "--aggregate", "p95")
    (series,) = commands.json(*day, "--zone", "Asia/Kathmandu", *aggregates)["series"]
    assert series["columns"] == ["time", "count", "twa", "p95"]
    assert [point[:2] for point in series["points"]] == [["2026-11-21T18:15:00Z", 3]]
    states = ("--aggregate", "duration", "--state", "heat")
    (series,) = commands.json("history", pump, "mode", *SPAN, "--every", "1h", *states)["series"]
    assert series["points"][0] == ["2026-11-22T08:00:00Z", 60]
    rows = commands.run("history", pump, "mode", *SPAN, "--every", "1h", "--aggregate", "duration", "--format", "csv")
    assert rows.splitlines()[1] == 'pump,mode,2026-11-22T08:00:00Z,"{""heat"":60,""cool"":3540}"'


def _first_remark(commands: Commands, *arguments: str) -> str:
    """The first line on standard error of a command that goes on until it is ended."""
    with subprocess.Popen(
        [sys.executable, "-c", "from allthings.cli import main; main()", *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=commands.environment(),
    ) as running:
        assert running.stderr is not None
        line = running.stderr.readline()
        running.terminate()
    return line


def test_a_replayed_recording_is_a_live_device_that_can_be_adopted(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "fan.csv").write_text("time,speed\n" + "".join(f"2020-01-01T00:00:{i:02d}Z,{i}\n" for i in range(20)))
    with subprocess.Popen(
        [sys.executable, "-c", "from allthings.cli import main; main()", "watch", "fan", "--json", "--count", "20"],
        stdout=subprocess.PIPE,
        env=commands.environment(),
    ) as watching:
        replayed = commands.json("replay", str(tmp_path / "fan.csv"), "--speed", "10")
        assert replayed["messages"] == 20
        assert 1.9 < replayed["seconds"] < 10
        wait_for(commands, "fan", 20)
        commands.json("replay", str(tmp_path / "fan.csv"), "--speed", "max", "--keep-time")
        wait_for(commands, "fan", 40)
        assert watching.stdout is not None
        seen = [json.loads(line) for line in watching.stdout.read().splitlines()]
    assert len(seen) == 20
    assert {value["property"] for value in seen} == {"speed"}
    title = "The fan in the cellar"
    assert commands.json("things", "adopt", "fan", "--title", title)["title"] == title
    listed = commands.json("things", "list", "--state", "adopted")["things"]
    assert title in [thing["title"] for thing in listed]


def test_history_as_table_json_and_files(commands: Commands, pump: str, tmp_path: Path) -> None:
    (temperature,) = commands.json("history", pump, "temperature", *SPAN)["series"]
    assert [point[1] for point in temperature["points"]] == [21.5, 22.0, 23.0]
    table = commands.run("history", pump, "temperature", *SPAN)
    assert "2026-11-22T08:01:00Z     22" in table
    (hours,) = commands.json("history", pump, "temperature", *SPAN, "--every", "1h", "--aggregate", "max")["series"]
    assert hours["points"] == [["2026-11-22T08:00:00Z", 22.0], ["2026-11-22T09:00:00Z", 23.0]]
    assert commands.run("history", pump, "temperature", *SPAN, "--format", "csv").count("\n") == 4
    path = tmp_path / "pump.parquet"
    commands.run("history", pump, "temperature", *SPAN, "--format", "parquet", "-o", str(path))
    assert pq.read_table(path).column("number").to_pylist() == [21.5, 22.0, 23.0]
    (limited,) = commands.json("history", pump, "temperature", *SPAN, "--limit", "2")["series"]
    assert len(limited["points"]) == 2


def test_what_was_exported_can_be_imported(commands: Commands, pump: str, tmp_path: Path) -> None:
    path = tmp_path / "pump.ndjson.gz"
    exported = commands.json("export", str(path), pump, *SPAN)
    assert exported["readings"] == 5
    answer = commands.json("import", str(path))
    assert (answer["accepted"], answer["rejected_total"], answer["things"]) == (5, 0, [pump])
    wait_for(commands, pump, 5)


def test_rows_that_cannot_be_used_are_named(commands: Commands, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("thing,property,time,value\nlamp,on,2026-11-22T08:00:00Z,true\nlamp,on,never,true\n")
    assert "row 2: " in commands.run("import", str(path), status=1)


def test_queries(commands: Commands, pump: str) -> None:
    sql = f"SELECT property, count() AS n FROM readings WHERE thing = '{pump}' GROUP BY property ORDER BY property"
    assert commands.json("query", sql)["rows"] == [["mode", 2], ["temperature", 3]]
    assert commands.run("query", sql, "--format", "csv") == "property,n\nmode,2\ntemperature,3\n"
    assert commands.run("query", "-", input=sql).splitlines()[0].split() == ["property", "n"]
    assert "error: " in commands.run("query", "DROP TABLE readings", status=1)


def test_doctor_finds_a_running_platform_by_its_data(commands: Commands) -> None:
    report = commands.json("doctor", "--data", str(commands.platform.data))
    states = {check["check"]: check["state"] for check in report["checks"]}
    assert commands.run("doctor", "--data", str(commands.platform.data)).endswith(("all is well\n", "need a look\n"))
    assert states["ready"] == states["role gateway"] == states["port MQTT"] == "ok"
    assert {setting["name"]: setting["from"] for setting in report["settings"]}["data"] == "flag"


def test_bench_counts_every_value(commands: Commands) -> None:
    figures = commands.json("bench", "--connections", "3", "--in-flight", "10", "--seconds", "1")
    assert figures["values"] == 3 * figures["messages"] > 0
    assert figures["acknowledged_p50_ms"] > 0
    assert commands.json("things", "list", "benchmark")["total"] == 0


def test_a_bridge_is_added_listed_and_removed(commands: Commands) -> None:
    # Nothing listens on port 1: the bridge says so, and tries again.
    out = ("--out", "things/#,prefix=site1/", "--in", "commands/#,qos=0")
    assert "added nowhere" in commands.run("bridge", "add", "nowhere", "mqtt://127.0.0.1:1", *out, "--user", "ann")
    deadline = time.monotonic() + 30
    while (bridge := commands.json("bridge", "list")["bridges"][0])["state"]["phase"] != "waiting":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "refused" in bridge["state"]["trouble"].lower()
    assert (bridge["name"], bridge["user"], bridge["password_set"]) == ("nowhere", "ann", False)
    assert [(one["direction"], one["filter"], one["qos"]) for one in bridge["maps"]] == [
        ("out", "things/#", 1),
        ("in", "commands/#", 0),
    ]
    assert "in commands/#" in commands.run("bridge", "list")
    assert "already" in commands.run("bridge", "add", "nowhere", "mqtt://127.0.0.1:1", *out, status=1)
    commands.run("bridge", "add", "empty", "mqtt://127.0.0.1:1", status=2)
    commands.run("bridge", "remove", "nowhere", "--yes")
    assert commands.json("bridge", "list")["bridges"] == []


def test_access_rules_are_added_tried_listed_and_removed(commands: Commands) -> None:
    made = commands.json("access", "add", "thing:fridge", "kitchen/{thing}/#", "--publish", "--note", "the new fridge")
    assert (made["publish"], made["subscribe"], made["note"]) == (True, False, "the new fridge")
    assert made["id"] in commands.run("access", "list")
    assert made in commands.json("access", "list")["rules"]
    commands.run("things", "add", "-", input='{"title": "Fridge", "id": "urn:allthings:fridge"}')
    allowed = commands.json("access", "check", "kitchen/fridge/door", "--thing", "fridge")
    assert allowed == {"publish": made["id"], "subscribe": None}
    assert "no" in commands.run("access", "check", "kitchen/fridge/door")
    assert commands.json("access", "remove", made["id"], "--yes") == {"removed": [made["id"]]}
    assert "error: " in commands.run("access", "remove", made["id"], "--yes", status=1)
    assert "error: " in commands.run("access", "add", "nobody", "x", "--publish", status=1)


def test_users_are_added_changed_and_removed(commands: Commands) -> None:
    password = ("--password", "correct horse")
    assert "added ada: operator, tenant main" in commands.run("users", "add", "ada", "--role", "operator", *password)
    changed = commands.json("users", "change", "ada", "--role", "viewer", "--tenant", "west")
    assert changed == {"user": "ada", "role": "viewer", "tenant": "west"}
    assert changed in commands.json("users", "list")["users"]
    assert "ada" in commands.run("users", "list")
    assert "new password" in commands.run("users", "password", "ada", "--password", "staple battery")
    assert "error: " in commands.run("users", "password", "ada", "--password", "short", status=1)
    assert "removed ada" in commands.run("users", "remove", "ada", "--yes")
    assert "error: " in commands.run("users", "remove", "ada", "--yes", status=1)


def test_quotas_are_set_listed_and_removed(commands: Commands) -> None:
    assert "any bytes/s" in commands.run("quotas", "set", "thing:pump", "--messages", "100")
    set_ = commands.json("quotas", "set", "thing:pump", "--bytes", "1000.5", "--over", "refuse")
    assert set_ == {"scope": "thing:pump", "messages_s": None, "bytes_s": 1000.5, "over": "refuse"}
    assert commands.json("quotas", "list") == {"quotas": [set_]}
    assert "1000.5" in commands.run("quotas", "list")
    assert commands.json("quotas", "remove", "thing:pump", "--yes") == {"removed": ["thing:pump"]}
    assert "error: " in commands.run("quotas", "set", "nobody", status=1)


def test_the_audit_list_has_what_was_changed(commands: Commands) -> None:
    for _ in range(2):
        commands.run("quotas", "set", "tenant:audited", "--messages", "1")
    found = commands.json("audit", "--area", "change", "--kind", "quota-set", "--limit", "2")["entries"]
    assert [entry["what"] for entry in found] == ["tenant:audited: 1 messages/s, any bytes/s, slow"] * 2
    assert commands.json("audit", "--who", "nobody") == {"entries": []}
    assert "quota-set" in commands.run("audit", "--limit", "1")


def test_readings_are_deleted_and_things_removed_with_their_history(commands: Commands, tmp_path: Path) -> None:
    path = tmp_path / "lathe.csv"
    path.write_text(
        "time,speed,load\n" + "".join(f"2026-11-22T08:{minute:02}:00Z,{minute},1\n" for minute in range(20))
    )
    commands.run("import", str(path), "--thing", "lathe")
    wait_for(commands, "lathe", 40)
    span = ("lathe", "speed", "--from", "2026-11-22T08:05:00Z", "--to", "2026-11-22T08:10:00Z")
    assert commands.run("delete", *span, "--dry-run") == "5 readings would be deleted\n"
    refused = commands.result("delete", *span, status=1, input="n\n")
    assert "Delete 5 readings of lathe for good?" in refused.stderr
    wait_for(commands, "lathe", 40)
    assert commands.json("delete", *span, "--yes") == {"readings": 5, "events": 0, "deleted": True}
    wait_for(commands, "lathe", 35)
    assert "there is no thing" in commands.run("things", "remove", "no-lathe", "--with-history", "--yes", status=1)
    assert commands.json("things", "remove", "lathe", "--with-history", "--yes") == {
        "removed": ["lathe"],
        "deleted": [{"thing": "lathe", "readings": 35, "events": 0}],
    }
    wait_for(commands, "lathe", 0)
    assert "error: " in commands.run("delete", "lathe", "--from", "now", "--to", "-1d", "--yes", status=1)


def test_a_wrong_clock_is_shown(commands: Commands, tmp_path: Path) -> None:
    ahead = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 8 * 3600))
    path = tmp_path / "ahead.csv"
    path.write_text(f"time,level\n{ahead},99\n")
    commands.run("import", str(path), "--thing", "ahead")
    wait_for(commands, "ahead", 1)
    deadline = time.monotonic() + 10
    while not commands.json("things", "list", "ahead")["things"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "99 (clock)" in commands.run("things", "list", "ahead")
    assert "clock" in commands.run("things", "show", "ahead")
