"""One file after the other through `/api/imports`: previewed, asked about, sent."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from allthings.cli.errors import InputFileError, ProblemError
from allthings.cli.output import remark, write_line
from allthings.cli.samples import Ends, ends_of

if TYPE_CHECKING:
    from allthings.cli.client import Client, Params

#: A file that finds the platform busy is sent again this often, with this pause between.
_TRIES_MAX: Final = 10
_PAUSE_S: Final = 2.0
_LISTED_MAX: Final = 20
_CHUNK_BYTES: Final = 256 * 1024
_HEADERS: Final = {"Content-Type": "application/octet-stream"}


class Importer:
    """Sends files. `said`: the options; `ask`: preview and ask, where there is a terminal; `quiet`: say nothing."""

    def __init__(self, client: Client, said: dict[str, Any], ask: bool, quiet: bool) -> None:
        self._client = client
        self._said = said
        self._quiet = quiet
        self._ask = ask and sys.stdin.isatty() and sys.stderr.isatty()

    def preview_only(self, file: Path) -> dict[str, Any]:
        """What is understood of a file; nothing is stored."""
        found = self._preview(file, ends_of(file), self._said)
        if not self._quiet:
            self._show(file, found["understood"])
        return found

    def run(self, file: Path) -> dict[str, Any] | None:
        """What became of a file; None when the person does not want it. Raises InputFileError for open questions."""
        from allthings.cli.previews import answers, confirmed

        said = dict(self._said)
        ends = ends_of(file)
        found = self._preview(file, ends, said)
        while found["understood"]["questions"]:
            questions = found["understood"]["questions"]
            if not self._ask:
                raise InputFileError(f"{file}: " + "; ".join(question["text"] for question in questions))
            self._show(file, found["understood"])
            said.update(answers(questions))
            found = self._preview(file, ends, said)
        if self._ask:
            self._show(file, found["understood"])
            if not confirmed():
                return None
        elif not self._quiet:
            for sentence in found["understood"]["said"]:
                remark(f"{file.name}: {sentence}")
        result: dict[str, Any] = self._send(file, found["options"])
        if not self._quiet:
            _tell(file, result)
        return result

    def _show(self, file: Path, understood: dict[str, Any]) -> None:
        from allthings.cli.previews import show_understood

        show_understood(file, understood)

    def _preview(self, file: Path, ends: Ends, said: dict[str, Any]) -> dict[str, Any]:
        params: Params = {
            "name": _named(file),
            "options": _encoded(said),
            "whole": ends.whole,
            "head": len(ends.head),
        }
        answer: dict[str, Any] = self._again(
            lambda: self._client.request(
                "POST", "/api/imports/preview", params=params, content=ends.head + ends.tail, headers=_HEADERS
            ).json()
        )
        return answer

    def _send(self, file: Path, options: dict[str, Any]) -> Any:
        from allthings.cli.previews import progress

        params = {"name": _named(file), "options": _encoded(options)}

        def once() -> Any:
            with progress(file, shown=self._ask) as advance:
                return self._client.request(
                    "POST", "/api/imports", params=params, content=_chunks(file, advance), headers=_HEADERS
                ).json()

        return self._again(once)

    def _again(self, send: Any) -> Any:
        """The answer. A platform that is busy is given time."""
        for _ in range(_TRIES_MAX - 1):
            try:
                return send()
            except ProblemError as error:
                if error.http_status != 503:
                    raise
            time.sleep(_PAUSE_S)
        return send()


def _named(file: Path) -> str:
    """The file with its folder: `2024.csv` alone tells no thing."""
    return "/".join(file.resolve().parts[-2:])[-512:]


def _encoded(options: dict[str, Any]) -> str:
    import orjson

    return orjson.dumps(options).decode()


def _chunks(file: Path, advance: Any) -> Iterator[bytes]:
    try:
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                yield chunk
                advance(len(chunk))
    except OSError as error:
        raise InputFileError(f"{file} cannot be read: {error}") from error


def _tell(file: Path, result: dict[str, Any]) -> None:
    things = result["things"]
    of = things[0] if len(things) == 1 else f"{result['things_total']} things"
    write_line(f"{result['accepted']} readings accepted, {result['rejected_total']} rejected ({file.name}: {of})")
    for row in result["rejected"][:_LISTED_MAX]:
        remark(f"row {row['row']}: {row['reason']}")
    if result["absent"]:
        shown = ", ".join(f"{name} {count:,}" for name, count in list(result["absent"].items())[:_LISTED_MAX])
        remark(f"cells without a value: {shown}")
    if result["replaced"]:
        remark(f"{result['replaced']:,} rows have the time of a later row: the later ones stand")
