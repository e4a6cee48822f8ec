"""The tree of topics that messages came on, for people who look on: counts, rates, last payloads.

While nobody looks only small blocks are looked into, as far as a small budget goes, so that the tree is there when
somebody comes; while somebody does (`answer`) every block is. One look-up per run of messages is all that this costs;
sums for the levels above are made once a second (`tick`), and only for topics that had messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from heapq import nlargest, nsmallest
from typing import Final

import pyarrow as pa

from allthings.gateway import settings
from allthings.gateway.gathering import Run
from allthings.gateway.questions import AskTopics, Key, TopicsAnswer, TopicShown, TopicSort
from allthings.log.block import FLAG_QOS

#: A rate is that of the window that is being filled and a share of the one before it.
_WINDOW_S: Final = 4.0
_PAYLOAD_BYTES: Final = settings.TOPIC_PAYLOAD_BYTES
#: A budget for every block.
_ALL: Final = 1 << 62


class _Node:
    """One level of a topic; `messages` and all below count those of the levels under it too, but for `own`."""

    __slots__ = (
        *("above", "before", "children", "current", "flags", "fresh", "last_ns", "messages", "name", "own", "own_ns"),
        *("payload", "size", "topics", "window"),
    )

    def __init__(self, name: str, above: _Node | None) -> None:
        self.name = name
        self.above = above
        self.children: dict[str, _Node] | None = None
        self.topics = 0
        self.messages = 0
        self.last_ns = 0
        #: Messages in this window and in the one before it, and the window's number.
        self.current = self.before = self.window = 0
        #: What came on this very topic: messages in all, and since the last tick; the newest one.
        self.own = self.fresh = self.own_ns = self.flags = self.size = 0
        self.payload = b""

    def count(self, messages: int, last_ns: int, window: int) -> None:
        self.messages += messages
        self.last_ns = max(self.last_ns, last_ns)
        if self.window != window:
            self.before = self.current if self.window == window - 1 else 0
            self.current, self.window = 0, window
        self.current += messages


class Topics:
    """All methods run on the event loop. Times in seconds are those of the loop's clock, else Unix times in ns."""

    def __init__(self) -> None:
        self._root = _Node("", None)
        self._leaves: dict[str, _Node] = {}
        self._fresh: list[_Node] = []
        self._budget = settings.LOOKED_INTO_PER_S
        self._watched_until = self._whole_since_s = self._window_since_s = 0.0
        self._window = 0
        self._skipped = True
        #: Topics for which there was no room.
        self.unlisted = 0

    def __len__(self) -> int:
        return len(self._leaves)

    # Filling

    def take(self, runs: Sequence[Run], payloads: Sequence[bytes], first_ns: int) -> None:
        """The messages of a stored block; message n was received at `first_ns` + n."""
        if self._budget < len(runs):
            self._skipped = True
            return
        self._budget -= len(runs)
        leaves, at = self._leaves, 0
        for topic, _, flags, _, count, _ in runs:
            at += count
            node = leaves.get(topic)
            if node is None:
                node = self._add(topic)
                if node is None:
                    continue
            if not node.fresh:
                self._fresh.append(node)
            node.fresh += count
            payload = payloads[at - 1]
            node.size = len(payload)
            node.payload = payload if node.size <= _PAYLOAD_BYTES else payload[:_PAYLOAD_BYTES]
            node.own_ns = first_ns + at - 1
            node.flags = flags

    def take_batch(self, batch: pa.RecordBatch) -> None:
        """The messages of a block that somebody else appended."""
        topics, payloads, flags = (batch.column(name).to_pylist() for name in ("topic", "payload", "flags"))
        runs = [Run(topic, "", kind, None, 1, None) for topic, kind in zip(topics, flags, strict=True)]
        if runs:
            self.take(runs, payloads, batch.column("received")[0].value)

    def _add(self, topic: str) -> _Node | None:
        if len(self._leaves) >= settings.TOPICS_LISTED_MAX:
            self.unlisted += 1
            return None
        node = self._root
        for name in topic.split("/"):
            if node.children is None:
                node.children = {}
            below = node.children.get(name)
            if below is None:
                below = node.children[name] = _Node(name, node)
            node = below
        self._leaves[topic] = node
        above: _Node | None = node
        while above is not None:
            above.topics += 1
            above = above.above
        return node

    async def tick(self, now_s: float) -> None:
        """Sum up, at least once a second."""
        if self._skipped:
            # Not every message was counted: what a rate would be made from is worth nothing.
            self._skipped = False
            self._whole_since_s = now_s
            self._window += 2
        watched = now_s < self._watched_until
        self._budget = _ALL if watched else settings.LOOKED_INTO_PER_S
        if now_s - self._window_since_s >= _WINDOW_S:
            self._window += 1 if now_s - self._window_since_s < 2 * _WINDOW_S else 2
            self._window_since_s = now_s
        fresh, self._fresh = self._fresh, []
        for number, leaf in enumerate(fresh, 1):
            if not number % settings.GONE_THROUGH_AT_ONCE:
                await asyncio.sleep(0)
            count, leaf.fresh = leaf.fresh, 0
            leaf.own += count
            node: _Node | None = leaf
            while node is not None:
                node.count(count, leaf.own_ns, self._window)
                node = node.above
        if self.unlisted and len(self._leaves) >= settings.TOPICS_LISTED_MAX:
            self._make_room()

    def _make_room(self) -> None:
        """Forget the topics that have been silent for longest."""
        oldest = nsmallest(len(self._leaves) // 4, self._leaves.items(), key=lambda item: item[1].own_ns)
        for topic, leaf in oldest:
            del self._leaves[topic]
            count, leaf.own, leaf.payload = leaf.own, 0, b""
            leaf.own_ns = leaf.size = 0
            node: _Node | None = leaf
            while node is not None:
                node.topics -= 1
                node.messages -= count
                above = node.above
                if above is not None and not node.topics and above.children:
                    del above.children[node.name]
                node = above

    # Looking

    async def answer(self, question: AskTopics, now_s: float, retained: Callable[[str], bool]) -> TopicsAnswer:
        """The levels below a prefix; `retained` tells whether a topic has a retained message.

        Somebody looks: nothing is missed for a while from now on.
        """
        self._watched_until = now_s + settings.WATCHED_S
        await self.tick(now_s)
        prefix, wanted, after = question.prefix, question.search.casefold(), question.after
        limit = min(question.limit, settings.ANSWER_ROWS_MAX) + 1
        choose = nlargest if question.descending else nsmallest
        nodes = self._leaves if wanted else self._below(prefix)
        start = len(prefix) if wanted else 0
        best: list[Key] = []
        total = 0
        for number, (name, node) in enumerate(tuple(nodes.items()), 1):
            if not number % settings.GONE_THROUGH_AT_ONCE:
                best = choose(limit, best)
                await asyncio.sleep(0)
            if wanted and not (name.startswith(prefix) and wanted in name.casefold()):
                continue
            total += 1
            shown = name[start:]
            key = (self._key(node, shown, question.sort, now_s), shown)
            if after is None or (key < after if question.descending else key > after):
                best.append(key)
        there = [(key, nodes.get(prefix[:start] + key[1])) for key in choose(limit, best)]
        levels = [self._shown(key, node, now_s, retained(prefix + key[1])) for key, node in there if node is not None]
        return TopicsAnswer(levels, total, len(self._leaves), self.unlisted)

    def _shown(self, key: Key, node: _Node, now_s: float, retained: bool) -> TopicShown:
        return TopicShown(
            key=key,
            name=key[1],
            topics=node.topics,
            children=len(node.children or ()),
            messages=node.messages,
            rate=self._rate(node, now_s),
            last_ns=node.last_ns,
            own_ns=node.own_ns,
            payload=node.payload,
            payload_bytes=node.size,
            qos=node.flags & FLAG_QOS,
            retained=retained,
        )

    def _below(self, prefix: str) -> dict[str, _Node]:
        node = self._root
        for name in prefix.split("/")[:-1]:
            found = (node.children or {}).get(name)
            if found is None:
                return {}
            node = found
        return node.children or {}

    def _key(self, node: _Node, name: str, sort: TopicSort, now_s: float) -> float | str:
        if sort == "messages":
            return float(node.messages)
        return self._rate(node, now_s) if sort == "rate" else name

    def _rate(self, node: _Node, now_s: float) -> float:
        """Messages a second over the last seconds."""
        if self._window - node.window > 1:
            return 0.0
        current, before = (node.current, node.before) if node.window == self._window else (0, node.current)
        passed_s = min(now_s - self._window_since_s, _WINDOW_S)
        counted = current + before * (1 - passed_s / _WINDOW_S)
        return counted / max(1.0, min(_WINDOW_S, now_s - self._whole_since_s))
