"""`allthings bench`: how much a running platform takes, from one publisher on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from allthings.cli.options import DEFAULT_URL, Json, Token, Url

if TYPE_CHECKING:
    from allthings.cli.client import Client
    from allthings.cli.measuring import Publisher

_VALUES_PER_MESSAGE = 3
_SETTLE_S_MAX = 60.0
_POLL_S = 0.05


def bench(
    connections: Annotated[int, typer.Option(help="Devices that publish at once.", min=1, max=1000)] = 20,
    in_flight: Annotated[int, typer.Option(help="Unacknowledged messages of each.", min=1, max=10_000)] = 50,
    seconds: Annotated[float, typer.Option(help="How long to publish.", min=0.1, max=3600)] = 10.0,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the things bench-1, bench-2, … there.")] = False,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Measure what a running platform takes.

    Publishes at QoS 1 for a while (three values a message), then waits until every value can be asked for. The
    publisher shares this machine with the platform, so the figures are those of both together.

    Example: allthings bench --connections 50 --seconds 20
    """
    import asyncio

    from allthings.cli.client import Client
    from allthings.cli.output import write_json, write_table

    names = [f"bench-{number}" for number in range(1, connections + 1)]
    with Client(url, token) as client:
        where = client.get("/api/connect-info")["mqtt"]
        secrets = _register(client, names)
        try:
            before = _count(client)
            result = asyncio.run(_publish(where["host"], where["port"], secrets, in_flight, seconds))
            result |= _settle(client, before + result["values"])
        finally:
            if not keep:
                for name in names:
                    client.request("DELETE", f"/things/{name}")
    if as_json:
        write_json(result)
        return
    write_table(
        ["figure", "value"], [(name.replace("_", " "), value) for name, value in result.items()], right=["value"]
    )


def _register(client: Client, names: list[str]) -> dict[str, str]:
    """Describe the things; each with its token, or "" where none is needed."""
    needed = not client.get("/api/me")["open"]
    types = {"a": "number", "b": "integer", "c": "boolean"}
    properties = {name: {"type": kind, "readOnly": True} for name, kind in types.items()}
    secrets = {}
    for name in names:
        td = {
            "@context": "https://www.w3.org/2022/wot/td/v1.1",
            "id": f"urn:allthings:{name}",
            "title": f"Benchmark {name}",
            "properties": properties,
        }
        client.request("PUT", f"/things/urn:allthings:{name}", json=td)
        secrets[name] = ""
        if needed:
            answer = client.request("POST", f"/api/things/{name}/tokens", json={"label": "benchmark"})
            secrets[name] = answer.json()["token"]
    return secrets


def _count(client: Client) -> int:
    sql = "SELECT count() FROM readings WHERE startsWith(thing, 'bench-')"
    answer = client.request("POST", "/api/query", json={"sql": sql}).json()
    return int(answer["rows"][0][0])


async def _publish(host: str, port: int, secrets: dict[str, str], in_flight: int, seconds: float) -> dict[str, Any]:
    import asyncio

    from allthings.cli.errors import UnreachableError
    from allthings.cli.measuring import CONNECT_S_MAX, Publisher

    loop = asyncio.get_running_loop()
    publishers: list[Publisher] = []
    try:
        for name, secret in secrets.items():
            user = name if secret else ""
            topic = f"things/{name}/properties"
            _, publisher = await loop.create_connection(
                lambda name=name, topic=topic, user=user, secret=secret: Publisher(
                    name, topic, in_flight, user, secret
                ),  # type: ignore[misc]
                host,
                port,
            )
            publishers.append(publisher)
        async with asyncio.timeout(CONNECT_S_MAX):
            await asyncio.gather(*(one.connected for one in publishers))
        started = loop.time()
        for one in publishers:
            one.start()
        await asyncio.sleep(seconds)
        acknowledged = sum(one.acknowledged for one in publishers)
        elapsed_s = loop.time() - started
        for one in publishers:
            one.stop()
        async with asyncio.timeout(_SETTLE_S_MAX):
            await asyncio.gather(*(one.finished for one in publishers))
    except OSError as error:
        raise UnreachableError(f"MQTT at {host}:{port}: {error}") from error
    except TimeoutError as error:
        raise UnreachableError(f"MQTT at {host}:{port} did not acknowledge in time") from error
    finally:
        for one in publishers:
            one.close()
    return _figures(publishers, acknowledged, elapsed_s)


def _figures(publishers: list[Publisher], acknowledged: int, elapsed_s: float) -> dict[str, Any]:
    latencies = sorted(latency for one in publishers for latency in one.latencies_s)
    sent = sum(one.sent for one in publishers)

    def percentile_ms(share: float) -> float:
        return round(latencies[min(int(len(latencies) * share), len(latencies) - 1)] * 1000, 2) if latencies else 0.0

    return {
        "messages": sent,
        "values": sent * _VALUES_PER_MESSAGE,
        "messages_per_s": round(acknowledged / elapsed_s),
        "values_per_s": round(acknowledged * _VALUES_PER_MESSAGE / elapsed_s),
        "acknowledged_p50_ms": percentile_ms(0.5),
        "acknowledged_p99_ms": percentile_ms(0.99),
    }


def _settle(client: Client, expected: int) -> dict[str, Any]:
    """Wait until the history has every value."""
    import time

    from allthings.cli.errors import UnreachableError

    started = time.monotonic()
    while (found := _count(client)) < expected:
        if time.monotonic() - started > _SETTLE_S_MAX:
            raise UnreachableError(f"only {found} of {expected} values can be asked for after {_SETTLE_S_MAX:.0f} s")
        time.sleep(_POLL_S)
    return {"all_queryable_after_s": round(time.monotonic() - started, 2)}


def register(app: typer.Typer) -> None:
    app.command()(bench)
