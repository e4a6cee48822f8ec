"""`allthings up`: the whole platform on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Data = Annotated[Path | None, typer.Option("--data", help="Folder that holds everything.", show_default=False)]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on [127.0.0.1].", show_default=False)]
HttpPort = Annotated[int | None, typer.Option("--http-port", help="Port of HTTP [8484]; 0: a free one.")]
MqttPort = Annotated[int | None, typer.Option("--mqtt-port", help="Port of MQTT [1883]; 0: a free one.")]
Open = Annotated[bool | None, typer.Option("--open", help="No authentication; loopback only.")]
Nats = Annotated[str | None, typer.Option("--nats", help="Join this NATS instead of a private one.")]
ClickHouse = Annotated[str | None, typer.Option("--clickhouse", help="Use this ClickHouse, not the embedded one.")]
Database = Annotated[str | None, typer.Option("--database", help="Keep the registry in this PostgreSQL.")]


def flags(**values: Any) -> dict[str, Any]:
    """Flags as `runtime.settings.load` takes them."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def register(app: typer.Typer) -> None:
    @app.command()
    def up(
        data: Data = None,
        host: Host = None,
        http_port: HttpPort = None,
        mqtt_port: MqttPort = None,
        open_: Open = None,
        nats: Nats = None,
        clickhouse: ClickHouse = None,
        database: Database = None,
    ) -> None:
        """Start the platform: log, gateway, historian, console.

        Prints `ready http=… mqtt=…` once everything answers. Ctrl-C or SIGTERM stops it. The first start without
        --open creates the user admin and prints its password once.

        Example: allthings up --data ./data --http-port 8484 --mqtt-port 1883
        """
        from allthings.runtime.settings import load
        from allthings.runtime.up import run_up

        given = flags(
            data=data,
            host=host,
            http_port=http_port,
            mqtt_port=mqtt_port,
            open=open_,
            nats=nats,
            clickhouse=clickhouse,
            database=database,
        )
        run_up(load(given))
