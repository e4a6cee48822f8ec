"""`allthings replay`: a recording as a live device, over MQTT."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from allthings.cli.options import DEFAULT_URL, Json, Token, Url

if TYPE_CHECKING:
    from allthings.cli.recordings import Recorded

#: Messages that may wait for their acknowledgement when the speed is not limited.
_IN_FLIGHT_MAX = 200
#: A pause of the recording is not made longer than this.
_PAUSE_S_MAX = 60.0


class Target(NamedTuple):
    """Where to publish, and as whom."""

    host: str
    port: int
    thing: str
    secret: str


def replay(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A recording: .csv, .ndjson, .parquet or .arrow (also .csv.gz).")
    ],
    thing: Annotated[str, typer.Option(help="The thing's name; default is the file's name.", show_default=False)] = "",
    speed: Annotated[str, typer.Option(help="Times faster than recorded, or `max`.")] = "1",
    time_column: Annotated[str, typer.Option(help="The column of times; found by itself.", show_default=False)] = "",
    interval: Annotated[float, typer.Option(help="Seconds between rows of a recording without times.", min=0.0)] = 1.0,
    keep_time: Annotated[bool, typer.Option("--keep-time", help="Send the recorded times; default is now.")] = False,
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at the end.")] = False,
    limit: Annotated[int, typer.Option(help="End after this many messages; 0: at the recording's end.", min=0)] = 0,
    mqtt: Annotated[
        str, typer.Option(help="host:port of MQTT; default is what the platform says.", show_default=False)
    ] = "",
    device_token: Annotated[
        str,
        typer.Option(
            envvar="ALLTHINGS_DEVICE_TOKEN", help="The thing's token; not needed with --open.", show_default=False
        ),
    ] = "",
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Publish a recording as a live device.

    One message a row, over MQTT at QoS 1; each column is a property.

    Example: allthings replay pump.csv --thing pump-7 --speed 60
    """
    import asyncio

    from allthings.cli.errors import InputFileError
    from allthings.cli.output import write_json, write_line
    from allthings.cli.recordings import read
    from allthings.things.names import slug, valid_thing_name

    factor = _factor(speed)
    name = thing or slug(file.name.partition(".")[0])
    if not valid_thing_name(name):
        raise InputFileError(
            f"{name!r} is no name of a thing: letters, digits, . _ : - are allowed. Choose one with --thing"
        )
    if not file.is_file():
        raise InputFileError(f"there is no file {file}")
    recorded = read(file, time_column)
    if keep_time and recorded.times_ns is None:
        raise InputFileError(f"{file} has no column of times: name it with --time-column, or leave --keep-time out")
    host, port = _address(mqtt, url, token)
    messages = _messages(recorded, factor, interval, keep_time, loop)
    total = limit or (0 if loop else recorded.values.num_rows)
    try:
        sent, seconds = asyncio.run(_publish(Target(host, port, name, device_token), messages, limit, total, factor))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    result = {
        "thing": name,
        "messages": sent,
        "seconds": round(seconds, 3),
        "rate": round(sent / max(seconds, 1e-9), 1),
    }
    if as_json:
        write_json(result)
    else:
        write_line(f"{sent} messages from {name} acknowledged in {seconds:.1f} s ({result['rate']:,.0f} a second)")


def _factor(speed: str) -> float:
    """Times faster than recorded; 0 is as fast as acknowledgements come."""
    if speed == "max":
        return 0.0
    try:
        factor = float(speed.rstrip("x"))
    except ValueError:
        factor = -1.0
    if not 0 < factor < float("inf"):
        raise typer.BadParameter("a number above 0, or max", param_hint="--speed")
    return factor


def _address(mqtt: str, url: str, token: str) -> tuple[str, int]:
    if mqtt:
        host, colon, port = mqtt.removeprefix("mqtt://").rpartition(":")
        if not colon:
            return port, 1883
        if not port.isdigit():
            raise typer.BadParameter("host:port is needed", param_hint="--mqtt")
        return host.strip("[]"), int(port)
    from allthings.cli.client import Client

    with Client(url, token) as client:
        found = client.get("/api/connect-info")["mqtt"]
    return found["host"], found["port"]


def _messages(
    recorded: Recorded, factor: float, interval_s: float, keep_time: bool, loop: bool
) -> Iterator[tuple[bytes, float]]:
    """Payloads, each with the seconds to wait before the next."""
    import msgspec

    from allthings.things.times import NS_PER_S, format_time

    times = recorded.times_ns
    while True:
        for index, row in enumerate(recorded.rows()):
            pause_s = 0.0
            if factor:
                step_s = interval_s
                if times is not None:
                    step_s = (times[index + 1] - times[index]) / NS_PER_S if index + 1 < len(times) else 0.0
                pause_s = min(max(step_s / factor, 0.0), _PAUSE_S_MAX)
            payload: dict[str, Any] = {"@time": format_time(times[index])} if keep_time and times is not None else {}
            yield msgspec.json.encode({**payload, **row}), pause_s
        if not loop:
            return


async def _publish(
    target: Target, messages: Iterator[tuple[bytes, float]], limit: int, total: int, factor: float
) -> tuple[int, float]:
    """Publish at QoS 1; messages acknowledged, and seconds. A replay at full speed has many under way at once."""
    import asyncio

    import aiomqtt
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

    from allthings.cli.errors import UnreachableError

    topic = f"things/{target.thing}/properties"
    loop = asyncio.get_running_loop()
    started = loop.time()
    acknowledged = 0
    room = asyncio.Semaphore(_IN_FLIGHT_MAX if factor == 0 else 1)

    async def send(client: aiomqtt.Client, payload: bytes) -> None:
        nonlocal acknowledged
        try:
            await client.publish(topic, payload, qos=1, timeout=60)
            acknowledged += 1
        finally:
            room.release()

    columns = (SpinnerColumn(), TextColumn(target.thing), BarColumn(), MofNCompleteColumn())
    try:
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("", total=total or None)
            async with aiomqtt.Client(
                target.host,
                target.port,
                identifier=f"replay-{target.thing}",
                username=target.thing if target.secret else None,
                password=target.secret or None,
                max_inflight_messages=_IN_FLIGHT_MAX,
            ) as client:
                due = loop.time()
                async with asyncio.TaskGroup() as tasks:
                    for number, (payload, pause_s) in enumerate(messages, 1):
                        await room.acquire()
                        tasks.create_task(send(client, payload))
                        progress.update(task, completed=acknowledged)
                        if number == limit:
                            break
                        if pause_s:
                            due = max(due + pause_s, loop.time())
                            await asyncio.sleep(due - loop.time())
    except* aiomqtt.MqttError as errors:
        reason = errors.exceptions[0]
        raise UnreachableError(
            f"MQTT at {target.host}:{target.port} failed after {acknowledged} acknowledged messages: {reason}"
        ) from errors
    return acknowledged, loop.time() - started


def register(app: typer.Typer) -> None:
    app.command()(replay)
