"""The platform's HTTP interface as commands use it: answers decoded, problem details turned into errors."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

from allthings.cli.errors import ProblemError, UnreachableError

#: What all lists give at once.
_PAGE: Final = 500
_TIMEOUT: Final = httpx.Timeout(60.0, connect=5.0)

Params = Mapping[str, str | int | float | bool | list[str] | None]


def thing_path(reference: str, tail: str = "", root: str = "/things") -> str:
    """The path of a thing given by id or name."""
    return f"{root}/{quote(reference, safe=':')}{tail}"


def _trust(url: str) -> ssl.SSLContext | bool:
    """Whom to trust at this address: the machine's authorities, or those of the file that SSL_CERT_FILE names."""
    return ssl.create_default_context() if url.startswith("https:") else True


class Client:
    """One platform. Raises UnreachableError when nothing answers, ProblemError when it refuses."""

    def __init__(self, url: str, token: str = "", timeout: httpx.Timeout | float = _TIMEOUT) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(
            base_url=self.url, headers=headers, timeout=timeout, trust_env=False, verify=_trust(self.url)
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, params: Params | None = None) -> Any:
        """The decoded JSON of a GET."""
        return decoded(self.request("GET", path, params=params))

    def pages(self, path: str, member: str, params: Params, limit: int) -> tuple[list[dict[str, Any]], Any]:
        """Up to `limit` of what a list has in `member`, page by page; and the last page."""
        found: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            page = self.get(path, {**params, "limit": min(limit - len(found), _PAGE), "next": after})
            found += page[member]
            after = page["next"]
            if not after or len(found) >= limit:
                return found, page

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: Any = None,
        content: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Any request; the answer is a success."""
        given = {name: value for name, value in (params or {}).items() if value is not None}
        if json is not None:
            content, headers = msgspec.json.encode(json), {"Content-Type": "application/json", **(headers or {})}
        with self._translated():
            response = self._http.request(method, path, params=given, headers=headers, content=content)
            _check(response)
        return response

    @contextmanager
    def stream(
        self, path: str, params: Params | None = None, headers: Mapping[str, str] | None = None, silence_s: float = 60.0
    ) -> Iterator[httpx.Response]:
        """A GET whose answer is read piece by piece; more than `silence_s` without one is an error."""
        given = {name: value for name, value in (params or {}).items() if value is not None}
        timeout = httpx.Timeout(silence_s, connect=5.0)
        with (
            self._translated(),
            self._http.stream("GET", path, params=given, headers=headers, timeout=timeout) as response,
        ):
            if response.is_error:
                response.read()
            _check(response)
            yield response

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError as error:
            raise UnreachableError(
                f"nothing answers at {self.url}: start the platform with `allthings up`, or name another with --url"
            ) from error
        except httpx.TimeoutException as error:
            raise UnreachableError(f"{self.url} did not answer in time; see `allthings doctor`") from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise UnreachableError(f"{self.url} cannot be used: {error}") from error


def decoded(response: httpx.Response, kind: Any = Any) -> Any:
    """The JSON of an answer, integers of any length as they are; of a type, for msgspec. Raises UnreachableError."""
    try:
        return msgspec.json.decode(response.content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        path = response.request.url.path
        raise UnreachableError(f"what answers at {path} is no platform of this kind: {error}") from None


def _check(response: httpx.Response) -> None:
    if not response.is_error:
        return
    kind, detail = "", ""
    if "json" in response.headers.get("content-type", ""):
        problem = decoded(response)
        problem = problem if isinstance(problem, dict) else {}
        kind = str(problem.get("type", ""))
        detail = str(problem.get("detail") or problem.get("title") or "")
    detail = detail or f"HTTP {response.status_code} from {response.request.url.path}"
    if response.status_code == httpx.codes.UNAUTHORIZED:
        detail += ". Give a token with --token or ALLTHINGS_TOKEN (the console makes them)"
    raise ProblemError(kind, response.status_code, detail)
