"""Access rules: who may publish and subscribe where. What no rule allows is refused. Thread-safe."""

from __future__ import annotations

import re
import secrets
from dataclasses import asdict, dataclass, fields
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from allthings.mqtt.errors import MqttError
from allthings.mqtt.filters import check_topic_filter
from allthings.registry.counters import ACCESS, count
from allthings.registry.database import Database
from allthings.registry.schema import AccessRuleRow
from allthings.registry.settings import ACCESS_RULES_MAX, FILTER_BYTES_MAX, RULE_NOTE_MAX
from allthings.registry.subjects import check_subject
from allthings.things.errors import BadInputError, LimitExceededError, NotFoundError

#: What stands for something of the client in a rule's filter.
PLACEHOLDERS: Final = ("thing", "user", "client")
PLACEHOLDER: Final = re.compile(r"\{([a-z]+)\}")


@dataclass(frozen=True)
class Terms:
    """`subject` (see `subjects`) may publish, subscribe, or both, on what `filter` matches.

    In the filter `{thing}`, `{user}` and `{client}` stand for the device's thing, the user's name and the client id.
    """

    subject: str
    filter: str
    publish: bool = False
    subscribe: bool = False
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class AccessRule(Terms):
    """What is allowed, under an id."""

    id: str
    created_ns: int


class AccessRules:
    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> list[AccessRule]:
        """All rules, oldest first."""
        statement = sa.select(AccessRuleRow).order_by(AccessRuleRow.created_ns, AccessRuleRow.id)
        with self._database.read() as session:
            return [_rule(row) for row in session.scalars(statement)]

    def create(self, terms: Terms, now_ns: int) -> AccessRule:
        """Add a rule. Raises BadInputError, LimitExceededError."""
        _check(terms)
        row_id = secrets.token_hex(8)

        def change(session: Session) -> AccessRule:
            count(session, ACCESS)
            if session.execute(sa.select(sa.func.count()).select_from(AccessRuleRow)).scalar_one() >= ACCESS_RULES_MAX:
                raise LimitExceededError(f"there are {ACCESS_RULES_MAX} access rules already: join some by + and #")
            row = AccessRuleRow(id=row_id, created_ns=now_ns, **asdict(terms))
            session.add(row)
            return _rule(row)

        return self._database.write(change)

    def replace(self, id_: str, terms: Terms) -> AccessRule:
        """Change a rule. Raises NotFoundError, BadInputError."""
        _check(terms)

        def change(session: Session) -> AccessRule:
            count(session, ACCESS)
            row = _require(session, id_)
            for name, value in asdict(terms).items():
                setattr(row, name, value)
            return _rule(row)

        return self._database.write(change)

    def remove(self, id_: str) -> AccessRule:
        """Remove a rule; what it was. Raises NotFoundError."""

        def change(session: Session) -> AccessRule:
            count(session, ACCESS)
            row = _require(session, id_)
            session.delete(row)
            return _rule(row)

        return self._database.write(change)


def _check(terms: Terms) -> None:
    check_subject(terms.subject)
    topic_filter = terms.filter
    unknown = [name for name in PLACEHOLDER.findall(topic_filter) if name not in PLACEHOLDERS]
    if unknown:
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise BadInputError(f"filter: {{{unknown[0][:32]}}} is no placeholder: {known}")
    if topic_filter.startswith("$share/"):
        raise BadInputError("filter: give the filter without $share/name: it holds for shared subscriptions too")
    if len(topic_filter.encode(errors="replace")) > FILTER_BYTES_MAX or "\x00" in topic_filter:
        raise BadInputError(f"filter: at most {FILTER_BYTES_MAX} bytes, and no NUL")
    try:
        topic_filter.encode()
        check_topic_filter(PLACEHOLDER.sub("x", topic_filter))
    except (MqttError, UnicodeEncodeError) as error:
        raise BadInputError(f"filter: {error}") from None
    if not (terms.publish or terms.subscribe):
        raise BadInputError("a rule allows to publish, to subscribe, or both; to forbid, remove the rule that allows")
    if len(terms.note) > RULE_NOTE_MAX or "\x00" in terms.note:
        raise BadInputError(f"a note has at most {RULE_NOTE_MAX} characters")


def _require(session: Session, id_: str) -> AccessRuleRow:
    row = session.get(AccessRuleRow, id_) if id_.isprintable() else None
    if row is None:
        raise NotFoundError(f"there is no access rule with the id {id_[:64]!r}")
    return row


def _rule(row: AccessRuleRow) -> AccessRule:
    return AccessRule(**{field.name: getattr(row, field.name) for field in fields(AccessRule)})
