"""The console's files, with its first page for every address that the console itself knows."""

from __future__ import annotations

import mimetypes
import re
from pathlib import Path
from typing import Any, Final

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from allthings.web.openapi import describe
from allthings.web.paths import reference
from allthings.web.services import Given

#: Vite puts a digest of the content into the names of assets: such a file never changes.
_HASHED: Final = re.compile(r"[.-][A-Za-z0-9_-]{8,}\.[a-z0-9]+$")
_FOREVER: Final = "public, max-age=31536000, immutable"
#: A file of the console is at most this large; it is read whole.
_FILE_BYTES_MAX: Final = 16 << 20
#: Addresses of the console's own pages begin with this.
_CONSOLE: Final = "console"
_COMPRESSED: Final = (("br", ".br"), ("gzip", ".gz"))
_NOT_BUILT: Final = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>allthings</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:4em auto;padding:0 1em}</style>
<h1>The console has not been built</h1>
<p>The platform runs, and its APIs answer: see <a href="/openapi.json">/openapi.json</a>.
<p>An installed package has the console in it. In a working copy, build it with <code>make console</code>
and start the platform again.
</html>
"""


@get(
    ["/", "/{path:path}"],
    include_in_schema=False,
    opt=describe(public=True, any_query=True),
)
async def page(request: Request[Any, Any, Any], services: Given, path: FromPath[str] = "") -> Response[bytes]:
    """A file of the console, or its first page. Everyone may load it; what it shows comes from the APIs. What stands
    behind a `?` is the console's own."""
    wanted = reference(path).lstrip("/")
    folder = services.settings.static_dir
    if folder is None or not (folder / "index.html").is_file():
        if wanted and wanted.split("/", 1)[0] != _CONSOLE:
            raise NotFoundException
        return Response(_NOT_BUILT, media_type="text/html", status_code=503)
    return await services.pools.encode.run(_answer, folder, wanted, request.headers.get("accept-encoding", ""))


def _answer(folder: Path, wanted: str, accepted: str) -> Response[bytes]:
    file = _inside(folder, wanted)
    if file is None:
        # The console resolves its own addresses; everything else that is no file is nothing.
        if wanted and wanted.split("/", 1)[0] != _CONSOLE:
            raise NotFoundException
        file = folder / "index.html"
    cache = _FOREVER if _HASHED.search(file.name) else "no-cache"
    headers = {"Cache-Control": cache, "Vary": "Accept-Encoding"}
    media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    for coding, suffix in _COMPRESSED:
        packed = file.with_name(file.name + suffix)
        if coding in accepted and packed.is_file():
            headers["Content-Encoding"] = coding
            file = packed
            break
    return Response(file.read_bytes(), media_type=media_type, headers=headers)


def _inside(folder: Path, wanted: str) -> Path | None:
    """The file that a path names, if it is a plain file inside the folder, whatever `..` and links say."""
    if not wanted or "\x00" in wanted:
        return None
    root = folder.resolve()
    try:
        file = (root / wanted).resolve()
        inside = file.is_relative_to(root) and file.is_file() and file.stat().st_size <= _FILE_BYTES_MAX
    except (OSError, RuntimeError):  # too long a name, links in a circle
        return None
    return file if inside else None


HANDLERS = [page]
