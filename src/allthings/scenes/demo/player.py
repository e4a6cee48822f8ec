"""The present of every thing: each is an MQTT client of its own that replays its recording, and begins again at its
end. Messages carry no time, so the platform takes the moment at which they arrive."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import aiomqtt
import msgspec

from allthings.scenes.demo.catalogue import DemoThing, Group
from allthings.scenes.demo.placement import Seam, end_row, first_live_row, first_row
from allthings.scenes.demo.settings import PAUSE_S_MAX, PAUSE_S_MIN, RECONNECT_S_MAX, RECONNECT_S_MIN


class Message(NamedTuple):
    """What a thing sends next, and how long it then waits."""

    payload: bytes
    pause_s: float


def messages(thing: DemoThing, group: Group, seam: Seam, speed: float | None) -> Iterator[Message]:
    """The recording from the seam on, for ever. `speed`: how much faster than recorded; None: the group's pace."""
    clock_s, values = thing.recording.clock_s, thing.recording.values
    low, high = first_row(clock_s, group.span), end_row(clock_s, group.span)
    start = first_live_row(clock_s, group.span, seam)
    for row in itertools.chain(range(start, high), itertools.cycle(range(low, high))):
        pause_s = group.pace_s
        if speed is not None:
            step = clock_s[row + 1] - clock_s[row] if row + 1 < high else clock_s[row] - clock_s[row - 1]
            pause_s = min(max(float(step) / speed, PAUSE_S_MIN), PAUSE_S_MAX)
        (found,) = values.slice(row, 1).to_pylist()
        payload = {name: value for name, value in found.items() if value is not None}
        yield Message(msgspec.json.encode(payload), pause_s)


def heed_cancellation() -> None:
    """End this task if it was cancelled. The MQTT client can hide that: `asyncio.wait_for`, in which it awaits an
    acknowledgement, returns normally before Python 3.12 when that comes in the same moment, and a farewell that fails
    raises its own error instead.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def play(thing: DemoThing, sequence: Iterator[Message], host: str, port: int, delay_s: float) -> None:
    """Send for ever, one message after the other's acknowledgement; after a lost connection the last one again."""
    await asyncio.sleep(delay_s)
    topic = f"things/{thing.name}/properties"
    loop = asyncio.get_running_loop()
    reconnect_s = RECONNECT_S_MIN
    message = next(sequence)
    while True:
        try:
            async with aiomqtt.Client(host, port, identifier=f"demo-{thing.name}") as client:
                reconnect_s = RECONNECT_S_MIN
                due = loop.time()
                while True:
                    await client.publish(topic, message.payload, qos=1)
                    heed_cancellation()
                    # The pace holds over time; what a slow moment missed is not caught up in a burst.
                    due = max(due + message.pause_s, loop.time())
                    message = next(sequence)
                    await asyncio.sleep(due - loop.time())
        except aiomqtt.MqttError:
            heed_cancellation()
            await asyncio.sleep(reconnect_s)
            reconnect_s = min(reconnect_s * 2, RECONNECT_S_MAX)


async def play_all(
    groups: tuple[Group, ...], seams: dict[str, Seam], host: str, port: int, speed: float | None
) -> None:
    """All things at once, until cancelled. They begin one after the other, so that messages come evenly."""
    async with asyncio.TaskGroup() as tasks:
        for group in groups:
            for place, thing in enumerate(group.things):
                sequence = messages(thing, group, seams[group.name], speed)
                delay_s = group.pace_s * place / len(group.things)
                tasks.create_task(play(thing, sequence, host, port, delay_s))
