"""A map from paths of levels ("a/b/c") to values that can be walked level by level, lean in memory.

A path's part that no other path shares is kept as one string (`Node.tail`) and unfolds into nodes only when a second
path joins it. So a hundred thousand filters such as `things/{thing}/actions/#` cost one node each, not three, and
the shared ends cost one string together.
"""

from __future__ import annotations

from sys import intern
from typing import Generic, TypeVar

V = TypeVar("V")


class Node(Generic[V]):
    """Where the levels walked so far have led.

    With a `tail`, the only path from here goes on with these levels and `value` belongs to its end; there are no
    children then. Without, `value` belongs to the path that ends here, None if none does.
    """

    __slots__ = ("children", "tail", "value")

    def __init__(self, tail: str | None, value: V | None) -> None:
        self.tail = tail
        self.value = value
        self.children: dict[str, Node[V]] | None = None

    def unfold(self) -> None:
        """Turn the first level of the tail into a child."""
        if self.tail is not None:
            level, slash, rest = self.tail.partition("/")
            self.children = {level: Node(intern(rest) if slash else None, self.value)}
            self.tail = self.value = None


class Trie(Generic[V]):
    """Paths to values; None is no value. Walkers begin at `root`, whose children are never None and tail always."""

    def __init__(self) -> None:
        self.root: Node[V] = Node(None, None)
        self.root.children = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def get(self, path: str) -> V | None:
        """The value of a path."""
        walk = self._walk(path)
        return walk[-1][1].value if walk else None

    def set(self, path: str, value: V) -> V | None:
        """Give a path its value; return the one it had."""
        levels = path.split("/")
        node = self.root
        for depth, level in enumerate(levels, 1):
            tail = intern("/".join(levels[depth:])) if depth < len(levels) else None
            if node.children is None:
                node.children = {}
            child = node.children.get(level)
            if child is None:
                node.children[level] = Node(tail, value)
                self._size += 1
                return None
            node = child
            if node.tail is not None:
                if node.tail == tail:
                    break
                node.unfold()
        old, node.value = node.value, value
        self._size += old is None
        return old

    def pop(self, path: str) -> V | None:
        """Remove a path; return the value it had."""
        walk = self._walk(path)
        if not walk:
            return None
        node = walk[-1][1]
        old, node.value = node.value, None
        if old is None:
            return None
        self._size -= 1
        node.tail = None
        parents = [self.root, *(node for _, node in walk)]
        for parent, (level, child) in zip(reversed(parents[:-1]), reversed(walk), strict=True):
            if child.children or child.value is not None or parent.children is None:
                break
            del parent.children[level]
            if not parent.children and parent is not self.root:
                parent.children = None
        return old

    def _walk(self, path: str) -> list[tuple[str, Node[V]]]:
        """The levels and nodes down to the path's; empty when it has none."""
        walk: list[tuple[str, Node[V]]] = []
        levels = path.split("/")
        node = self.root
        for depth, level in enumerate(levels, 1):
            child = node.children.get(level) if node.children else None
            if child is None:
                return []
            walk.append((level, child))
            if child.tail is not None:
                return walk if depth < len(levels) and child.tail == "/".join(levels[depth:]) else []
            node = child
        return walk
