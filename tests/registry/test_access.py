import pytest

from allthings.registry import AccessRule, Registry
from allthings.registry.access import Terms
from allthings.registry.settings import ACCESS_RULES_MAX
from allthings.things.errors import BadInputError, LimitExceededError, NotFoundError

T0 = 1_000


def _create(registry: Registry, subject: str = "devices", topic_filter: str = "shared/{thing}") -> AccessRule:
    return registry.access.create(Terms(subject, topic_filter, publish=True, note="why"), T0)


def test_the_defaults_are_what_held_before(registry: Registry) -> None:
    rules = {(rule.subject, rule.filter, rule.publish, rule.subscribe) for rule in registry.access.list()}
    assert rules == {
        ("devices", "things/{thing}/#", True, True),
        ("users", "#", False, True),
        ("users", "$SYS/#", False, True),
        ("role:admin", "#", True, False),
        ("role:operator", "#", True, False),
    }


def test_rules_are_made_changed_and_removed(registry: Registry) -> None:
    made = _create(registry)
    assert made == AccessRule("devices", "shared/{thing}", True, False, "why", id=made.id, created_ns=T0)
    assert made in registry.access.list()
    changed = registry.access.replace(made.id, Terms("thing:lamp", "a/+/{client}/#", subscribe=True))
    assert changed == AccessRule("thing:lamp", "a/+/{client}/#", False, True, "", id=made.id, created_ns=T0)
    assert changed in registry.access.list()
    assert registry.access.remove(made.id) == changed
    assert changed not in registry.access.list()
    for call in (
        lambda: registry.access.remove(made.id),
        lambda: registry.access.remove("no\x00such"),
        lambda: registry.access.replace(made.id, Terms("users", "a", publish=True)),
    ):
        with pytest.raises(NotFoundError):
            call()


def test_every_change_is_counted_for_other_processes(registry: Registry, url: str) -> None:
    other = Registry(url)
    before = other.versions()
    made = _create(registry)
    assert other.versions().access > before.access
    assert other.versions().things == before.things
    middle = other.versions()
    registry.access.remove(made.id)
    assert other.versions().access > middle.access
    other.close()


@pytest.mark.parametrize(
    "subject",
    ["anonymous", "authenticated", "devices", "users", "thing:a:b", "user:ada@x.org", "role:viewer", "tenant:acme"],
)
def test_subjects(registry: Registry, subject: str) -> None:
    assert _create(registry, subject).subject == subject


@pytest.mark.parametrize(
    ("subject", "topic_filter"),
    [
        ("device", "a"),
        ("", "a"),
        ("thing:", "a"),
        ("thing:a/b", "a"),
        ("thing:#", "a"),
        ("role:root", "a"),
        ("user:a b", "a"),
        ("tenant:+", "a"),
        ("client:x", "a"),
        ("devices", ""),
        ("devices", "a/#/b"),
        ("devices", "a/b#"),
        ("devices", "a+/b"),
        ("devices", "{thing}+"),
        ("devices", "things/{name}/#"),
        ("devices", "$share/g/a"),
        ("devices", "a\x00b"),
        ("devices", "a\ud800"),
        ("devices", "a" * 2_000),
        ("devices", "a/" * 300),
    ],
)
def test_what_cannot_be_a_rule(registry: Registry, subject: str, topic_filter: str) -> None:
    with pytest.raises(BadInputError):
        _create(registry, subject, topic_filter)
    assert len(registry.access.list()) == 5


def test_a_rule_allows_something(registry: Registry) -> None:
    with pytest.raises(BadInputError, match="to forbid, remove"):
        registry.access.create(Terms("users", "a"), T0)
    with pytest.raises(BadInputError, match="note"):
        registry.access.create(Terms("users", "a", publish=True, note="x" * 257), T0)


def test_there_is_an_end(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ACCESS_RULES_MAX >= 1_000
    monkeypatch.setattr("allthings.registry.access.ACCESS_RULES_MAX", 6)
    _create(registry)
    with pytest.raises(LimitExceededError, match="6 access rules"):
        _create(registry)


def test_rules_go_with_their_subject(registry: Registry) -> None:
    registry.things.create({"title": "Lamp"}, T0, name="lamp")
    registry.users.create("ada", "long enough", "viewer")
    for subject in ("thing:lamp", "thing:lamp2", "user:ada", "user:ad"):
        _create(registry, subject)
    registry.things.remove("lamp")
    registry.users.remove("ada")
    assert {rule.subject for rule in registry.access.list()} & {"thing:lamp", "thing:lamp2", "user:ada", "user:ad"} == {
        "thing:lamp2",
        "user:ad",
    }
