"""Headers: what they say of a column, and the names of properties that they become."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from allthings.readings.files import words
from allthings.things.names import PROPERTY_NAME_MAX, slug, valid_thing_name
from allthings.things.units import known_unit

_SIGNS: Final = re.compile(r"[\s_\-.:/#()\[\]@\"']+")
#: A unit at the end of a header: `temp [°C]`, `Flow (l/s)`, `Power / kW`, `temp, °C`.
_UNIT: Final = re.compile(
    r"^(?P<name>.*\S)\s*(?:[\[(](?P<a>[^\[\]()]{1,24})[\])]|\s/\s(?P<b>\S{1,16})|,\s+(?P<c>\S{1,16}))$"
)
_ENDINGS: Final = re.compile(
    r"(?:\.(?:csv|tsv|txt|data|events|dat|log|ndjson|jsonl|json|parquet|arrows?|feather|gz|bz2|xz|tab|asc|prn))+$",
    re.IGNORECASE,
)
_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_UTC: Final = re.compile(r"(?i)(?:^|[^a-z])(?:utc|gmt|zulu)(?:[^a-z+\-]|$)|(?<=[a-z])UTC$")


class Named(NamedTuple):
    """The properties that headers become: their names, all different, their units, and what was changed."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    said: tuple[str, ...]


def plain(header: str) -> str:
    """A header without capitals, blanks and signs, as the lists of words have it."""
    return _SIGNS.sub("", header.strip().lower())


def without_unit(header: str) -> str:
    """The header without a unit in brackets at its end, plain."""
    return plain(re.sub(r"\s*[\[(][^\[\]()]*[\])]\s*$", "", header))


def time_among(headers: Iterable[str]) -> str | None:
    """The header that names the times of rows with thing, property and value; None if none does.

    `time` and `@time` before all others, then the usual names in the order in which headers stand.
    """
    usual = [header for header in headers if plain(header) in words.TIMES]
    return next((header for header in usual if header.strip().lower() in ("time", "@time")), next(iter(usual), None))


def is_time(header: str) -> bool:
    """Whether a header is a usual name of a column of times."""
    return plain(header) in words.TIMES or without_unit(header) in words.TIMES


def like_time(header: str) -> bool:
    """Whether a header has a word of time in it."""
    small = header.lower()
    return is_time(header) or any(part in small for part in words.TIME_PARTS)


def says_utc(header: str) -> bool:
    """Whether a header says that its times are UTC."""
    return _UTC.search(header) is not None


def in_words(header: str, known: Sequence[str]) -> bool:
    """Whether a header is one of a list of words."""
    return plain(header) in known or without_unit(header) in known


def properties_of(headers: Sequence[str], units: Sequence[str] = (), only: int | None = None) -> Named:
    """Names of properties for the headers of a file. `only`: the place of the single column of values of a file
    without a header, which is called `value`."""
    said: list[str] = []
    found: list[str] = []
    told: list[str] = []
    for place, header in enumerate(headers):
        bare, unit = _split(header, units[place] if place < len(units) else "")
        name = _allowed(bare) or ("value" if place == only else f"column {place + 1}")
        if name in found:
            number = next(n for n in range(2, len(headers) + 2) if f"{name} {n}" not in found)
            said.append(f"the header {header!r} is there more than once: the property is {name} {number}")
            name = f"{name} {number}"
        elif bare and name != bare:
            said.append(f"the header {header!r} cannot be a property's name: the property is {name!r}")
        found.append(name)
        told.append(unit)
    return Named(tuple(found), tuple(told), tuple(said))


def _split(header: str, unit: str) -> tuple[str, str]:
    """A header and its unit as a UCUM code, "" if it has none that is known."""
    header = header.strip()
    match = _UNIT.match(header)
    if match and (code := known_unit((match["a"] or match["b"] or match["c"]).strip())):
        return match["name"].strip(), code
    return header, known_unit(unit.strip().strip("[]()")) if unit.strip() else ""


def _allowed(name: str) -> str:
    cleaned = _FORBIDDEN.sub(" ", name).replace("/", "_").strip()
    return re.sub(r" {2,}", " ", cleaned)[:PROPERTY_NAME_MAX]


def thing_from_file(name: str) -> str:
    """The thing that a file is of when nobody says: its name without folder and endings.

    A name without a letter (`2024.csv`) tells too little: the folder's goes before it.
    """
    folder, _, base = name.replace("\\", "/").rpartition("/")
    found = slug(_ENDINGS.sub("", base))
    before = slug(folder.rpartition("/")[2])
    return slug(f"{before}-{found}") if before and not any(char.isalpha() for char in found) else found


def thing_names(cells: Iterable[str], before: str) -> list[str]:
    """Names of things for the cells of a column. What has no letter gets `before` in front."""
    found = []
    for cell in cells:
        name = cell if valid_thing_name(cell) else slug(cell)
        if name and before and not any(char.isalpha() for char in name):
            name = slug(f"{before}-{name}")
        found.append(name)
    return found
