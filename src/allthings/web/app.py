"""The ASGI application: every dialect's handlers, and what all requests go through.

A request passes, in this order:

1. `SecurityHeaders`: headers on every answer, errors too;
2. `Paths`: encoded slashes in ids, HEAD;
3. Litestar's router and error handlers: unknown paths and methods end here, as problem details;
4. `Authentication`: host name and origin, then who asks, and whether they may change things;
5. `only_declared`: query parameters that the handler does not know are refused;
6. the handler, which leaves what blocks to one of the pools.
"""

from __future__ import annotations

from typing import Any, Final

from litestar import Litestar
from litestar.di import Provide
from litestar.types import ASGIApp

from allthings.web import (
    access,
    audit,
    bridges,
    checking,
    connecting,
    current,
    deleting,
    directory,
    history,
    imports,
    live,
    mqtt,
    openapi,
    pages,
    problems,
    prometheus,
    properties,
    query,
    rejects,
    sessions,
    settings,
    status,
    things_list,
    tokens,
    upload,
    users,
)
from allthings.web.auth import Authentication, Identities
from allthings.web.catalogue import Catalogue
from allthings.web.headers import SecurityHeaders
from allthings.web.parameters import only_declared
from allthings.web.paths import Paths
from allthings.web.services import Services

HANDLERS: Final[list[Any]] = [
    *directory.HANDLERS,
    *properties.HANDLERS,
    *history.HANDLERS,
    *deleting.HANDLERS,
    *checking.HANDLERS,
    *query.HANDLERS,
    *current.HANDLERS,
    *live.HANDLERS,
    *upload.HANDLERS,
    *imports.HANDLERS,
    *rejects.HANDLERS,
    *things_list.HANDLERS,
    *tokens.HANDLERS,
    *sessions.HANDLERS,
    *users.HANDLERS,
    *access.HANDLERS,
    *audit.HANDLERS,
    *mqtt.HANDLERS,
    *bridges.HANDLERS,
    *status.HANDLERS,
    *prometheus.HANDLERS,
    *connecting.HANDLERS,
    *openapi.HANDLERS,
    *pages.HANDLERS,
]


def create_app(services: Services) -> ASGIApp:
    """The application over these services. Its lifespan ends the threads of `services.pools`."""
    identities = Identities(services)
    app = Litestar(
        HANDLERS,
        dependencies={"services": Provide(lambda: services, sync_to_thread=False)},
        exception_handlers=problems.HANDLERS,
        guards=[only_declared],
        middleware=[Authentication(identities, services.settings.open)],
        request_max_body_size=settings.BODY_BYTES_MAX,
        openapi_config=None,
        logging_config=None,
        on_shutdown=[services.pools.close],
    )
    app.state.identities = identities
    app.state.logins = sessions.Logins(services.attempts)
    app.state.catalogue = Catalogue(services.registry, services.pools.registry)
    app.state.status = status.StatusKeeper(services)
    app.state.live = live.LiveStreams()
    app.state.uploads = upload.Uploads()
    app.state.handlers = HANDLERS
    return SecurityHeaders(Paths(app))
