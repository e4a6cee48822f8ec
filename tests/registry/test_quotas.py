import pytest

from allthings.registry import Quota, Registry
from allthings.things.errors import BadInputError, LimitExceededError, NotFoundError


def test_quotas_are_set_changed_and_removed(registry: Registry) -> None:
    assert registry.quotas.list() == []
    before = registry.versions().access
    each = Quota("client", 100.0, None, "slow")
    assert registry.quotas.put(each)
    assert registry.versions().access > before
    tenant = Quota("tenant:acme", 1_000.0, 1e6, "refuse")
    assert registry.quotas.put(tenant)
    assert registry.quotas.list() == [each, tenant]
    free = Quota("client", None, 5.5, "refuse")
    assert not registry.quotas.put(free)
    assert registry.quotas.list() == [free, tenant]
    registry.quotas.remove("client")
    assert registry.quotas.list() == [tenant]
    with pytest.raises(NotFoundError):
        registry.quotas.remove("client")


@pytest.mark.parametrize("scope", ["client", "tenant", "tenant:a", "thing:a:b", "user:ada"])
def test_scopes(registry: Registry, scope: str) -> None:
    assert registry.quotas.put(Quota(scope, 1, 1, "slow"))


@pytest.mark.parametrize(
    "quota",
    [
        Quota("clients", 1, 1, "slow"),
        Quota("role:admin", 1, 1, "slow"),
        Quota("tenant:", 1, 1, "slow"),
        Quota("client", 0, 1, "slow"),
        Quota("client", -1, 1, "slow"),
        Quota("client", 1, float("nan"), "slow"),
        Quota("client", 1, float("inf"), "slow"),
        Quota("client", 1e13, 1, "slow"),
        Quota("client", 1, 1, "drop"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_a_quota(registry: Registry, quota: Quota) -> None:
    with pytest.raises(BadInputError):
        registry.quotas.put(quota)


def test_there_is_an_end(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allthings.registry.quotas.QUOTAS_MAX", 1)
    registry.quotas.put(Quota("client", 1, 1, "slow"))
    registry.quotas.put(Quota("client", 2, 1, "slow"))
    with pytest.raises(LimitExceededError):
        registry.quotas.put(Quota("tenant", 1, 1, "slow"))
