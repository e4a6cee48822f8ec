"""Which format an answer has: `?format=`, else the Accept header (RFC 9110 section 12.5.1)."""

from __future__ import annotations

from typing import Final

from allthings.things.errors import BadInputError
from allthings.web.errors import NotAcceptableError

MEDIA_TYPES: Final = {
    "json": "application/json",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}
_FORMATS: Final = {media_type: name for name, media_type in MEDIA_TYPES.items()} | {
    "*/*": "json",
    "application/*": "json",
    "text/*": "csv",
    "application/x-parquet": "parquet",
}


def choose_format(asked: str | None, accept: str) -> str:
    """A key of MEDIA_TYPES. Raises BadInputError for a format, NotAcceptableError for a header that leaves none."""
    if asked:
        if asked not in MEDIA_TYPES:
            raise BadInputError(f"format: {asked[:32]!r} is none of {', '.join(MEDIA_TYPES)}")
        return asked
    if not accept.strip():
        return "json"
    weighed: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept[:1024].split(",")):
        media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
        name = _FORMATS.get(media_type)
        quality = _quality(parameters)
        if name and quality > 0:
            # Of equal weight, the exact type goes before a range, then the order of the header counts.
            weighed.append((-quality, place + 1000 * ("*" in media_type), name))
    if not weighed:
        raise NotAcceptableError(f"this comes as {', '.join(MEDIA_TYPES.values())}; name one in Accept or ?format=")
    return min(weighed)[2]


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
