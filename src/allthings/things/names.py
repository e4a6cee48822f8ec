"""Names of things and properties, and how a thing's id (a URI) and its name (the `{thing}` of topics) relate."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final
from urllib.parse import unquote

THING_NAME_MAX: Final = 128
PROPERTY_NAME_MAX: Final = 128
ID_MAX: Final = 512
TENANT_NAME_MAX: Final = 64
#: Whose a thing or a user is where nothing else is said.
TENANT: Final = "main"

#: `{thing}` in topics and the key of all readings.
THING_NAME: Final = re.compile(rf"[A-Za-z0-9._:-]{{1,{THING_NAME_MAX}}}")
#: Ids of things that had none, or that were discovered, start with this.
ID_PREFIX: Final = "urn:allthings:"

_TENANT_NAME: Final = re.compile(rf"[A-Za-z0-9._-]{{1,{TENANT_NAME_MAX}}}")
_FORBIDDEN_IN_PROPERTY: Final = re.compile(r"[\x00-\x1f\x7f-\x9f/\ud800-\udfff]")
_NOT_OF_A_NAME: Final = re.compile(r"[^A-Za-z0-9._:]+")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\x00-\x1f\x7f<>\"{}|\\^`]+")


def valid_thing_name(name: object) -> bool:
    """Whether this can be the `{thing}` of a topic: 1 to 128 letters, digits, `. _ : -`."""
    return isinstance(name, str) and THING_NAME.fullmatch(name) is not None


def valid_property_name(name: object) -> bool:
    """Whether this can name a property, action or event: 1 to 128 characters, no `/`, no control characters."""
    return isinstance(name, str) and 1 <= len(name) <= PROPERTY_NAME_MAX and _FORBIDDEN_IN_PROPERTY.search(name) is None


def valid_tenant(name: str) -> bool:
    """Whether this can name a tenant: 1 to 64 letters, digits, `. _ -`."""
    return _TENANT_NAME.fullmatch(name) is not None


def valid_id(id_: object) -> bool:
    """Whether this can be the `id` of a thing: an absolute URI (RFC 3986) of at most 512 characters."""
    return isinstance(id_, str) and len(id_) <= ID_MAX and _URI.fullmatch(id_) is not None


def id_from_name(name: str) -> str:
    """The id of a thing that is known only by its name."""
    return ID_PREFIX + name


def name_from_id(id_: str, title: str = "") -> str:
    """The name that a thing gets when nobody chose one. Always valid, and always the same for the same arguments.

    The last segment of the id's path (RFC 3986 section 3.3), reduced to what a name may hold. The path of a URN is
    what follows `urn:`; the namespaces `allthings` and `uuid` tell nothing and are left out. If nothing remains, the
    title is used in the same way, and if nothing of that remains either, a digest of the id.
    """
    for candidate in (_last_segment(id_), title):
        if name := slug(candidate):
            return name
    return "thing-" + digest_suffix(id_ or title)


def slug(text: str) -> str:
    """Text reduced to the letters that a thing's name may hold, at most 128; "" if there are none."""
    plain = unicodedata.normalize("NFKD", text[: 4 * THING_NAME_MAX]).encode("ascii", "ignore").decode()
    return _NOT_OF_A_NAME.sub("-", plain)[:THING_NAME_MAX].strip("-")


def digest_suffix(id_: str) -> str:
    """Eight letters that depend on the whole id: tells things apart whose ids end alike."""
    return hashlib.blake2b(id_.encode(errors="replace"), digest_size=4).hexdigest()


def _last_segment(id_: str) -> str:
    if id_.startswith(ID_PREFIX):
        return id_[len(ID_PREFIX) :]
    scheme, colon, path = id_.partition(":")
    if not colon:
        scheme, path = "", id_
    path = path.partition("#")[0].partition("?")[0]
    if path.startswith("//"):  # what follows is a host, and then the path
        path = path[2:].partition("/")[2]
    path = path.rstrip("/")
    if scheme.lower() == "urn":
        path = path.removeprefix("uuid:")
    return unquote(path.rpartition("/")[2])
