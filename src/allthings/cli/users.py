"""`allthings users`: people, their roles and passwords."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from allthings.cli.options import DEFAULT_URL, Json, Token, Url, Yes
from allthings.cli.removal import remove

_ROOT = "/api/users"


class Role(StrEnum):
    admin = "admin"
    operator = "operator"
    viewer = "viewer"


User = Annotated[str, typer.Argument(help="The user's name.", show_default=False)]
Password = Annotated[
    str,
    typer.Option(
        envvar="ALLTHINGS_USER_PASSWORD",
        help="At least 8 characters; better in the environment. Without it, it is asked for.",
        show_default=False,
    ),
]


def list_users(as_json: Json = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """List users with their roles and tenants.

    Example: allthings users list
    """
    from allthings.cli.client import Client
    from allthings.cli.output import write_json, write_table

    with Client(url, token) as client:
        found = client.get(_ROOT)
    if as_json:
        write_json(found)
    else:
        write_table(["user", "role", "tenant"], [(one["user"], one["role"], one["tenant"]) for one in found["users"]])


def add_user(
    user: User,
    role: Annotated[
        Role, typer.Option(help="admin: everything; operator: all but who may do what; viewer: look.")
    ] = Role.viewer,
    tenant: Annotated[str, typer.Option(help="Whose user it is.")] = "main",
    password: Password = "",
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Add a user.

    Example: allthings users add ada --role operator
    """
    from allthings.cli.client import Client
    from allthings.cli.output import write_json, write_line

    wanted = {"user": user, "role": role.value, "tenant": tenant, "password": password or _asked(user)}
    with Client(url, token) as client:
        made = client.request("POST", _ROOT, json=wanted).json()
    if as_json:
        write_json(made)
    else:
        write_line(f"added {made['user']}: {made['role']}, tenant {made['tenant']}")


def change_user(
    user: User,
    role: Annotated[Role | None, typer.Option(help="Another role.", show_default=False)] = None,
    tenant: Annotated[str | None, typer.Option(help="Another tenant.", show_default=False)] = None,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Give a user another role or tenant. Holds within a second.

    Example: allthings users change ada --role admin
    """
    from allthings.cli.client import Client, thing_path
    from allthings.cli.output import write_json, write_line

    if role is None and tenant is None:
        raise typer.BadParameter("say what is to change", param_hint="--role or --tenant")
    wanted = {"role": role and role.value, "tenant": tenant}
    with Client(url, token) as client:
        changed = client.request("PATCH", thing_path(user, root=_ROOT), json=wanted).json()
    if as_json:
        write_json(changed)
    else:
        write_line(f"{changed['user']}: {changed['role']}, tenant {changed['tenant']}")


def set_password(
    user: User, password: Password = "", as_json: Json = False, url: Url = DEFAULT_URL, token: Token = ""
) -> None:
    """Give a user a new password. What was begun with the one before ends: sessions, and MQTT connections.

    Example: allthings users password ada
    """
    from allthings.cli.client import Client, thing_path
    from allthings.cli.output import write_json, write_line

    wanted = {"password": password or _asked(user)}
    with Client(url, token) as client:
        changed = client.request("PATCH", thing_path(user, root=_ROOT), json=wanted).json()
    if as_json:
        write_json(changed)
    else:
        write_line(f"{user} has a new password")


def remove_users(
    users: Annotated[list[str], typer.Argument(help="Their names.", show_default=False)],
    yes: Yes = False,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Remove users, with their sessions, tokens and own rules. The last administrator stays.

    Example: allthings users remove ada --yes
    """
    remove(users, _ROOT, yes=yes, as_json=as_json, url=url, token=token)


def _asked(user: str) -> str:
    """Twice, and not on standard output, which is for data."""
    return str(typer.prompt(f"New password of {user}", hide_input=True, confirmation_prompt=True, err=True))


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="List, add, change and remove users.")
    group.command("list")(list_users)
    group.command("add")(add_user)
    group.command("change")(change_user)
    group.command("password")(set_password)
    group.command("remove")(remove_users)
    app.add_typer(group, name="users")
