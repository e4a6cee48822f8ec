"""Over MQTT 3.1.1 a broker sends our own messages back to us when they match our own subscriptions: tell them apart.

What was sent to a topic that we subscribe to is expected back once; the first message with that topic and payload is
taken for it. Whichever of two equal messages is meant, one stays and one goes.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque

from allthings.connectors.settings import ECHO_WITHIN_S, ECHOES_MAX


class Echoes:
    """`now_s` is any clock that does not jump."""

    def __init__(self) -> None:
        # Until when each message is expected, oldest first; keys in the order in which they were last sent.
        self._expected: OrderedDict[bytes, deque[float]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        """How many are expected, some of which may be overdue."""
        return self._count

    def expect(self, topic: str, payload: bytes, now_s: float) -> None:
        """A message was sent that will come back."""
        while self._expected:
            oldest = next(iter(self._expected.values()))
            if oldest[-1] > now_s and self._count < ECHOES_MAX:
                break
            self._expected.popitem(last=False)
            self._count -= len(oldest)
        key = _key(topic, payload)
        self._expected.setdefault(key, deque()).append(now_s + ECHO_WITHIN_S)
        self._expected.move_to_end(key)
        self._count += 1

    def clear(self) -> None:
        """Expect nothing any more."""
        self._expected.clear()
        self._count = 0

    def is_one(self, topic: str, payload: bytes, now_s: float) -> bool:
        """Whether a message that came is one that was expected; then it is expected no more."""
        if not self._expected:
            return False
        key = _key(topic, payload)
        times = self._expected.get(key)
        if times is None:
            return False
        found = False
        while times and not found:
            found = times.popleft() > now_s
            self._count -= 1
        if not times:
            del self._expected[key]
        return found


def _key(topic: str, payload: bytes) -> bytes:
    digest = hashlib.blake2b(topic.encode(), digest_size=16)
    digest.update(b"\0")
    digest.update(payload)
    return digest.digest()
