"""`/api/mqtt`: the clients, topics and retained messages of the gateways, asked through the log."""

from __future__ import annotations

from typing import Any, Final

from allthings.web.mqtt import clients, retained, tokens, topics

HANDLERS: Final[list[Any]] = [*clients.HANDLERS, *topics.HANDLERS, *retained.HANDLERS, *tokens.HANDLERS]
