"""`allthings up`: the whole platform on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Data = Annotated[Path | None, typer.Option("--data", help="Folder that holds everything.", show_default=False)]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on [127.0.0.1].", show_default=False)]
HttpPort = Annotated[int | None, typer.Option("--http-port", help="Port of HTTP [8484]; 0: a free one.")]
MqttPort = Annotated[int | None, typer.Option("--mqtt-port", help="Port of MQTT [1883]; 0: a free one.")]
MqttsPort = Annotated[
    int | None, typer.Option("--mqtts-port", help="Port of MQTT over TLS, usually 8883 [none]; 0: a free one.")
]
MqttSocket = Annotated[Path | None, typer.Option("--mqtt-socket", help="A Unix socket for MQTT as well.")]
Https = Annotated[bool | None, typer.Option("--https", help="HTTP over TLS instead of plain HTTP.")]
TlsCert = Annotated[
    Path | None, typer.Option("--tls-cert", help="Certificate and chain, PEM [made by `allthings certs init`].")
]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", help="The certificate's key, PEM [in the certificate].")]
TlsClientCa = Annotated[
    Path | None, typer.Option("--tls-client-ca", help="Authorities whose client certificates name things, PEM.")
]
Proxies = Annotated[
    str | None,
    typer.Option("--proxy-protocol", metavar="ADDRESSES", help="Proxies that send a PROXY v2 header: 10.0.0.0/8,…"),
]
Gateways = Annotated[int | None, typer.Option("--gateways", help="Gateway processes that serve MQTT together.")]
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
        mqtts_port: MqttsPort = None,
        mqtt_socket: MqttSocket = None,
        https: Https = None,
        tls_cert: TlsCert = None,
        tls_key: TlsKey = None,
        tls_client_ca: TlsClientCa = None,
        proxy_protocol: Proxies = None,
        gateways: Gateways = None,
        open_: Open = None,
        nats: Nats = None,
        clickhouse: ClickHouse = None,
        database: Database = None,
    ) -> None:
        """Start the platform: log, gateway, historian, console.

        Prints `ready http=… mqtt=…` once everything answers, with `mqtts=…` if that was asked for. Ctrl-C or SIGTERM
        stops it. The first start without --open creates the user admin and prints its password once.

        Example: allthings up --data ./data --http-port 8484 --mqtt-port 1883
        """
        from allthings.runtime.settings import load
        from allthings.runtime.up import run_up

        given = flags(
            data=data,
            host=host,
            http_port=http_port,
            mqtt_port=mqtt_port,
            mqtts_port=mqtts_port,
            mqtt_socket=mqtt_socket,
            https=https,
            tls_cert=tls_cert,
            tls_key=tls_key,
            tls_client_ca=tls_client_ca,
            proxy_protocol=proxy_protocol,
            gateways=gateways,
            open=open_,
            nats=nats,
            clickhouse=clickhouse,
            database=database,
        )
        run_up(load(given))
