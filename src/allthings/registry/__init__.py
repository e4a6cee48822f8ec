"""What is configured: things, users, tokens. The only room that speaks SQLAlchemy."""

from allthings.registry.access import AccessRule
from allthings.registry.audit import AuditEntry
from allthings.registry.credentials import Standing
from allthings.registry.deletions import Deletion
from allthings.registry.listing import Page
from allthings.registry.quotas import Quota
from allthings.registry.registry import Registry
from allthings.registry.removals import Removals
from allthings.registry.rows import Thing
from allthings.registry.seen import SeenEvent, SeenProperty
from allthings.registry.things import Things
from allthings.registry.tokens import Token, Tokens
from allthings.registry.users import User, Users

__all__ = [
    "AccessRule",
    "AuditEntry",
    "Deletion",
    "Page",
    "Quota",
    "Registry",
    "Removals",
    "SeenEvent",
    "SeenProperty",
    "Standing",
    "Thing",
    "Things",
    "Token",
    "Tokens",
    "User",
    "Users",
]
