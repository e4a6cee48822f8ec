from typing import Any

import pytest

from allthings.things.td import problems as terms
from allthings.things.td.limits import PROBLEMS_MAX
from allthings.things.td.problems import Check, Problems, child

from .problem_lists import pointers


def test_pointers_are_escaped() -> None:
    assert child("/a", "b/c~d") == "/a/b~1c~0d"
    assert child("", 3) == "/3"


def test_a_list_that_is_full_counts_on() -> None:
    problems = Problems()
    assert not problems
    for number in range(PROBLEMS_MAX + 3):
        problems.add(f"/{number}", "is wrong")
    assert problems
    assert len(problems.as_json()) == PROBLEMS_MAX
    assert str(problems).endswith("; and 3 more")


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        (terms.text(3), ["", "abc"], ["abcd", 3, None, ["a"]]),
        (terms.texts_by_language(3), [{}, {"en": "abc"}], [{"en": 3}, {"en": "abcd"}, "en", []]),
        (terms.one_of(("a", "b")), ["a"], ["c", 1, None, ["a"], {"a": 1}]),
        (terms.one_or_many(terms.text(3)), ["a", ["a", "b"]], [[], [1], 1]),
        (terms.boolean, [True, False], [0, "true", None]),
        (terms.number, [0, -1.5], [True, "1", None]),
        (terms.positive, [0.1, 7], [0, -1, True, "1", float("nan")]),
        (terms.size, [0, 7], [-1, 1.5, True, "1"]),
        (terms.reference, ["https://x/{id}", "", "a/b"], ["a b", "a\n", 7, "x" * 5000]),
        (terms.date_time, ["2026-11-22T08:30:00Z", "2026-11-22T08:30:00.5+01:00"], ["2026-11-22", 7, "now"]),
    ],
)
def test_terms(check: Check, right: list[Any], wrong: list[Any]) -> None:
    for value in right:
        assert not pointers(check, value), value
    for value in wrong:
        assert pointers(check, value), value
