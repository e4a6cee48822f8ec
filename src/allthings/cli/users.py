"""`allthings users`: people, their roles and passwords."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from allthings.cli.groups import add_group
from allthings.cli.options import DEFAULT_URL, Json, Token, Url, Yes
from allthings.cli.removal import remove

_ROOT = "/api/users"


class Role(StrEnum):
    ADMIN = "admin"
    OPERATOR = "operator"
    VIEWER = "viewer"


User = Annotated[str, typer.Argument(metavar="USER", help="The user's name.", show_default=False)]
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
    ] = Role.VIEWER,
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
    from allthings.cli.output import write_outcome

    wanted = {"user": user, "role": role.value, "tenant": tenant, "password": password or _asked(user)}
    with Client(url, token) as client:
        made = client.request("POST", _ROOT, json=wanted).json()
    write_outcome(made, f"added {_described(made)}", as_json)


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
    from allthings.cli.output import write_outcome

    if role is None and tenant is None:
        raise typer.BadParameter("say what is to change", param_hint="--role or --tenant")
    changed = _change(user, {"role": role and role.value, "tenant": tenant}, url, token)
    write_outcome(changed, _described(changed), as_json)


def set_password(
    user: User, password: Password = "", as_json: Json = False, url: Url = DEFAULT_URL, token: Token = ""
) -> None:
    """Give a user a new password. What was begun with the one before ends: sessions, and MQTT connections.

    Example: allthings users password ada
    """
    from allthings.cli.output import write_outcome

    changed = _change(user, {"password": password or _asked(user)}, url, token)
    write_outcome(changed, f"{user} has a new password", as_json)


def remove_users(
    users: Annotated[list[str], typer.Argument(metavar="USER", help="Their names.", show_default=False)],
    yes: Yes = False,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Remove users, with their sessions, tokens and own rules. The last administrator stays.

    Example: allthings users remove ada --yes
    """
    remove(users, _ROOT, yes=yes, as_json=as_json, url=url, token=token)


def _change(user: str, wanted: dict[str, Any], url: str, token: str) -> Any:
    """Change a user; what the platform knows of them then."""
    from allthings.cli.client import Client, thing_path

    with Client(url, token) as client:
        return client.request("PATCH", thing_path(user, root=_ROOT), json=wanted).json()


def _described(user: dict[str, Any]) -> str:
    return f"{user['user']}: {user['role']}, tenant {user['tenant']}"


def _asked(user: str) -> str:
    """Twice, and not on standard output, which is for data."""
    return str(typer.prompt(f"New password of {user}", hide_input=True, confirmation_prompt=True, err=True))


def register(app: typer.Typer) -> None:
    add_group(
        app,
        "users",
        "List, add, change and remove users.",
        list=list_users,
        add=add_user,
        change=change_user,
        password=set_password,
        remove=remove_users,
    )
