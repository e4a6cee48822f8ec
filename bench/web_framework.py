"""Litestar against Starlette on uvicorn with uvloop and httptools: the figures behind decision 0002.

    python bench/web_framework.py            # Litestar only when Starlette is not installed

Each framework serves the same two routes, a small JSON answer and an Arrow answer of 1 MB, in a process of its own.
The client is raw asyncio sockets with keep-alive, 32 connections, in this process.
"""

import argparse
import asyncio
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import uvloop

CONNECTIONS = 32
SECONDS = 5.0
ARROW_BYTES = 1_000_000


def litestar_app() -> Any:
    """The two routes in Litestar, OpenAPI off as it costs nothing while serving."""
    from litestar import Litestar, Response, get

    body = os.urandom(ARROW_BYTES)

    @get("/json", sync_to_thread=False)
    def small(thing: str = "pump") -> dict[str, Any]:
        return {"thing": thing, "value": 21.5, "time": "2026-11-22T08:30:00Z"}

    @get("/arrow", sync_to_thread=False)
    def arrow() -> Response[bytes]:
        return Response(body, media_type="application/vnd.apache.arrow.stream")

    return Litestar([small, arrow], openapi_config=None)


def starlette_app() -> Any:
    """The two routes in Starlette, its JSON answer by orjson so that both encoders are fast ones."""
    import orjson
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    body = os.urandom(ARROW_BYTES)

    async def small(request: Any) -> Response:
        thing = request.query_params.get("thing", "pump")
        answer = {"thing": thing, "value": 21.5, "time": "2026-11-22T08:30:00Z"}
        return Response(orjson.dumps(answer), media_type="application/json")

    async def arrow(_request: Any) -> Response:
        return Response(body, media_type="application/vnd.apache.arrow.stream")

    return Starlette(routes=[Route("/json", small), Route("/arrow", arrow)])


def serve(framework: str, port: int) -> None:
    """Build the app, say what importing it cost, and serve it until the parent ends this process."""
    process = psutil.Process()
    before, started = process.memory_info().rss, time.perf_counter()
    app = litestar_app() if framework == "litestar" else starlette_app()
    cost = {
        "import_ms": round((time.perf_counter() - started) * 1000),
        "rss_mb": round((process.memory_info().rss - before) / 1e6, 1),
    }
    print(json.dumps(cost), flush=True)
    import uvicorn

    uvicorn.run(app, port=port, loop="uvloop", http="httptools", log_level="error", access_log=False)


async def _client(port: int, path: str, until: float) -> tuple[int, int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    answers = size = 0
    while time.perf_counter() < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        answers, size = answers + 1, size + length
    writer.close()
    return answers, size


async def _load(port: int, path: str) -> tuple[float, float]:
    until = time.perf_counter() + SECONDS
    done = await asyncio.gather(*(_client(port, path, until) for _ in range(CONNECTIONS)))
    return sum(n for n, _ in done) / SECONDS, sum(size for _, size in done) / SECONDS / 1e6


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nothing answers on port {port}")


def measure(framework: str) -> dict[str, Any]:
    """The figures of one framework."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__)), "--serve", framework, "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        figures: dict[str, Any] = {"framework": framework, **json.loads(child.stdout.readline())}
        _wait_for(port)
        figures["json_per_s"] = round(uvloop.run(_load(port, "/json?thing=pump"))[0])
        per_s, mb_per_s = uvloop.run(_load(port, "/arrow"))
        figures |= {"arrow_per_s": round(per_s), "arrow_mb_per_s": round(mb_per_s)}
        figures["rss_serving_mb"] = round(psutil.Process(child.pid).memory_info().rss / 1e6)
    finally:
        child.terminate()
        child.wait(10)
    return figures


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--serve", choices=["litestar", "starlette"])
    arguments.add_argument("--port", type=int, default=0)
    options = arguments.parse_args()
    if options.serve:
        serve(options.serve, options.port)
        return
    for framework in ("litestar", "starlette", "litestar", "starlette"):
        if importlib.util.find_spec(framework):
            print(json.dumps(measure(framework)))


if __name__ == "__main__":
    main()
