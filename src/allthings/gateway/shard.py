"""Several gateways on one machine are one broker: each client belongs to one of them, by its client id.

So a session, its take-over and its order are always one process's business. Whichever gateway accepts a connection
hands it to the one that the client belongs to (gateway.handover); messages reach the others through the log.
"""

from __future__ import annotations

import secrets
import zlib
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Shard:
    """Gateway `index` of `count`."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `1/4`: the second of four."""
        index, _, count = text.partition("/")
        return cls(int(index), int(count))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def source(self, family: str) -> str:
        """The word under which it appends to the log; `family` is that of the first one."""
        return f"{family}-{self.index}" if self.index else family

    def owner(self, client: str) -> int:
        """The gateway that a client belongs to."""
        return zlib.crc32(client.encode()) % self.count

    def owns(self, client: str) -> bool:
        return self.count == 1 or self.owner(client) == self.index

    def new_client(self) -> str:
        """A client id for who brought none (MQTT 5 section 3.1.3.1); it belongs here."""
        while True:
            client = f"auto-{secrets.token_hex(8)}"
            if self.owns(client):
                return client


ALONE = Shard(0, 1)


def is_gateway(family: str, source: str) -> bool:
    """Whether a block was appended by one of the family's gateways, also when they were more or fewer."""
    head, _, number = source.rpartition("-")
    return source == family or (head == family and number.isdigit())
