"""`allthings certs`: an authority of one's own, a server certificate, certificates of devices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allthings.cli.groups import add_group
from allthings.cli.options import Json
from allthings.cli.up import Data, flags

if TYPE_CHECKING:
    from allthings.runtime.authority import Authority

Thing = Annotated[str, typer.Argument(metavar="THING", help="The thing's name.", show_default=False)]
Names = Annotated[
    list[str] | None,
    typer.Option("--name", help="Host name or address that clients use; can be given more than once."),
]


def _authority(data: Path | None) -> Authority:
    from allthings.runtime.authority import Authority
    from allthings.runtime.settings import load
    from allthings.things.times import now_ns

    return Authority(load(flags(data=data)).certificates, now_ns())


def init(
    data: Data = None,
    name: Names = None,
    renew: Annotated[bool, typer.Option("--renew", help="A new server certificate of the authority there is.")] = False,
    as_json: Json = False,
) -> None:
    """Make a private certificate authority and a server certificate, for trials and closed networks.

    They are kept in the folder `certs` of the data, where `allthings up` finds them. Nothing is overwritten; with
    --renew the server gets a new certificate, which a running platform takes at once.

    Example: allthings certs init --name broker.example.org --name 192.0.2.7
    """
    from allthings.cli.output import write_json, write_line
    from allthings.runtime.authority import server_names

    authority = _authority(data)
    names = server_names([*(name or []), *authority.names()])
    if renew:
        authority.renew(names)
    else:
        authority.create(names)
    if as_json:
        files = {"ca": authority.certificate, "certificate": authority.server.certificate, "key": authority.server.key}
        write_json({"names": names, **{name: str(path) for name, path in files.items()}})
        return
    write_line(f"authority (clients trust it): {authority.certificate}")
    write_line(f"server: {authority.server.certificate}, good for {', '.join(names)}")
    write_line("use it: allthings up --mqtts-port 8883")


def device(thing: Thing, data: Data = None, as_json: Json = False) -> None:
    """Issue a client certificate for a thing: its device needs no password then.

    Prints the files of the certificate and its key. Copy both to the device, and ca.pem.

    Example: allthings certs device pump-7
    """
    from allthings.cli.output import write_json, write_line

    issued = _authority(data).issue(thing)
    if as_json:
        write_json({"thing": thing, "certificate": str(issued.certificate), "key": str(issued.key)})
        return
    write_line(str(issued.certificate))
    write_line(str(issued.key))


def revoke(thing: Thing, data: Data = None, as_json: Json = False) -> None:
    """Revoke a thing's certificate: within two seconds its connections end, and it opens no new ones.

    Example: allthings certs revoke pump-7
    """
    from allthings.cli.output import write_json, write_line

    _authority(data).revoke(thing)
    if as_json:
        write_json({"revoked": thing})
        return
    write_line(f"the certificate of {thing} is revoked; its connections end within two seconds")


def register(app: typer.Typer) -> None:
    add_group(
        app,
        "certs",
        "Certificates for TLS: an authority of one's own, a server certificate, certificates of devices.",
        "init --name broker.example.org",
        init=init,
        device=device,
        revoke=revoke,
    )
