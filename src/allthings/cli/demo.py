"""`allthings demo`: the platform with things that replay real recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from allthings.cli.up import ClickHouse, Data, Database, Host, HttpPort, MqttPort, Nats, flags

if TYPE_CHECKING:
    from collections.abc import Sequence

    from allthings.runtime.child import ChildSpec


async def _lives() -> bool:
    """The player is at work as soon as it runs: nothing waits for it."""
    return True


def register(app: typer.Typer) -> None:
    @app.command()
    def demo(
        data: Data = None,
        host: Host = None,
        http_port: HttpPort = None,
        mqtt_port: MqttPort = None,
        nats: Nats = None,
        clickhouse: ClickHouse = None,
        database: Database = None,
        speed: Annotated[
            float | None,
            typer.Option("--speed", min=0.001, help="Times faster than recorded; default: a pace one can watch."),
        ] = None,
    ) -> None:
        """Start the platform, open on loopback, with things that replay real recordings.

        The past is filled in first, so that the recordings end now; then they go on live over MQTT. A second start on
        the same data goes on where the first one was.

        Example: allthings demo --data ./demo --http-port 8484
        """
        from allthings.runtime import memory, role
        from allthings.runtime.child import ChildSpec
        from allthings.runtime.settings import load
        from allthings.runtime.up import run_up

        def player(http: str, mqtt: str) -> Sequence[ChildSpec]:
            argv = [*role.command("allthings.scenes.demo"), "--http", http, "--mqtt", mqtt]
            if speed is not None:
                argv += ["--speed", str(speed)]
            return [ChildSpec("demo", argv, memory.ENVIRONMENT, probe=_lives, may_finish=True, stop_within_s=2)]

        given = flags(
            data=data,
            host=host,
            http_port=http_port,
            mqtt_port=mqtt_port,
            open=True,
            nats=nats,
            clickhouse=clickhouse,
            database=database,
        )
        run_up(load(given), on_ready=player)
