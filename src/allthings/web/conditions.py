"""Conditional requests (RFC 9110, section 13): what `If-Match` and `If-None-Match` ask of what is there now."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from litestar import Request

from allthings.things.errors import BadInputError
from allthings.web.errors import PreconditionFailedError, VersionConflictError

_TAG: Final = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_BETWEEN: Final = re.compile(r"[ \t]*(?:,[ \t]*|$)")
_LEADING: Final = re.compile(r"[ \t,]*")
_SHOWN_MAX: Final = 64
_READING: Final = frozenset({"GET", "HEAD"})


class Tags(NamedTuple):
    """A list of entity tags, or `*`. `strong` and `weak`: the tags with their quotes, without `W/`."""

    any: bool
    strong: frozenset[str]
    weak: frozenset[str]
    text: str

    def match(self, tag: str, *, strongly: bool) -> bool:
        """Whether a tag (`"…"` or `W/"…"`) of something that is there is among them (section 8.8.3.2)."""
        if self.any:
            return True
        opaque = tag.removeprefix("W/")
        if strongly:
            return opaque == tag and opaque in self.strong
        return opaque in self.strong or opaque in self.weak


class Conditions(NamedTuple):
    """The preconditions of one request; None: there is none of that kind."""

    method: str
    if_match: Tags | None
    if_none_match: Tags | None

    @property
    def given(self) -> bool:
        """Whether there is any."""
        return self.if_match is not None or self.if_none_match is not None

    def check(self, what: str, tag: str | None) -> bool:
        """Whether to go on; False means 304. `what` it is for people; `tag`: the one that it has now, None: it is not.

        Raises VersionConflictError and PreconditionFailedError (412).
        """
        if self.if_match is not None and tag is None:
            wanted = "that there is one" if self.if_match.any else f"for one with {self.if_match.text}"
            raise PreconditionFailedError(f"there is no {what}, and If-Match: {self.if_match.text} asks {wanted}")
        if self.if_match is not None and not self.if_match.match(tag or "", strongly=True):
            raise VersionConflictError(
                f"the {what} is another one now: If-Match asks for {self.if_match.text}, it has {tag}; read it again",
                etag=tag,
            )
        if self.if_none_match is None or tag is None or not self.if_none_match.match(tag, strongly=False):
            return True
        if self.method in _READING:
            return False
        asked = self.if_none_match.text
        wanted = "that there is none" if self.if_none_match.any else f"that it has not {asked}"
        raise PreconditionFailedError(
            f"there is a {what} with {tag} already, and If-None-Match: {asked} asks {wanted}", etag=tag
        )


def conditions(request: Request[Any, Any, Any]) -> Conditions:
    """The preconditions of a request. Raises BadInputError for one that is none."""
    return Conditions(request.method, _tags(request, "If-Match"), _tags(request, "If-None-Match"))


def entity_tag(parts: Iterable[bytes | str | int], *, weak: bool = False) -> str:
    """A tag that only the same parts have."""
    digest = hashlib.blake2b(digest_size=15)
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(b"%d:%b" % (len(data), data))
    return ("W/" if weak else "") + '"' + base64.urlsafe_b64encode(digest.digest()).decode() + '"'


def _tags(request: Request[Any, Any, Any], header: str) -> Tags | None:
    given = request.headers.getall(header.lower(), [])
    return parse_tags(", ".join(given), header) if given else None


def parse_tags(text: str, header: str) -> Tags:
    """The field's value. Raises BadInputError."""
    text = text.strip(" \t")
    shown = text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"
    if text == "*":
        return Tags(True, frozenset(), frozenset(), shown)
    strong: set[str] = set()
    weak: set[str] = set()
    place = _end(_LEADING.match(text), 0)
    while place < len(text):
        found = _TAG.match(text, place)
        between = _BETWEEN.match(text, found.end()) if found else None
        if not found or not between:
            raise BadInputError(
                f'{header}: {shown!r} cannot be read; expected is * or a list of tags in quotes, as "abc", W/"def"'
            )
        (weak if found[1] else strong).add(found[2])
        place = _end(_LEADING.match(text, between.end()), between.end())
    if not strong and not weak:
        raise BadInputError(f'{header} is empty; expected is * or a list of tags in quotes, as "abc", W/"def"')
    return Tags(False, frozenset(strong), frozenset(weak), shown)


def _end(found: re.Match[str] | None, otherwise: int) -> int:
    return found.end() if found else otherwise
