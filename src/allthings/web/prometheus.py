"""The state of the platform in the Prometheus text exposition format, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from litestar import Request, Response, get

from allthings.web.openapi import describe
from allthings.web.status import Status, StatusKeeper


def exposition(status: Status) -> str:
    """All metrics, each with its HELP and TYPE lines."""
    lines: list[str] = []

    def add(name: str, kind: str, text: str, samples: Iterable[tuple[str, float]]) -> None:
        lines.append(f"# HELP allthings_{name} {text}")
        lines.append(f"# TYPE allthings_{name} {kind}")
        lines.extend(f"allthings_{name}{labels} {value:.17g}" for labels, value in samples)

    things, totals, disk, rates = status.things, status.totals, status.disk, status.rates
    adopted = things.total - things.discovered
    add(
        "things",
        "gauge",
        "Things known, by state.",
        [('{state="adopted"}', adopted), ('{state="discovered"}', things.discovered)],
    )
    add("things_online", "gauge", "Things heard of lately.", [("", things.online)])
    add("connections", "gauge", "MQTT connections.", [("", status.connections)])
    add("messages_per_second", "gauge", "Messages received a second.", [("", rates.messages)])
    add("readings_per_second", "gauge", "Readings kept a second.", [("", rates.readings)])
    add("rejects_per_second", "gauge", "Rejects a second.", [("", rates.rejects)])
    add("readings_total", "counter", "Readings kept.", [("", totals.readings)])
    add("rejects_total", "counter", "Messages that could not be used.", [("", totals.rejects)])
    add("unclaimed_total", "counter", "Messages that no convention claims.", [("", totals.unclaimed)])
    add(
        "disk_bytes",
        "gauge",
        "Bytes on disk, by part.",
        [
            ('{part="data"}', disk.data_bytes),
            ('{part="log"}', disk.log_bytes),
            ('{part="history"}', disk.history_bytes),
        ],
    )
    add("disk_free_bytes", "gauge", "Bytes free on the data's file system.", [("", disk.free_bytes)])
    if disk.free_files is not None:
        add("disk_free_files", "gauge", "Files that the data's file system can still make.", [("", disk.free_files)])
    takes = not status.log.trouble and not disk.shortage
    add("log_takes_appends", "gauge", "Whether what is sent is taken, as an append just said.", [("", takes)])
    waiting = [(_labels(reason=why), 1.0) for why in status.holding]
    add("devices_wait", "gauge", "1 for each reason for which devices are made to wait.", waiting)
    consumers = status.consumers
    blocks = [(_labels(consumer=one.name), one.lag_blocks) for one in consumers]
    add("consumer_lag_blocks", "gauge", "Blocks of the log that a consumer has not finished.", blocks)
    seconds = [(_labels(consumer=one.name), one.lag_s) for one in consumers]
    add("consumer_lag_seconds", "gauge", "Age of the oldest block that a consumer has not finished.", seconds)
    running = [(_labels(role=one.name), float(one.state == "running")) for one in status.roles]
    add("role_up", "gauge", "Whether a role runs.", running)
    restarts = [(_labels(role=one.name), one.restarts) for one in status.roles]
    add("role_restarts_total", "counter", "Times that a role was started again.", restarts)
    add("info", "gauge", "The version.", [(_labels(version=status.version), 1)])
    return "\n".join(lines) + "\n"


def _labels(**labels: str) -> str:
    def quoted(value: str) -> str:
        return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

    return "{" + ",".join(f'{name}="{quoted(value)}"' for name, value in labels.items()) + "}"


@get(
    "/metrics",
    summary="Figures for Prometheus",
    tags=["operations"],
    opt=describe(answers={200: ("Text format 0.0.4", {"text/plain": "allthings_connections 11\n"})}),
)
async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The state of the platform in the Prometheus text format. Prometheus sends a program's token."""
    keeper: StatusKeeper = request.app.state.status
    text = exposition(await keeper.get())
    return Response(text.encode(), media_type="text/plain; version=0.0.4")


HANDLERS = [metrics]
