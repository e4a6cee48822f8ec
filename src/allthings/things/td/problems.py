"""Collecting what is wrong with a document, each with its JSON pointer (RFC 6901), and the checks of simple terms."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from allthings.things.td.limits import PROBLEMS_MAX
from allthings.things.values import shown

_REFERENCE: Final = re.compile(r"[^\s\x00-\x1f\x7f<>\"\\^`]*")
_DATE_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?")


class Problems:
    """A list of problems that stops growing at PROBLEMS_MAX."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []
        self.left_out = 0

    def add(self, pointer: str, message: str) -> None:
        """`pointer` is the JSON pointer of the member; the message completes the sentence that begins with it."""
        if len(self.found) < PROBLEMS_MAX:
            self.found.append((pointer, message))
        else:
            self.left_out += 1

    def __bool__(self) -> bool:
        return bool(self.found)

    def as_json(self) -> list[dict[str, str]]:
        return [{"pointer": pointer, "problem": message} for pointer, message in self.found]

    def __str__(self) -> str:
        text = "; ".join(f"{pointer or '/'} {message}" for pointer, message in self.found)
        return text + (f"; and {self.left_out} more" if self.left_out else "")


def child(pointer: str, name: object) -> str:
    """The JSON pointer of a member."""
    return f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"


#: A check of one term: (value, pointer, problems).
Check = Callable[[Any, str, Problems], None]


def check_terms(value: Mapping[str, Any], terms: Mapping[str, Check], pointer: str, problems: Problems) -> None:
    """Check each term that is there; terms that are not in the table are extensions and pass."""
    for name, check in terms.items():
        if name in value:
            check(value[name], child(pointer, name), problems)


def is_object(value: Any, pointer: str, problems: Problems) -> bool:
    """Whether it is a JSON object; says so if not."""
    if isinstance(value, dict):
        return True
    problems.add(pointer, f"must be an object, not {shown(value)}")
    return False


def text(length_max: int) -> Check:
    """A string of at most so many characters."""

    def check(value: Any, pointer: str, problems: Problems) -> None:
        if not isinstance(value, str):
            problems.add(pointer, f"must be a string, not {shown(value)}")
        elif len(value) > length_max:
            problems.add(pointer, f"has {len(value)} characters, at most {length_max} are allowed")

    return check


def texts_by_language(length_max: int) -> Check:
    """A MultiLanguage map (section 5.3.1.7): language tag to string."""
    one = text(length_max)

    def check(value: Any, pointer: str, problems: Problems) -> None:
        if is_object(value, pointer, problems):
            for language, translation in value.items():
                one(translation, child(pointer, language), problems)

    return check


def one_of(words: Iterable[str]) -> Check:
    """One of these strings."""
    allowed = tuple(words)

    def check(value: Any, pointer: str, problems: Problems) -> None:
        if value not in allowed:
            problems.add(pointer, f"must be one of {', '.join(allowed)}, not {shown(value)}")

    return check


def one_or_many(check: Check) -> Check:
    """One value, or an array of at least one."""

    def check_each(value: Any, pointer: str, problems: Problems) -> None:
        if not isinstance(value, list):
            check(value, pointer, problems)
            return
        if not value:
            problems.add(pointer, "must not be an empty array")
        for index, item in enumerate(value):
            check(item, child(pointer, index), problems)

    return check_each


def boolean(value: Any, pointer: str, problems: Problems) -> None:
    """true or false."""
    if not isinstance(value, bool):
        problems.add(pointer, f"must be true or false, not {shown(value)}")


def number(value: Any, pointer: str, problems: Problems) -> None:
    """A number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        problems.add(pointer, f"must be a number, not {shown(value)}")


def positive(value: Any, pointer: str, problems: Problems) -> None:
    """A number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        problems.add(pointer, f"must be a number above 0, not {shown(value)}")


def size(value: Any, pointer: str, problems: Problems) -> None:
    """A whole number from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        problems.add(pointer, f"must be a whole number from 0 on, not {shown(value)}")


def reference(value: Any, pointer: str, problems: Problems) -> None:
    """A URI reference, possibly a URI template."""
    if not isinstance(value, str) or len(value) > 4_096 or not _REFERENCE.fullmatch(value):
        problems.add(pointer, f"must be a URI without blanks, not {shown(value)}")


def date_time(value: Any, pointer: str, problems: Problems) -> None:
    """A date and time as in RFC 3339 (xsd:dateTime, so the offset may lack)."""
    if not isinstance(value, str) or not _DATE_TIME.fullmatch(value):
        problems.add(pointer, f"must be a time such as 2026-11-22T08:30:00Z, not {shown(value)}")
