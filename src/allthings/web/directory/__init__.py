"""The directory of things: W3C WoT Discovery, section 7.3 (Directory Service API)."""

from allthings.web.directory import listing, self_description, things

HANDLERS = [*things.HANDLERS, *listing.HANDLERS, *self_description.HANDLERS]
