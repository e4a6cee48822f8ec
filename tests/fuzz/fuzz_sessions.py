"""Coverage-guided fuzzing of the gateway's session layer with atheris.

    python tests/fuzz/fuzz_sessions.py -max_total_time=600

An input is what several connections send, with take-overs, losses and time between (tests/fuzz/session_inputs.py). An
exception in any part of the gateway, sessions or subscriptions that are left when everybody has gone, and a gateway
that does not come to rest are findings; libFuzzer finds hangs and excess memory (`-timeout`, `-rss_limit_mb`).
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

with atheris.instrument_imports(include=["allthings.gateway", "allthings.mqtt"]):
    from allthings.gateway import settings
    from tests.fuzz.session_inputs import sit

_DEFAULTS = ("-timeout=20", "-rss_limit_mb=2048", "-max_len=600")
#: Connects, subscriptions of all kinds, messages of all QoS, answers, and losses: something to begin with.
_SEEDS = (
    bytes((0, 13, 3, 20, 0, 35, 9, 0, 12, 0)),
    bytes((0, 9, 1, 11, 3, 25, 4, 25, 1, 35, 0, 60, 27, 0, 1, 9)),
    bytes((0, 15, 1, 15, 3, 41, 4, 41, 1, 40, 15, 40, 12, 1, 30, 50)),
    bytes((2, 141, 29, 1, 0, 13, 33, 13, 0, 9, 45, 12)) + b"\x30\x05\x00\x01axy\xe0\x00\x00",
)


def test_one_input(data: bytes) -> None:
    """One input of the fuzzer."""
    _RUNNER.run(sit(data))


_RUNNER = asyncio.Runner()


def main() -> None:
    """Fuzz until libFuzzer's options (on the command line, after the defaults) say stop."""
    logging.disable(logging.CRITICAL)
    # Small, so that little reaches every bound.
    settings.SMALL_BLOCK_EVERY_S = 0.0  # type: ignore[misc]
    settings.SESSION_MEMORY_MESSAGES_MAX = 4  # type: ignore[misc]
    settings.QUEUE_MESSAGES_MAX = 20  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as seeds:
        for number, seed in enumerate(_SEEDS):
            (Path(seeds) / str(number)).write_bytes(seed)
        atheris.Setup([sys.argv[0], *_DEFAULTS, *sys.argv[1:], seeds], test_one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
