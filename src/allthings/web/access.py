"""`/api/access`: rules of who may publish and subscribe where, and quotas of how much. For administrators."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Request, delete, get, post, put
from litestar.params import FromPath, JSONBody

from allthings.gateway.rules import Rules
from allthings.mqtt.errors import MqttError
from allthings.mqtt.filters import check_topic_filter
from allthings.registry.access import AccessRule, Terms
from allthings.registry.credentials import Standing
from allthings.registry.quotas import Quota
from allthings.registry.registry import Registry
from allthings.things.errors import BadInputError
from allthings.things.times import format_time
from allthings.web import audit
from allthings.web.auth import Identity
from allthings.web.openapi import describe
from allthings.web.paths import reference
from allthings.web.services import Given, Services

_Asking = Request[Identity, None, Any]


class Rule(msgspec.Struct, forbid_unknown_fields=True):
    """Who (`subject`) may do what on a topic filter.

    Subjects: anonymous, authenticated, devices, users, thing:NAME, role:ROLE, user:NAME, tenant:NAME. In the filter
    `{thing}`, `{user}` and `{client}` stand for the thing, the user and the client id of whoever asks.
    """

    subject: Annotated[str, msgspec.Meta(max_length=256)]
    filter: Annotated[str, msgspec.Meta(max_length=4_096)]
    publish: bool = False
    subscribe: bool = False
    note: Annotated[str, msgspec.Meta(max_length=256)] = ""


class RuleShown(msgspec.Struct):
    """A rule with its id."""

    id: str
    subject: str
    filter: str
    publish: bool
    subscribe: bool
    note: str
    created: str | None


class RuleList(msgspec.Struct):
    """All rules, oldest first. What none of them allows is refused."""

    rules: list[RuleShown]


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """May this thing, or this user, or (neither) a client without credentials, use this topic or filter?"""

    topic: Annotated[str, msgspec.Meta(min_length=1, max_length=4_096)]
    thing: Annotated[str, msgspec.Meta(max_length=512)] | None = None
    user: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    client: Annotated[str, msgspec.Meta(max_length=1_024)] = ""


class Verdict(msgspec.Struct):
    """The id of the rule that allows it, null if none does."""

    publish: str | None
    subscribe: str | None


class Limit(msgspec.Struct, forbid_unknown_fields=True):
    """Messages and bytes a second, null for no limit; `over`: what happens to more."""

    messages_s: float | None = None
    bytes_s: float | None = None
    over: Literal["slow", "refuse"] = "slow"


class LimitShown(msgspec.Struct):
    """A quota of a scope: client (each), tenant (each), thing:NAME, user:NAME, tenant:NAME."""

    scope: str
    messages_s: float | None
    bytes_s: float | None
    over: str


class LimitList(msgspec.Struct):
    """All quotas by scope."""

    quotas: list[LimitShown]


_RULE: Final = {
    "subject": "devices",
    "filter": "groups/{thing}/#",
    "publish": True,
    "subscribe": False,
    "note": "the new firmware's topics",
}
_RULE_SHOWN: Final = {"id": "5f2d9c0e1b7a4c33", **_RULE, "created": "2026-11-22T08:30:00Z"}
_LIMIT: Final = {"messages_s": 100.0, "bytes_s": None, "over": "slow"}
_LIMIT_SHOWN: Final = {"scope": "client", **_LIMIT}


@get(
    "/api/access/rules",
    summary="Access rules",
    tags=["access"],
    opt=describe(admins=True, example={"rules": [_RULE_SHOWN]}),
)
async def list_rules(services: Given) -> RuleList:
    """All of them. Those whose id begins with `default-` were there from the start; they may be changed and removed."""
    rules = await services.pools.registry.run(services.registry.access.list)
    return RuleList([_rule(one) for one in rules])


@post(
    "/api/access/rules",
    summary="Add an access rule",
    tags=["access"],
    opt=describe(admins=True, example=_RULE_SHOWN, request_example=_RULE),
)
async def create_rule(request: _Asking, data: JSONBody[Rule], services: Given) -> RuleShown:
    """It holds within a second, for connections that are open too."""
    made = await services.pools.registry.run(services.registry.access.create, _terms(data), services.clock())
    return await _noted(request, services, "rule-made", made)


@put(
    "/api/access/rules/{rule_id:str}",
    summary="Change an access rule",
    tags=["access"],
    opt=describe(admins=True, example=_RULE_SHOWN, request_example=_RULE),
)
async def replace_rule(request: _Asking, rule_id: FromPath[str], data: JSONBody[Rule], services: Given) -> RuleShown:
    """Within a second subscriptions that are no longer allowed end; publishes are refused from then on."""
    changed = await services.pools.registry.run(services.registry.access.replace, rule_id, _terms(data))
    return await _noted(request, services, "rule-changed", changed)


@delete("/api/access/rules/{rule_id:str}", summary="Remove an access rule", tags=["access"], opt=describe(admins=True))
async def remove_rule(request: _Asking, rule_id: FromPath[str], services: Given) -> None:
    """What only this rule allowed is refused within a second."""
    removed = await services.pools.registry.run(services.registry.access.remove, rule_id)
    await _noted(request, services, "rule-removed", removed)


@post(
    "/api/access/check",
    status_code=200,
    summary="Would this be allowed?",
    tags=["access"],
    opt=describe(
        admins=True,
        example={"publish": "default-devices", "subscribe": None},
        request_example={"thing": "pump-7", "client": "pump-7-main", "topic": "things/pump-7/properties"},
    ),
)
async def check(data: JSONBody[Question], services: Given) -> Verdict:
    """Which rule allows a thing or a user to publish to a topic, and to subscribe to a topic or filter."""
    return await services.pools.registry.run(_check, services.registry, data)


def _check(registry: Registry, question: Question) -> Verdict:
    if question.thing is not None and question.user is not None:
        raise BadInputError("a thing or a user asks, not both")
    try:
        check_topic_filter(question.topic)
    except MqttError as error:
        raise BadInputError(f"topic: {error}") from None
    standing = None
    if question.thing is not None:
        name = registry.things.get(question.thing).name
        standing = registry.credentials.by_certificate(name)
    elif question.user is not None:
        user = registry.users.get(question.user)
        standing = Standing("user", user.name, user.role, user.tenant, "")
    grants = Rules(registry.access.list()).grants(standing, question.client)
    wild = "+" in question.topic or "#" in question.topic
    publishing = None if wild else grants.publishing(question.topic)
    subscribing = grants.subscribing(question.topic)
    return Verdict(publishing.rule.id if publishing else None, subscribing.rule.id if subscribing else None)


@get(
    "/api/access/quotas",
    summary="Quotas",
    tags=["access"],
    opt=describe(admins=True, example={"quotas": [_LIMIT_SHOWN]}),
)
async def list_quotas(services: Given) -> LimitList:
    """All of them; without any nothing is limited."""
    quotas = await services.pools.registry.run(services.registry.quotas.list)
    return LimitList([_limit(one) for one in quotas])


@put(
    "/api/access/quotas/{whose:str}",
    summary="Set a quota",
    tags=["access"],
    opt=describe(admins=True, example=_LIMIT_SHOWN, request_example=_LIMIT),
)
async def put_quota(request: _Asking, whose: FromPath[str], data: JSONBody[Limit], services: Given) -> LimitShown:
    """For a scope: `client` (each client), `tenant` (each tenant), or one `thing:`, `user:` or `tenant:`.

    The more special scope wins. Over quota a client is slowed, or (`refuse`, MQTT 5) its QoS 1 and 2 messages get the
    reason code 0x97. Holds within a second.
    """
    quota = Quota(reference(whose), data.messages_s, data.bytes_s, data.over)
    await services.pools.registry.run(services.registry.quotas.put, quota)
    limits = f"{_number(data.messages_s)} messages/s, {_number(data.bytes_s)} bytes/s, {data.over}"
    await audit.changed(request, services, "quota-set", f"{quota.scope}: {limits}")
    return _limit(quota)


@delete("/api/access/quotas/{whose:str}", summary="Remove a quota", tags=["access"], opt=describe(admins=True))
async def remove_quota(request: _Asking, whose: FromPath[str], services: Given) -> None:
    """The next more general one holds instead, if there is one."""
    await services.pools.registry.run(services.registry.quotas.remove, reference(whose))
    await audit.changed(request, services, "quota-removed", reference(whose))


def _terms(rule: Rule) -> Terms:
    return Terms(**msgspec.structs.asdict(rule))


async def _noted(request: _Asking, services: Services, kind: str, rule: AccessRule) -> RuleShown:
    """Put on the audit list what has become of a rule, and show it."""
    verbs = [verb for verb, allowed in (("publish", rule.publish), ("subscribe", rule.subscribe)) if allowed]
    what = f"{rule.id}: {rule.subject} may {' and '.join(verbs)} {rule.filter}"
    await audit.changed(request, services, kind, what)
    return _rule(rule)


def _rule(rule: AccessRule) -> RuleShown:
    created = format_time(rule.created_ns) if rule.created_ns else None
    return RuleShown(rule.id, rule.subject, rule.filter, rule.publish, rule.subscribe, rule.note, created)


def _limit(quota: Quota) -> LimitShown:
    return LimitShown(quota.scope, quota.messages_s, quota.bytes_s, quota.over)


def _number(limit: float | None) -> str:
    return "any" if limit is None else f"{limit:g}"


HANDLERS = [list_rules, create_rule, replace_rule, remove_rule, check, list_quotas, put_quota, remove_quota]
