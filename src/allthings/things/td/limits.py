"""What a Thing Description may measure, and the words of its vocabulary that several modules need."""

from __future__ import annotations

from typing import Final

#: As compact JSON in UTF-8.
TD_BYTES_MAX: Final = 256 * 1024
TD_DEPTH_MAX: Final = 32
TD_PROPERTIES_MAX: Final = 2_000
TD_ACTIONS_MAX: Final = 500
TD_EVENTS_MAX: Final = 500
TITLE_MAX: Final = 1_024
DESCRIPTION_MAX: Final = 16_384
PATTERN_MAX: Final = 512
PROBLEMS_MAX: Final = 50

CONTEXT_1_1: Final = "https://www.w3.org/2022/wot/td/v1.1"
CONTEXT_1_0: Final = "https://www.w3.org/2019/wot/td/v1"
#: Members of ours in a TD are `allthings:…`.
CONTEXT_OURS: Final = {"allthings": "https://allthings.example/ns#"}
THING_MODEL: Final = "tm:ThingModel"

#: true: what the description forbids is refused by the gateway instead of kept as a reject.
STRICT_KEY: Final = "allthings:strict"
#: Whose thing it is, for quotas and access rules; `names.TENANT` where nothing is said.
TENANT_KEY: Final = "allthings:tenant"
