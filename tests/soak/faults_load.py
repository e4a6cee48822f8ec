"""What runs beside the devices while the disk fails: uploads, and somebody who asks whether the platform is ready."""

from __future__ import annotations

import json
import threading
import time
from typing import NamedTuple

import httpx

ROWS = 200
THING = "load-1"
_PAUSE_S = 0.1


class Uploads:
    """Uploads readings, each body again and again until it is accepted: then all of it must be in the history once."""

    def __init__(self, start_ms: int) -> None:
        self.accepted = 0
        #: How often each refusal was told.
        self.refused: dict[int, int] = {}
        self.faults: list[str] = []
        self._start_ms = start_ms
        self._over = threading.Event()
        self._http = ""
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self, http: str) -> None:
        self._http = http
        self._thread.start()

    def stop(self, within_s: float) -> bool:
        """Let the upload under way come to its end; whether it did."""
        self._over.set()
        self._thread.join(within_s)
        return not self._thread.is_alive()

    @property
    def expected(self) -> tuple[int, float]:
        """Count and sum of the readings that were accepted."""
        rows = self.accepted * ROWS
        return rows, rows * (rows - 1) / 2

    def _run(self) -> None:
        with httpx.Client(base_url=self._http, timeout=30) as client:
            while not self._over.is_set():
                first = self.accepted * ROWS
                rows = [
                    {"thing": THING, "property": "n", "time": self._start_ms + number, "value": number}
                    for number in range(first, first + ROWS)
                ]
                while not self._sent(client, json.dumps(rows)):
                    time.sleep(_PAUSE_S)
                self.accepted += 1
                time.sleep(_PAUSE_S)

    def _sent(self, client: httpx.Client, body: str) -> bool:
        try:
            answer = client.post("/api/readings", content=body, headers={"Content-Type": "application/json"})
        except httpx.TransportError:
            return False
        if answer.status_code == 200:
            if answer.json()["accepted"] != ROWS:
                self.faults.append(f"an upload was accepted in part: {answer.text[:200]}")
            return True
        self.refused[answer.status_code] = self.refused.get(answer.status_code, 0) + 1
        if answer.status_code not in (503, 507) or "detail" not in answer.json():
            self.faults.append(f"an upload was refused with {answer.status_code}: {answer.text[:200]}")
        return False


class Answer(NamedTuple):
    """What `/ready` said between two moments of time.monotonic; `status` 0: nothing."""

    asked: float
    answered: float
    status: int
    text: str


class Asker:
    """Asks `/ready` all the time."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self._over = threading.Event()
        self._http = ""
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self, http: str) -> None:
        self._http = http
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx.Client(base_url=self._http, timeout=5) as client:
            while not self._over.is_set():
                asked = time.monotonic()
                try:
                    answer = client.get("/ready")
                    status, text = answer.status_code, answer.text
                except httpx.TransportError as error:
                    status, text = 0, repr(error)
                self.answers.append(Answer(asked, time.monotonic(), status, text))
                time.sleep(_PAUSE_S)
