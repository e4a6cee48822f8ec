"""The public MQTT conformance suites against this broker, or against any other.

    scripts/conformance.py CHECKOUT [--host HOST --port PORT] [--suite 3.1.1|5.0] [--test NAME]... [--json]

CHECKOUT is a copy of eclipse/paho.mqtt.testing, which is no part of this repository. Without --port a whole platform is
started for it on free ports, with the settings of the environment (ALLTHINGS_...) besides those that the suites take
for granted (SETTINGS), and rules that let anybody do everything but subscribe to NO_SUBSCRIBE, as the suites ask. Their
own command lines cannot name a port, so their modules are imported, each in a process of its own. Status 1 when a test
failed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from allthings.testing.platform import Platform

SUITES = {"3.1.1": "client_test", "5.0": "client_test5"}
#: What the suites expect of a broker that no standard asks for.
SETTINGS = {"ALLTHINGS_KEEPALIVE_MAX_S": "60"}
#: A topic that nobody may subscribe to, which `#` does not cover.
NO_SUBSCRIBE = "$SYS/nosubscribe"
RULES = (
    {"subject": "anonymous", "filter": "#", "publish": True, "subscribe": True},
    {"subject": "anonymous", "filter": "$TopicA/#", "publish": True},
)
#: Some tests wait for ever for what does not come.
TEST_WITHIN_S = 60
TOPICS = ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")
WILD_TOPICS = ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")

#: Changed rules hold within a second.
RULES_WITHIN_S = 1.0

_ADMINISTRATOR = re.compile(r"administrator created: user (?P<user>\S+), password (?P<password>\S+)")
_FAILURE = re.compile(r"[\w.]*(Error|Exception|timeout)\b")


class OverdueError(Exception):
    """A test took too long."""


class Verdicts(unittest.TestResult):
    """Writes one JSON line for each test: name, passed, seconds, why."""

    def __init__(self, to: io.TextIOBase) -> None:
        super().__init__()
        self._to = to

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest names it
        super().startTest(test)
        self._started = time.monotonic()
        self._said = io.StringIO()
        self._quiet = contextlib.ExitStack()
        self._quiet.enter_context(contextlib.redirect_stdout(self._said))
        self._quiet.enter_context(contextlib.redirect_stderr(self._said))
        signal.alarm(TEST_WITHIN_S)

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest names it
        signal.alarm(0)
        self._quiet.close()
        super().stopTest(test)

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        self._tell(test, "")

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        self._tell(test, self._why(err))

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        self._tell(test, self._why(err))

    def _why(self, err: Any) -> str:
        """The assertion that failed; tests that catch it themselves have printed it."""
        text = "".join(traceback.format_exception(*err))
        said = getattr(self, "_said", io.StringIO()).getvalue()
        told = said if "False != True" in text and "Traceback" in said else text
        lines = told.strip().splitlines()
        where = next((line.strip() for line in reversed(lines) if "client_test" in line and "line" in line), "")
        what = next((line for line in reversed(lines) if _FAILURE.match(line)), lines[-1])
        return f"{what} [{where.rpartition('/')[2]}]"

    def _tell(self, test: unittest.TestCase, why: str) -> None:
        seconds = round(time.monotonic() - getattr(self, "_started", time.monotonic()), 1)
        name = getattr(test, "_testMethodName", str(test))
        self._to.write(json.dumps({"test": name, "passed": not why, "seconds": seconds, "why": why}) + "\n")
        self._to.flush()


def overdue(_number: int, _frame: object) -> None:
    raise OverdueError(f"not finished within {TEST_WITHIN_S} s")


def inside(module: str, host: str, port: int, names: list[str]) -> None:
    """In the child: run one suite, verdicts on standard output."""
    verdicts_to = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.path.insert(0, os.getcwd())
    signal.signal(signal.SIGALRM, overdue)
    suite: Any = importlib.import_module(module)
    suite.host, suite.port, suite.topic_prefix = host, port, "client_test5/"
    suite.topics, suite.wildtopics, suite.nosubscribe_topics = TOPICS, WILD_TOPICS, (NO_SUBSCRIBE,)
    if hasattr(suite, "setData"):
        data = suite.setData

        def set_data() -> None:
            data()
            suite.host, suite.port, suite.nosubscribe_topics = host, port, (NO_SUBSCRIBE,)

        suite.setData = set_data
    loaded = unittest.defaultTestLoader.loadTestsFromTestCase(suite.Test)
    tests = [test for test in loaded if not names or test._testMethodName in names]  # type: ignore[union-attr]
    unittest.TestSuite(tests).run(Verdicts(verdicts_to))
    os._exit(0)  # threads of clients that were left behind must not keep it


@contextlib.contextmanager
def broker(host: str, port: int) -> Iterator[tuple[str, int]]:
    """The broker that is named, or a platform of our own."""
    if port:
        yield host, port
        return
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        environment = {name: value for name, value in SETTINGS.items() if name not in os.environ}
        with Platform(Path(folder) / "data", arguments=(), environment=environment) as platform:
            _open_to_anybody(platform)
            yield platform.mqtt_host, platform.mqtt_port


def _open_to_anybody(platform: Platform) -> None:
    """Add RULES, as the administrator whose password the first start has told."""
    told = next(found for line in platform.output if (found := _ADMINISTRATOR.search(line)))
    with httpx.Client(base_url=platform.http, headers={"Origin": platform.http}) as client:
        client.post("/api/login", json={"user": told["user"], "password": told["password"]}).raise_for_status()
        for rule in RULES:
            client.post("/api/access/rules", json=rule).raise_for_status()
    time.sleep(RULES_WITHIN_S)


def run(checkout: Path, version: str, host: str, port: int, names: list[str], quiet: bool) -> list[dict[str, Any]]:
    """One suite; its verdicts, shown as they come."""
    command = [sys.executable, str(Path(__file__).resolve()), "--inside", SUITES[version], host, str(port), *names]
    folder = checkout / "interoperability"
    verdicts = []
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            verdict = json.loads(line)
            verdicts.append(verdict)
            if not quiet:
                mark = "passed" if verdict["passed"] else "FAILED"
                print(f"{version}  {mark}  {verdict['test']}  {verdict['seconds']} s  {verdict['why']}", flush=True)
    return verdicts


def main() -> int:
    """Run what was asked for."""
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="a copy of eclipse/paho.mqtt.testing")
    parser.add_argument("--host", default="127.0.0.1", help="of a broker that runs already")
    parser.add_argument("--port", type=int, default=0, help="of a broker that runs already")
    parser.add_argument("--suite", choices=sorted(SUITES), action="append", help="only this version of MQTT")
    parser.add_argument("--test", action="append", default=[], help="only the tests of this name")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    options = parser.parse_args()
    if not (options.checkout / "interoperability" / "client_test5.py").exists():
        parser.error(f"{options.checkout} is no copy of eclipse/paho.mqtt.testing")
    with broker(options.host, options.port) as (host, port):
        outcome = {
            version: run(options.checkout, version, host, port, options.test, options.json)
            for version in options.suite or sorted(SUITES)
        }
    if options.json:
        print(json.dumps(outcome))
    failed = 0
    for version, verdicts in outcome.items():
        bad = [verdict["test"] for verdict in verdicts if not verdict["passed"]]
        failed += len(bad)
        if not options.json:
            told = f": {', '.join(bad)}" if bad else ""
            print(f"MQTT {version}: {len(verdicts) - len(bad)} of {len(verdicts)} passed, {len(bad)} failed{told}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
