import pytest

from allthings.registry import AuditEntry, Registry
from allthings.registry.settings import AUDIT_AGE_NS, AUDIT_TEXT_MAX
from allthings.things.errors import BadInputError


def _refusal(number: int, **more: object) -> AuditEntry:
    return AuditEntry(number, "refusal", "publish-refused", "lamp", "10.0.0.1:5", f"topic/{number}", **more)  # type: ignore[arg-type]


def _change(number: int) -> AuditEntry:
    return AuditEntry(number, "change", "rule-made", "admin", "10.0.0.1", f"rule {number}")


def test_entries_come_back_newest_first_in_pages(registry: Registry) -> None:
    registry.audit.add([])
    registry.audit.add([_refusal(number) for number in range(1, 6)])
    registry.audit.add([AuditEntry(9, "change", "token-made", "admin", "::1", "lamp", "asked", "cli", 3)])
    newest = registry.audit.list(2)
    assert [entry.time_ns for entry in newest.entries] == [9, 5]
    first = newest.entries[0]
    assert (first.area, first.kind, first.who, first.address, first.what, first.why, first.client, first.repeated) == (
        "change",
        "token-made",
        "admin",
        "::1",
        "lamp",
        "asked",
        "cli",
        3,
    )
    seen = [9, 5]
    after = newest.next
    while after:
        page = registry.audit.list(2, after)
        seen += [entry.time_ns for entry in page.entries]
        after = page.next
    assert seen == [9, 5, 4, 3, 2, 1]


def test_entries_are_found_by_what_they_are(registry: Registry) -> None:
    registry.audit.add([_refusal(1), _change(2), _refusal(3)])
    assert [entry.time_ns for entry in registry.audit.list(area="refusal").entries] == [3, 1]
    assert [entry.time_ns for entry in registry.audit.list(kind="rule-made").entries] == [2]
    assert [entry.time_ns for entry in registry.audit.list(who="lamp").entries] == [3, 1]
    assert registry.audit.list(who="nobody\x00").entries == []


def test_old_ones_and_too_many_go_but_refusals_never_push_changes_out(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("allthings.registry.audit.AUDIT_ENTRIES_MAX", 3)
    registry.audit.add([_change(1)])
    for number in range(2, 30):
        registry.audit.add([_refusal(number)])
    assert [entry.time_ns for entry in registry.audit.list().entries] == [29, 28, 27, 1]
    registry.audit.add([_refusal(2 + AUDIT_AGE_NS)])
    assert [entry.time_ns for entry in registry.audit.list().entries] == [2 + AUDIT_AGE_NS, 29, 28]


def test_what_strangers_say_is_cut_and_made_storable(registry: Registry) -> None:
    registry.audit.add([AuditEntry(1, "refusal", "login-failed", "a\x00b\ud800", "", "x" * 9_999)])
    (entry,) = registry.audit.list().entries
    assert entry.who == "ab?"
    assert len(entry.what) == AUDIT_TEXT_MAX


def test_what_cannot_be_asked(registry: Registry) -> None:
    for call in (
        lambda: registry.audit.list(0),
        lambda: registry.audit.list(1_001),
        lambda: registry.audit.list(after="x"),
        lambda: registry.audit.list(after="9" * 30),
        lambda: registry.audit.list(area="all"),  # type: ignore[arg-type]
    ):
        with pytest.raises(BadInputError):
            call()
