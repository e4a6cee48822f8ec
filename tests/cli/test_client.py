"""The client against a server of the standard library that answers as the platform would."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from allthings.cli.client import Client, thing_path
from allthings.cli.errors import ProblemError, UnreachableError


class Answers(BaseHTTPRequestHandler):
    """`/problem/STATUS` is a problem, `/echo` tells what was asked, `/page` is no JSON."""

    def do_GET(self) -> None:
        if self.path.startswith("/problem/"):
            status = int(self.path.rsplit("/", 1)[1])
            problem = {"type": "urn:allthings:problem:not-found", "title": "Not found", "detail": "no such pump"}
            self._send(status, "application/problem+json", json.dumps(problem).encode())
        elif self.path.startswith("/page"):
            self._send(502, "text/html", b"<h1>Bad gateway</h1>")
        else:
            told = {"path": self.path, "authorization": self.headers.get("Authorization")}
            self._send(200, "application/json", json.dumps(told).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_parameters_and_token_are_sent(url: str) -> None:
    with Client(url, "s3cret") as client:
        told = client.get("/echo", {"thing": ["a", "b"], "every": None, "limit": 3})
    assert told == {"path": "/echo?thing=a&thing=b&limit=3", "authorization": "Bearer s3cret"}


def test_a_problem_becomes_an_error_with_its_text(url: str) -> None:
    with Client(url) as client, pytest.raises(ProblemError) as caught:
        client.get("/problem/404")
    assert caught.value.detail == "no such pump"
    assert caught.value.http_status == 404
    assert caught.value.kind == "urn:allthings:problem:not-found"


def test_an_unauthorized_answer_says_what_to_do(url: str) -> None:
    with Client(url) as client, pytest.raises(ProblemError, match="--token or ALLTHINGS_TOKEN"):
        client.get("/problem/401")


def test_an_error_that_is_no_problem_document(url: str) -> None:
    with Client(url) as client, pytest.raises(ProblemError, match="HTTP 502 from /page"):
        client.get("/page")


def test_a_refused_stream_becomes_the_same_error(url: str) -> None:
    with Client(url) as client, pytest.raises(ProblemError, match="no such pump"), client.stream("/problem/403"):
        pass


def test_nothing_there() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(UnreachableError, match="`allthings up`"):
        client.get("/health")


def test_an_address_that_is_none() -> None:
    with Client("no address") as client, pytest.raises(UnreachableError, match="cannot be used"):
        client.get("/health")


def test_ids_are_encoded_into_paths() -> None:
    assert thing_path("urn:dev:a/b c") == "/things/urn:dev:a%2Fb%20c"
    assert thing_path("pump", "/adopt", "/api/things") == "/api/things/pump/adopt"
