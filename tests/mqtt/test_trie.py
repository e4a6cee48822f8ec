"""The trie is a dict with another shape."""

from __future__ import annotations

import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from allthings.mqtt.trie import Node, Trie

paths = st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=1, max_size=5).map("/".join)


class TrieIsADict(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.trie: Trie[int] = Trie()
        self.model: dict[str, int] = {}

    @rule(path=paths, value=st.integers())
    def set(self, path: str, value: int) -> None:
        assert self.trie.set(path, value) == self.model.get(path)
        self.model[path] = value

    @rule(path=paths)
    def pop(self, path: str) -> None:
        assert self.trie.pop(path) == self.model.pop(path, None)

    @rule(path=paths)
    def get(self, path: str) -> None:
        assert self.trie.get(path) == self.model.get(path)

    @invariant()
    def same(self) -> None:
        assert len(self.trie) == len(self.model)
        found = {}
        nodes = 0
        stack: list[tuple[Node[int], str]] = [(self.trie.root, "")]
        while stack:
            node, prefix = stack.pop()
            nodes += 1
            if node is not self.trie.root:
                assert node.value is not None or node.children, "a dead end"
            if node.tail is not None:
                assert not node.children
                found[prefix + node.tail] = node.value
            elif node.value is not None:
                found[prefix[:-1]] = node.value
            stack += [(child, f"{prefix}{level}/") for level, child in (node.children or {}).items()]
        assert found == self.model
        assert nodes <= 1 + sum(path.count("/") + 1 for path in self.model)


TestTrieIsADict = TrieIsADict.TestCase
TestTrieIsADict.settings = settings(max_examples=60, stateful_step_count=30)


@given(st.lists(paths, unique=True))
def test_nothing_is_left(many: list[str]) -> None:
    trie: Trie[int] = Trie()
    for number, path in enumerate(many):
        trie.set(path, number)
    for path in many:
        trie.pop(path)
    assert trie.root.children == {}
    assert len(trie) == 0


def test_a_hundred_thousand_paths_stay_lean() -> None:
    tracemalloc.start()
    trie: Trie[int] = Trie()
    for number in range(100_000):
        trie.set(f"things/thing-{number}/actions/#", 1)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 100_000 * 250
