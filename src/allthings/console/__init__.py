"""The web console: built static files. Their sources are in `web-console/`; `npm run build` there puts them here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_STATIC: Final = Path(__file__).parent / "static"


def static_dir() -> Path | None:
    """The folder to serve at `/`: `index.html` (also for every path that nothing else claims) and `assets/`.

    None when the console has not been built. Files under `assets/` carry a hash of their content in their names
    and may be cached for ever; the others must be asked for again.
    """
    return _STATIC if (_STATIC / "index.html").is_file() else None
