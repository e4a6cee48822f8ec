"""The gateway's process, started by the supervisor."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

import uvloop

from allthings.gateway.certificates import ServerCertificate
from allthings.gateway.errors import NewerLayoutError
from allthings.gateway.listeners import Listener
from allthings.gateway.proxy import networks
from allthings.gateway.run import run_gateway
from allthings.gateway.shard import ALONE, Shard
from allthings.historian.errors import LogReplacedError
from allthings.log.errors import LogUnavailableError
from allthings.log.reserve import Reserve
from allthings.log.stream import Log
from allthings.registry.registry import Registry
from allthings.runtime import listening, logmark
from allthings.runtime.child import exit_unusable, tell_ready
from allthings.runtime.process import connect_log, set_up
from allthings.runtime.settings import Settings
from allthings.runtime.up import SHARD_VARIABLE
from allthings.things.times import now_ns

_LOGGER = logging.getLogger(__name__)


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log: Log = await connect_log(settings)
    if not await _is_ours(log, settings):
        # The platform says it, and everything ends; until then nobody must be let in.
        await stop.wait()
        return
    registry = Registry(settings.database_url)
    inherited = listening.inherited()
    listeners = _listeners(settings, inherited)
    try:
        await run_gateway(
            log,
            registry,
            listeners,
            open_mode=settings.open,
            shard=Shard.parse(os.environ.get(SHARD_VARIABLE, str(ALONE))),
            handover=inherited.get("handover", []),
            keepalive_s_max=settings.keepalive_max_s,
            control_characters=settings.mqtt_control_characters,
            now_ns=now_ns,
            reserve=Reserve(settings.data, settings.disk_reserve_mb),
            data=settings.data,
            ready=tell_ready,
            stop=stop,
        )
    except NewerLayoutError as error:
        exit_unusable(error.detail)
    except LogUnavailableError as error:
        # Before anybody was let in; the supervisor starts us again.
        _LOGGER.warning("the start is tried again: %s", error.detail)
        sys.exit(1)
    finally:
        for listener in listeners:
            listener.socket.close()
        await log.close()
        registry.close()


async def _is_ours(log: Log, settings: Settings) -> bool:
    """Whether the log goes as far as the history, as soon as it answers."""
    while True:
        try:
            await logmark.check(log, settings.data)
        except LogReplacedError:
            return False
        except LogUnavailableError:
            await asyncio.sleep(0.1)
        else:
            return True


def _listeners(settings: Settings, inherited: listening.Opened) -> list[Listener]:
    """What the supervisor opened for us. Raises CertificateError."""
    proxies = networks(settings.proxy_protocol)
    certificate = ServerCertificate(listening.certificate_files(settings)) if "mqtts" in inherited else None
    return [
        *(Listener(each, proxies=proxies) for each in inherited["mqtt"]),
        *(Listener(each, certificate, proxies) for each in inherited.get("mqtts", [])),
        *(Listener(each) for each in inherited.get("mqtt-socket", [])),
        *(Listener(each, proxies=None) for each in inherited.get("relay", [])),
    ]


def main() -> None:
    """Run until SIGTERM."""
    settings = set_up("gateway")
    uvloop.run(_run(settings))


if __name__ == "__main__":
    main()
