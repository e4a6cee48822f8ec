"""What a checker finds, as a set of pointers."""

from typing import Any

from allthings.things.td.problems import Check, Problems


def pointers(check: Check, value: Any) -> set[str]:
    problems = Problems()
    check(value, "", problems)
    return {pointer for pointer, _ in problems.found}
