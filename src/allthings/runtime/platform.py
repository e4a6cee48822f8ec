"""The platform's process: historian, twin and web in one, since an embedded history has one process; bridges beside.

Start: registry, history, log; the twin from the history; then ingest, twin and web side by side. A history that cannot
be had stops none of the others; it is tried again. Stop: questions to the history are ended, then the web, then ingest
finishes what it has read.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit

import msgspec
import uvicorn
import uvloop

from allthings.connectors.bridges import Bridges
from allthings.console import static_dir
from allthings.gateway.certificates import ServerCertificate
from allthings.gateway.statistics import GatewayReport
from allthings.historian.history import History
from allthings.historian.ingest import CONSUMER as HISTORIAN
from allthings.historian.ingest import Ingest, check_log
from allthings.historian.keeper import Keeper
from allthings.historian.retention import Keep, Retention
from allthings.log import block, losses
from allthings.log.errors import LogUnavailableError
from allthings.log.reserve import Reserve
from allthings.log.stream import Log
from allthings.readings.decoder import Decoder
from allthings.readings.feed import Feed
from allthings.readings.model import Model
from allthings.registry import Removals
from allthings.registry.registry import Registry
from allthings.registry.sealing import Sealing
from allthings.registry.trouble import Trouble
from allthings.runtime import datadir, listening, logmark
from allthings.runtime.child import exit_unusable, tell_ready
from allthings.runtime.current import Past, past
from allthings.runtime.process import connect_log, set_up
from allthings.runtime.settings import Settings
from allthings.runtime.up import ADDRESS_VARIABLE, read_state
from allthings.runtime.zone import machine_zone
from allthings.things.errors import AllthingsError, UnavailableError
from allthings.things.times import now_ns
from allthings.twin import run as twin_run
from allthings.twin.twin import Twin
from allthings.web.app import create_app
from allthings.web.checking import losses as losses_shown
from allthings.web.services import PlatformStats, Role, Services
from allthings.web.settings import WebSettings
from allthings.web.websocket.relay import Relays

_LOGGER = logging.getLogger(__name__)
_MODEL_EVERY_S = 0.2
_TELL_POSITION_EVERY_S = 0.1
_STATE_EVERY_S = 1.0
#: A gateway that reports each second is gone when it has not for so long.
_GATEWAY_SILENT_S = 5.0
_TRIM_EVERY_S = 60.0
_RETAIN_EVERY_S = 3600.0
#: When the platform stops, answers have this time to leave; requests that are still under way then, a second more.
_ANSWERS_LEAVE_WITHIN_S = 1.0
_STOP_WEB_WITHIN_S = 2


class Platform:
    """The parts, opened in order; `run` keeps them going until `stop` is set."""

    def __init__(self, settings: Settings, log: Log, stop: asyncio.Event) -> None:
        self._settings = settings
        self._log = log
        self._stop = stop
        sealing = Sealing(settings.data / datadir.KEY_FILE, settings.secret_key)
        self._registry = Registry(settings.database_url, sealing)
        self._history = History(settings.clickhouse_dsn, settings.data / datadir.LEDGER_FOLDER)
        self._model = Model()
        self._model_version = -1
        self._decoder = Decoder(lambda: self._model)
        self._twin = Twin(now_ns, self._history.deletions)
        self._feed = Feed(log, self._decoder, self._missed)
        self._ingest = Ingest(log, self._feed, self._decoder, self._history)
        self._keeper = Keeper(
            log, self._feed, self._history, self._ingest, opened=self._history_opened, mended=self._history_mended
        )
        self._reserve = Reserve(settings.data, settings.disk_reserve_mb)
        self._bridges = Bridges(
            *(self._registry.bridges, log, now_ns, self._reserve), control_characters=settings.mqtt_control_characters
        )
        self._stats = PlatformStats(ready=False)
        self._readings_before = 0
        #: Whether the log is being read, so that the twin has begun somewhere.
        self._feeding = False
        self._marked = 0
        #: The last block that the history had something of when it was opened.
        self._known = 0

    async def open(self) -> None:
        """Bring the databases up to date and load what is current. Raises AllthingsError."""
        await logmark.check(self._log, self._settings.data)
        if await asyncio.to_thread(self._registry.migrate) and not self._settings.database:
            self._tell_new_registry()
        if not self._settings.open:
            password = await asyncio.to_thread(self._registry.users.ensure_admin)
            if password is not None:
                print(f"administrator created: user admin, password {password} (shown only now)", flush=True)  # noqa: T201
        await self._renew_model()
        last = block.position((await self._log.status()).last + 1, 0) - 1
        await asyncio.to_thread(self._leave_out_deleted, last)
        if not await self._keeper.try_open():
            # Devices do not wait for it: what they send is known from here on, and the past when it is there.
            removed = await asyncio.to_thread(self._registry.removals.all)
            self._twin.begin(await self._log.position(HISTORIAN), removed)
        self._tell_history()

    async def _history_opened(self, sequence: int) -> None:
        self._known = await check_log(self._log, self._history)
        self._readings_before = await asyncio.to_thread(self._history.count_readings)
        last = max((await self._log.status()).last, self._known)
        await asyncio.to_thread(self._clamp, block.position(last + 1, 0) - 1)
        await self._finish_deletions()
        await self._tell_twin(sequence)

    def _leave_out_deleted(self, newest: int) -> None:
        """From here on what was deleted is left out wherever it is read again. `newest` is the log's last position."""
        for noted in self._registry.deletions.all():
            deletion = noted.deletion
            self._history.deletions.add(deletion._replace(upto=min(deletion.upto, newest)))

    def _clamp(self, newest: int) -> None:
        """Nothing behind the end of the log was removed or deleted: a log that begins anew brings nothing but news."""
        self._registry.removals.clamp(newest)
        self._registry.deletions.clamp(newest)

    async def _finish_deletions(self) -> None:
        """Make the deletions that were cut off; one that cannot be made now is tried again in an hour."""
        for noted in await asyncio.to_thread(self._registry.deletions.all):
            if noted.done:
                continue
            try:
                found = await asyncio.to_thread(self._history.delete, noted.deletion)
            except UnavailableError as error:
                _LOGGER.warning("a deletion of %s is still to be made: %s", noted.deletion.things, error.detail)
                continue
            await asyncio.to_thread(self._registry.deletions.done, noted.id)
            _LOGGER.info("a deletion that was cut off is made: %d readings more", found.readings)
            series = self._twin.delete(noted.deletion)
            removals = await asyncio.to_thread(self._registry.removals.all)
            self._twin.restore(await asyncio.to_thread(self._history.current, series, removals=removals))

    def _past(self, finished: int) -> tuple[Past, Removals]:
        """What the history knows of the past after a block, without what was removed."""

        def series() -> list[tuple[str, str]]:
            known = self._history.current()
            return list(zip(known.column("thing").to_pylist(), known.column("property").to_pylist(), strict=True))

        removals = self._registry.removals
        settled = removals.settle(series, block.position(finished + 1, 0) - 1)
        if settled:
            _LOGGER.info("%d things and properties that the history has were removed before", settled)
        removed = removals.all()
        return past(self._history, removed), removed

    async def _tell_twin(self, finished: int) -> None:
        known, removed = await asyncio.to_thread(self._past, finished)
        if not self._feeding:
            self._twin.begin(finished)
        self._twin.remember(known.current, heard=known.heard, events=known.events, removals=removed)

    async def _history_mended(self) -> None:
        await self._tell_twin(self._ingest.sequence)

    def _tell_new_registry(self) -> None:
        """A registry that is empty although the history is not was lost."""
        path = self._settings.data / datadir.REGISTRY_FILE
        if not logmark.read(self._settings.data):
            return
        why = (
            "it was gone or empty, and a new one is made without the things, users, tokens and rules of access of the "
            "old one. Stop, and restore it from a backup"
        )
        loss = losses.found(now_ns(), losses.REGISTRY, str(path), 1, why)
        _LOGGER.error("%s", losses.sentence(loss))
        losses.write(self._settings.data, [loss])

    async def run(self) -> None:
        """Serve until `stop` is set."""
        certificate = None
        if self._settings.https:
            # Browsers would ask people which certificate to show, if those of clients were welcome here.
            certificate = ServerCertificate(listening.certificate_files(self._settings)._replace(client_ca=None))
        relays = Relays(listening.relay_path(self._settings), self._settings.open)
        services = self._services()
        server = _server(create_app(services), relays, certificate)
        listeners = listening.inherited()["http"]
        self._feeding = True
        async with asyncio.TaskGroup() as tasks:
            consumers = [
                tasks.create_task(self._feed.run(self._twin.sequence, self._stop), name="feed"),
                tasks.create_task(self._keeper.run(self._stop), name="historian"),
                tasks.create_task(
                    twin_run.run(
                        self._log,
                        self._feed,
                        self._twin,
                        self._registry.things.observe,
                        stop=self._stop,
                        clock=now_ns,
                    ),
                    name="twin",
                ),
                tasks.create_task(self._bridges.run(self._stop), name="bridges"),
            ]
            beside = [
                tasks.create_task(_every(_MODEL_EVERY_S, self._renew_model, "model")),
                tasks.create_task(_every(_TELL_POSITION_EVERY_S, self._tell_position, "position")),
                tasks.create_task(_every(_STATE_EVERY_S, self._read_state, "state")),
                tasks.create_task(_every(_STATE_EVERY_S, self._mark_log, "mark")),
                tasks.create_task(_every(_TRIM_EVERY_S, self._trim_log, "trim")),
                tasks.create_task(_every(_RETAIN_EVERY_S, self._retain, "retention")),
                tasks.create_task(self._follow_gateways()),
                tasks.create_task(services.attempts.share(self._log, now_ns)),
            ]
            if certificate is not None:
                beside.append(tasks.create_task(certificate.follow()))
            serving = tasks.create_task(server.serve(sockets=listeners), name="web")
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
            self._stats.ready = True
            # The application lives as long as the process: full collections need not look at it.
            gc.collect()
            gc.freeze()
            tell_ready()
            await self._stop.wait()
            self._stats.ready = False
            await self._stop_serving(server, serving)
            await asyncio.wait(consumers)
            for task in beside:
                task.cancel()

    async def _stop_serving(self, server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
        """Whoever waits for something that takes long is told, or is cut off: the rest has to be finished in time."""
        # Live feeds end now, so that the web need not wait for them.
        self._twin.hub.close()
        server.should_exit = True
        if not await asyncio.to_thread(self._history.stop_answers):
            _LOGGER.warning("some questions to the history did not end when they were told to")
        await asyncio.wait([serving], timeout=_ANSWERS_LEAVE_WITHIN_S)
        # What is left reads an answer slowly. Its end comes to the application as the client's going away.
        for connection in list(server.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.wait([serving])

    def shortage(self) -> str:
        """What there is too little of on the disk, in words."""
        return self._reserve.shortage()

    async def close(self) -> None:
        """Close what `open` opened."""
        await self._decoder.close()
        await asyncio.to_thread(self._history.close)
        self._registry.close()

    def _services(self) -> Services:
        addresses = json.loads(os.environ[ADDRESS_VARIABLE])
        mqtt = urlsplit(addresses["mqtt"])
        return Services(
            registry=self._registry,
            history=self._history,
            twin=self._twin,
            log=self._log,
            decoder=self._decoder,
            settings=WebSettings(
                data_dir=self._settings.data,
                started_ns=now_ns(),
                open=self._settings.open,
                static_dir=static_dir(),
                mqtt_host=mqtt.hostname or "127.0.0.1",
                mqtt_port=mqtt.port or 1883,
                zone=self._settings.zone or machine_zone(),
            ),
            stats=self._stats,
            bridges=self._bridges,
            keeper=self._keeper,
            reserve=self._reserve,
        )

    # What is done now and then

    async def _renew_model(self) -> None:
        version = await asyncio.to_thread(self._registry.things.version)
        if version != self._model_version:
            self._model = Model(await asyncio.to_thread(self._registry.things.all_types))
            self._model_version = version

    async def _tell_position(self) -> None:
        """Gateways slow devices down when the historian moves but lags (gateway.flow)."""
        await self._log.publish_note(f"position.{HISTORIAN}", str(self._ingest.sequence).encode())

    async def _read_state(self) -> None:
        state = await asyncio.to_thread(read_state, self._settings.data)
        self._stats.roles = msgspec.convert(state.get("roles", []), list[Role], strict=False)
        rate, totals = self._twin.rates(), self._twin.totals()
        self._tell_history()
        self._stats.rates = msgspec.convert(msgspec.structs.asdict(rate), type(self._stats.rates), strict=False)
        self._stats.totals.unclaimed = totals.unclaimed
        self._stats.totals.readings = self._readings_before + totals.readings

    def _missed(self, first: int, last: int) -> None:
        """The log does not have these blocks, and later ones are there."""
        first = max(first, self._known + 1)
        if first <= last:
            why = "nothing of what was in them is in the history"
            span = str(first) if first == last else f"{first} to {last}"
            loss = losses.found(now_ns(), losses.BLOCKS, span, last - first + 1, why)
            _LOGGER.error("%s", losses.sentence(loss))
            losses.write(self._settings.data, [loss])

    async def _mark_log(self) -> None:
        if self._marked != self._ingest.sequence:
            self._marked = self._ingest.sequence
            await asyncio.to_thread(logmark.write, self._settings.data, self._marked)

    def _tell_history(self) -> None:
        keeper, stats = self._keeper, self._stats
        stats.history.state = "away" if not keeper.open else "healing" if keeper.healing else "open"
        stats.history.detail = keeper.away or keeper.healing
        stats.history.lost = losses_shown(self._history)

    async def _trim_log(self) -> None:
        finished = self._keeper.safe(await self._log.position(HISTORIAN))
        dropped = await self._log.trim(
            finished,
            now_ns(),
            keep_age_s=self._settings.log_keep_days * 86_400,
            keep_bytes=int(self._settings.log_keep_gb * 1024**3),
        )
        if dropped:
            _LOGGER.info("the log dropped %d old blocks, all of them in the history", dropped)
            first = block.position((await self._log.status()).first, 0)
            self._history.deletions.drop_before(first)
            await asyncio.to_thread(self._registry.deletions.drop_before, first)

    async def _retain(self) -> None:
        if not self._keeper.open or self._keeper.healing:
            return
        await self._finish_deletions()
        keep = Keep(raw_days=round(self._settings.keep_raw_days), minutes_days=round(self._settings.keep_1m_days))
        await asyncio.to_thread(self._history.retain, now_ns(), Retention(keep))

    async def _follow_gateways(self) -> None:
        heard: dict[str, tuple[float, GatewayReport]] = {}
        loop = asyncio.get_running_loop()
        async for note in self._log.notes("stats.*"):
            report = msgspec.json.decode(note, type=GatewayReport)
            heard[report.source] = (loop.time(), report)
            heard = {source: one for source, one in heard.items() if loop.time() - one[0] < _GATEWAY_SILENT_S}
            reports = [one for _, one in heard.values()]
            self._stats.connections = sum(one.connections for one in reports)
            self._stats.gateways = len(reports)
            self._stats.holding = sorted({why for one in reports for why in one.statistics.holding})
            self._stats.trouble = next((one.statistics.trouble for one in reports if one.statistics.trouble), "")


async def _every(seconds: float, work: Any, name: str) -> None:
    """Do a piece of work again and again; what fails is said and tried again."""
    trouble = Trouble(_LOGGER, f"{name} failed and will be tried again")
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - one of several pieces of work must not end the others
            trouble.tell(error)


def _server(app: Any, relays: Relays, certificate: ServerCertificate | None) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        ws=relays,  # type: ignore[arg-type]
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_STOP_WEB_WITHIN_S,
        timeout_keep_alive=75,
        backlog=2048,
        ssl_context_factory=None if certificate is None else lambda *_: certificate.lasting_context(),
    )
    server = uvicorn.Server(config)
    logging.getLogger("uvicorn.error").addFilter(_cut_off)
    # The signals are ours.
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    return server


def _cut_off(record: logging.LogRecord) -> bool:
    """That requests under way were cut off when the platform stopped is said once; where they stood tells nothing."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log = await connect_log(settings)
    platform = Platform(settings, log, stop)
    try:
        await platform.open()
    except LogUnavailableError as error:
        # Not for ever: the supervisor starts us again.
        _LOGGER.warning("the start is tried again: %s", error.detail)
        sys.exit(1)
    except AllthingsError as error:
        if shortage := platform.shortage():
            # Not for ever either: there will be room again.
            _LOGGER.warning("the start is tried again: %s; %s", error.detail, shortage)
            sys.exit(1)
        exit_unusable(error.detail)
    try:
        await platform.run()
    except* LogUnavailableError as errors:
        # Its server was not there in a moment in which it was needed.
        _LOGGER.warning("it is started again: %s", errors.exceptions[0])
        sys.exit(1)
    finally:
        await platform.close()
        await log.close()


def main() -> None:
    """Run until SIGTERM."""
    settings = set_up("platform")
    running: Coroutine[Any, Any, None] = _run(settings)
    uvloop.run(running)


if __name__ == "__main__":
    main()
