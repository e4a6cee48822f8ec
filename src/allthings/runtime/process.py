"""What every role's process does first: settings, logging, the log."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import sys
import time
from typing import Any

from allthings.log.errors import LogTooOldError, LogUnavailableError
from allthings.log.stream import Log
from allthings.runtime import settings as settings_module
from allthings.runtime.child import exit_unusable
from allthings.runtime.errors import SettingError
from allthings.runtime.settings import Settings
from allthings.things.display import visible, visible_lines

#: Switching threads more often than Python's 5 ms keeps the event loop answering beside worker threads.
_SWITCH_INTERVAL_S = 0.001


class _Formatter(logging.Formatter):
    """Lines that stay lines, and do not act on a terminal, whatever a device or a client put into them."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return visible(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return visible_lines(super().formatException(ei))


def set_up(role: str) -> Settings:
    """Logging to standard error, and the settings, which the supervisor gave by the environment."""
    formatter = _Formatter(f"%(asctime)sZ {role}: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("nats").setLevel(logging.ERROR)
    for chatty in ("alembic", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Each connection is a file descriptor; what a shell allows by default is 1,024.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    # Everything imported so far lives for ever: full collections need not look at it.
    gc.freeze()
    # The hot loops make many small lists and no cycles: look for garbage more seldom than every 700 of them.
    gc.set_threshold(50_000, 20, 50)
    try:
        return settings_module.load({})
    except SettingError as error:
        exit_unusable(error.detail)
        raise


async def connect_log(settings: Settings) -> Log:
    """The log, waiting for its server as long as it takes."""
    said = ""
    while True:
        try:
            return await Log.connect(
                settings.nats,
                replicas=settings.nats_replicas,
                keep_bytes=int(settings.log_keep_gb * 1024**3),
            )
        except LogTooOldError as error:
            exit_unusable(error.detail)
        except LogUnavailableError as error:
            if error.detail != said:
                logging.getLogger(__name__).info("waiting for the log: %s", error.detail)
                said = error.detail
            await asyncio.sleep(0.1)
