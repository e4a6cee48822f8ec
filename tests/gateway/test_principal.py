"""What a client may do is looked up when it asks, and again when the rules change."""

from __future__ import annotations

import pytest

from allthings.gateway.access import ANYONE, NOBODY, Principal
from allthings.gateway.rules import Rules
from allthings.registry.access import AccessRule
from allthings.registry.credentials import Standing

LAMP = Standing("device", "lamp", "", "main", "token:1")


def rules(*filters: str) -> Rules:
    return Rules(AccessRule("devices", each, True, True, id=each, created_ns=0) for each in filters)


def test_nobody_may_do_anything_before_rules_are_bound() -> None:
    assert not Principal(LAMP).may_publish("things/lamp/x")
    assert not NOBODY.may_subscribe("a")
    assert ANYONE.may_publish("a")


def test_rules_are_looked_up_once_and_when_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    grants = Rules.grants

    def counted(self: Rules, standing: Standing | None, client: str) -> object:
        asked.append(client)
        return grants(self, standing, client)

    monkeypatch.setattr(Rules, "grants", counted)
    principal = Principal(LAMP)
    principal.bind(rules("things/{thing}/#", "{client}/#"), "c1")
    assert not asked
    assert principal.may_publish("things/lamp/x")
    assert principal.may_subscribe("c1/#")
    assert not principal.may_publish("things/pump/x")
    assert asked == ["c1"]


def test_a_change_is_one_only_for_who_has_asked() -> None:
    principal = Principal(LAMP)
    principal.bind(rules("a/#"), "c1")
    assert not principal.renew(rules("b/#"), LAMP), "nothing was allowed on that ground yet"
    assert not principal.may_publish("a/1")
    assert principal.may_publish("b/1")
    assert not principal.renew(rules("b/#"), LAMP)
    assert principal.renew(rules("b/#", "c/#"), LAMP)
    assert principal.renew(rules("b/#", "c/#"), None)
    assert not principal.may_publish("b/1")
