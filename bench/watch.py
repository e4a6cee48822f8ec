"""What the platform's processes use while something is measured: sampled from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from allthings.testing.platform import Footprint, Platform


class Watch:
    """Samples while a `with` block runs: the CPU share of each process, the largest memory, and a figure of one's own.

    `sample` is asked every `every_s` and its answers are kept with their times (seconds since the start).
    """

    def __init__(self, platform: Platform, sample: Callable[[], float] | None = None, every_s: float = 0.5) -> None:
        self._platform = platform
        self._sample = sample
        self._every_s = every_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.samples: list[tuple[float, float]] = []
        self.peak_rss_mb: dict[str, float] = {}
        self.cpu_share: dict[str, float] = {}
        self.failed: Exception | None = None

    def __enter__(self) -> Self:
        self._first, self._started = self._platform.footprints(), time.monotonic()
        self._keep_peaks(self._first)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        last, seconds = self._platform.footprints(), time.monotonic() - self._started
        self._keep_peaks(last)
        for role, footprint in last.items():
            before = self._first[role].cpu_s if role in self._first else 0.0
            self.cpu_share[role] = (footprint.cpu_s - before) / seconds

    def _run(self) -> None:
        while not self._done.wait(self._every_s):
            self._keep_peaks(self._platform.footprints())
            if self._sample is None:
                continue
            try:
                self.samples.append((time.monotonic() - self._started, self._sample()))
            except Exception as failed:
                self.failed = failed
                return

    def _keep_peaks(self, footprints: dict[str, Footprint]) -> None:
        for role, footprint in footprints.items():
            self.peak_rss_mb[role] = max(self.peak_rss_mb.get(role, 0.0), footprint.rss_mb)
