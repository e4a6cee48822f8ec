"""One supervised process: started, watched, started again with growing pauses, stopped within a time."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)

#: Pauses before a child that died is started again grow to this, and shrink again after a while of health.
PAUSE_S_MIN, PAUSE_S_MAX = 0.1, 10.0
HEALTHY_AFTER_S = 30.0
#: A child that cannot use what it was configured with exits with this status (EX_CONFIG of sysexits.h).
EXIT_UNUSABLE = 78
#: The environment variable that tells a child where to write when it is ready.
READY_VARIABLE = "ALLTHINGS_READY_FD"


def _die_with_parent() -> None:
    """Between fork and exec: a supervisor that is killed takes its children along (safe: they acknowledge nothing
    that is not on disk)."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass(frozen=True)
class ChildSpec:
    """What to run. `probe` tells readiness from outside, for programs that cannot tell it themselves."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    descriptors: tuple[int, ...] = ()
    probe: Callable[[], Awaitable[bool]] | None = None
    stop_within_s: float = 3.0
    #: Pauses between new starts grow to this.
    pause_s_max: float = PAUSE_S_MAX
    #: Awaited before each start.
    before: Callable[[], Awaitable[None]] | None = None
    #: A child that ends well (status 0) is not started again.
    may_finish: bool = False


class Child:
    """A running (or restarting) child. `on_change` is called whenever `state` changes."""

    def __init__(self, spec: ChildSpec, on_change: Callable[[], None], say: Callable[[str], None]) -> None:
        self.spec = spec
        self.state = "starting"
        self.restarts = 0
        self.pid: int | None = None
        self.ready = asyncio.Event()
        self.unusable = asyncio.Event()
        self._on_change = on_change
        self._say = say
        self._stopping = False
        self._replacing = False
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Keep the child running until `stop`."""
        pause_s = PAUSE_S_MIN
        loop = asyncio.get_running_loop()
        while not self._stopping:
            if self.spec.before:
                await self.spec.before()
                if self._stopping:
                    break
            started = loop.time()
            status = await self._once()
            if status == 0 and self.spec.may_finish:
                break
            if status == EXIT_UNUSABLE and not self._stopping:
                self.unusable.set()
                break
            if self._stopping:
                break
            self.restarts += 1
            self._change("restarting")
            if self._replacing:
                self._replacing = False
                continue
            if loop.time() - started > HEALTHY_AFTER_S:
                pause_s = PAUSE_S_MIN
            self._say(f"{self.spec.name} {_how(status)}; starting it again in {pause_s:.1f} s")
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, self.spec.pause_s_max)
        self._change("stopped")

    async def _once(self) -> int:
        """Start, wait for readiness, wait for the end; its exit status (negative: the signal)."""
        reading, writing = os.pipe()
        os.set_inheritable(writing, True)
        try:
            process = await asyncio.create_subprocess_exec(
                *self.spec.argv,
                env={**os.environ, **self.spec.environment, READY_VARIABLE: str(writing)},
                pass_fds=(*self.spec.descriptors, writing),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        except OSError as error:
            os.close(reading)
            self._say(f"{self.spec.name} cannot be started: {error}")
            return 127
        finally:
            os.close(writing)
        self._process, self.pid = process, process.pid
        self._change("starting")
        watch = asyncio.create_task(self._watch_ready(reading))
        try:
            return await process.wait()
        finally:
            watch.cancel()
            self.pid = None
            with contextlib.suppress(asyncio.CancelledError):
                await watch

    async def _watch_ready(self, reading: int) -> None:
        try:
            if self.spec.probe:
                while not await self.spec.probe():  # noqa: ASYNC110 - another program is asked
                    await asyncio.sleep(0.02)
            elif not await _read_byte(reading):
                return
        finally:
            os.close(reading)
        self._change("running")
        self.ready.set()

    async def replace(self, within_s: float) -> bool:
        """SIGKILL, and start it again at once; whether it was ready within so long."""
        process = self._process
        if process is not None and process.returncode is None:
            self.ready.clear()
            self._replacing = True
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self.ready.wait()
        return self.ready.is_set()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL if it has not ended in its time."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self.spec.stop_within_s):
                await process.wait()
        except TimeoutError:
            self._say(f"{self.spec.name} did not stop within {self.spec.stop_within_s:g} s and was killed")
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _change(self, state: str) -> None:
        self.state = state
        self._on_change()


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _read_byte(descriptor: int) -> bool:
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _settle, readable)
    try:
        await readable
    finally:
        loop.remove_reader(descriptor)
    return bool(os.read(descriptor, 1))


def _how(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def tell_ready() -> None:
    """In a child: tell the supervisor that this role answers."""
    descriptor = os.environ.pop(READY_VARIABLE, None)
    if descriptor is not None:
        os.write(int(descriptor), b"1")
        os.close(int(descriptor))


def exit_unusable(detail: str) -> None:
    """In a child: say why it can never start like this, and end so that it is not started again."""
    sys.stderr.write(f"allthings: {detail}\n")
    sys.stderr.flush()
    sys.exit(EXIT_UNUSABLE)
