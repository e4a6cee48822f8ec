"""The demo's process: describe the things, fill in their past, then play their present until it is ended.

python -m allthings.scenes.demo --http http://127.0.0.1:8484 --mqtt mqtt://127.0.0.1:1883 [--speed 60]
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from urllib.parse import urlsplit

import httpx
import pyarrow as pa
from rich.console import Console

from allthings.scenes.demo import catalogue
from allthings.scenes.demo.backfill import fill, register
from allthings.scenes.demo.placement import Seam, place
from allthings.scenes.demo.player import play_all
from allthings.scenes.demo.settings import UPLOAD_TIMEOUT_S
from allthings.things.times import NS_PER_S, now_ns


def main() -> int:
    """Exit status 0 when it was told to end, 1 when the platform refused something."""
    parser = argparse.ArgumentParser(prog="allthings.scenes.demo", description="Recorded things as live devices.")
    parser.add_argument("--http", required=True, help="the platform's HTTP address")
    parser.add_argument("--mqtt", required=True, help="the platform's MQTT address, mqtt://host:port")
    parser.add_argument("--speed", type=float, help="times faster than recorded; default: a pace one can watch")
    given = parser.parse_args()
    console = Console(stderr=True)
    groups = catalogue.load()
    started = time.monotonic()
    try:
        # The past ends where the present begins: at the moment at which the back-fill began.
        seams = _seams(groups)
        with httpx.Client(base_url=given.http, timeout=UPLOAD_TIMEOUT_S, trust_env=False) as client:
            register(client, groups)
            filled = fill(client, groups, seams, console)
    except httpx.HTTPStatusError as error:
        console.print(
            f"demo: {error.request.method} {error.request.url.path}: {error.response.text[:500]}", style="red"
        )
        return 1
    pa.default_memory_pool().release_unused()
    count = sum(len(group.things) for group in groups)
    history = (
        f"{filled:,} readings filled in within {time.monotonic() - started:.0f} s" if filled else "history is there"
    )
    console.print(f"demo: {count} things, {history}; now live. Open {given.http}", highlight=False, soft_wrap=True)
    mqtt = urlsplit(given.mqtt)
    asyncio.run(_play(groups, seams, mqtt.hostname or "127.0.0.1", mqtt.port or 1883, given.speed))
    return 0


def _seams(groups: tuple[catalogue.Group, ...]) -> dict[str, Seam]:
    now_s = now_ns() // NS_PER_S
    offset_s = time.localtime(now_s).tm_gmtoff
    return {group.name: place(group.span, group.live_from_s, group.align_s, now_s, offset_s) for group in groups}


async def _play(
    groups: tuple[catalogue.Group, ...], seams: dict[str, Seam], host: str, port: int, speed: float | None
) -> None:
    playing = asyncio.create_task(play_all(groups, seams, host, port, speed))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, playing.cancel)
    await asyncio.wait([playing])
    if not playing.cancelled():
        playing.result()


if __name__ == "__main__":
    sys.exit(main())
