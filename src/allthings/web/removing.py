"""Removing from the directory: what was sent up to then is current no more."""

from __future__ import annotations

from allthings.log import block
from allthings.web.services import Services


async def newest_position(services: Services) -> int:
    """The last position that the log can have now; whatever is sent from now on stands behind it. Raises
    LogUnavailableError."""
    return block.position((await services.log.status()).last + 1, 0) - 1


async def take_away(services: Services, thing: str) -> None:
    """Tell the twin what was removed of the thing of this name."""
    removed = services.registry.removals.of
    for removal in await services.pools.registry.run(removed, thing):
        services.twin.remove(removal)
