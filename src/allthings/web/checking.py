"""`/api/history/check`: is the history whole? For administrators."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import post

from allthings.historian import words
from allthings.historian.history import History
from allthings.things.errors import UnavailableError
from allthings.web.openapi import describe
from allthings.web.services import Given, Lost

_EXAMPLE: Final = {
    "damaged": ["one part of readings with 300 rows, from 2026-03-02T00:05:00Z to 2026-03-02T00:10:00Z: damaged"],
    "missing": 0,
    "lost": [],
}


class Checked(msgspec.Struct):
    """What was found and made anew, and all that the history ever lost for good.

    `damaged`: parts that could not be read; `missing`: readings that the rollups count and that were not there.
    """

    damaged: list[str]
    missing: int
    lost: list[Lost]


def losses(history: History) -> list[Lost]:
    """What a history has lost for good, as it is shown."""
    return [
        Lost(words.name(each.table), each.rows, *words.ends(each), each.things, each.more) for each in history.losses
    ]


@post(
    "/api/history/check",
    status_code=200,
    summary="Read the whole history through",
    tags=["operations"],
    opt=describe(admins=True, example=_EXAMPLE),
)
async def check_history(services: Given) -> Checked:
    """Every part is read and compared with its checksums, and readings, minutes, hours and days are counted against one
    another. What is damaged is put aside, what is missing is read from the log again; the answer comes after that."""
    if services.keeper is None:
        raise UnavailableError("nobody keeps a history here")
    checked = await services.keeper.check()
    return Checked(checked.damaged, checked.uncounted, losses(services.history))


HANDLERS = [check_history]
