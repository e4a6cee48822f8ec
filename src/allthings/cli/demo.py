"""`allthings demo`: the platform with recorded things that replay as live devices."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from allthings.cli.up import ClickHouse, Data, Database, Host, HttpPort, MqttPort, Nats, flags

if TYPE_CHECKING:
    from allthings.runtime.child import ChildSpec


def player(http: str, mqtt: str, speed: float | None) -> ChildSpec:
    """The process that fills in the things' past and plays their present, against these addresses."""
    from allthings.runtime.child import ChildSpec

    argv = [sys.executable, "-m", "allthings.scenes.demo", "--http", http, "--mqtt", mqtt]
    if speed is not None:
        argv += ["--speed", str(speed)]
    return ChildSpec("demo", argv)


def register(app: typer.Typer) -> None:
    @app.command()
    def demo(
        speed: Annotated[
            float | None,
            typer.Option(help="Times faster than recorded; default: each thing sends every 1 to 5 s.", min=0.001),
        ] = None,
        data: Data = None,
        host: Host = None,
        http_port: HttpPort = None,
        mqtt_port: MqttPort = None,
        nats: Nats = None,
        clickhouse: ClickHouse = None,
        database: Database = None,
    ) -> None:
        """Start the platform with real recordings as live things.

        The same as `allthings up --open`, with the things of a university building, a machine that fails, utility
        meters, an air station, a sensor network and a city's pedestrian counters. The first start fills in weeks to
        years of their past; the next ones only what is missing since then.

        Example: allthings demo --data ./data/demo --speed 60
        """
        from allthings.runtime.settings import load
        from allthings.runtime.up import run_up

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
        run_up(load(given), on_ready=lambda http, mqtt: [player(http, mqtt, speed)])
