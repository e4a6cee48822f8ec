"""Wills: what is said for clients that were lost, once for each, whatever dies in between.

The log has each will from before its client is let in until it is said or needs not be said any more. A will is said
in the same block that says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from allthings.gateway.changes import WillChange, WillDone, WillHeld, WillWaits
from allthings.gateway.rows import Rows

if TYPE_CHECKING:
    from allthings.gateway.collector import Collector
    from allthings.mqtt.packets import Publish

_ROWS: Final = 256


class LastWill(NamedTuple):
    """`due_ns` (Unix time): when it is said because the client has gone and not come back; 0 while it is there.

    `credential` is what the client had shown when it gave the will (registry.credentials.Standing).
    """

    message: Publish
    delay_s: int
    due_ns: int = 0
    credential: str = ""


class Wills:
    """Those of all clients of a gateway. `publish` appends one."""

    def __init__(self, collector: Collector, publish: Callable[[str, Publish], None]) -> None:
        self._collector = collector
        self._publish = publish
        #: As the log has them, by client. That is what is kept (gateway.keeper): what is on its way to the disk only
        #: may be lost in a crash.
        self.stored: dict[str, LastWill] = {}
        self.rows = Rows(_ROWS)

    def hold(self, client: str, message: Publish, delay_s: int, credential: str) -> LastWill:
        """A client that connects has a will."""
        self._change(WillHeld(client, delay_s, message, credential))
        return LastWill(message, delay_s, credential=credential)

    def wait(self, client: str, will: LastWill, due_ns: int) -> LastWill:
        """The client is gone; its will waits until then."""
        self._change(WillWaits(client, due_ns))
        return will._replace(due_ns=due_ns)

    def say(self, client: str, will: LastWill) -> None:
        """Publish it."""
        self._publish(client, will.message)
        # The first change behind a message is in the same block.
        self._change(WillDone(client))

    def drop(self, client: str) -> None:
        """It is not to be said any more."""
        self._change(WillDone(client))

    def _change(self, change: WillChange) -> None:
        self._collector.change(change)
        self._collector.then(lambda: self.apply(change))

    def apply(self, change: WillChange) -> None:
        """This is in the log."""
        client = change.client
        match change:
            case WillHeld():
                self.keep(client, LastWill(change.will, change.delay_s, credential=change.credential))
            case WillWaits():
                if (will := self.stored.get(client)) is not None:
                    self.keep(client, will._replace(due_ns=change.due_ns))
            case WillDone():
                self.stored.pop(client, None)
                self.rows.remove(client)

    def keep(self, client: str, will: LastWill) -> None:
        """That is how the log has it."""
        self.stored[client] = will
        self.rows.put(client)
