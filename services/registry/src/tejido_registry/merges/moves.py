"""What becomes of each row that speaks of an organization which is found to be another: one table of rules, and their execution.

Every column that refers to an organization needs a rule. A table that is added without one stops merges, and a test.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_registry.models import Base

Row = dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """`moves`: the rows become the survivor's, but for those that say in `same` what one of its own says, and are numbered after its
    own where they have a position. `stays`: they go on telling of the absorbed one. `follows`: whoever pointed at it points at the
    survivor. `elsewhere`: another part of the register sees to it, when it is told."""

    what: Literal["moves", "stays", "follows", "elsewhere"]
    why: str
    same: tuple[str, ...] = ()


MOVES: dict[str, Rule] = {
    "access.organization_id": Rule("stays", "who saw what, when it was another organization's; only ever added"),
    "application.organization_id": Rule("moves", "what was decided; none of the absorbed one's may be open"),
    "branch.organization_id": Rule("moves", "its places", same=("name", "address", "locality")),
    "certificate.organization_id": Rule("stays", "stated in its name and number; its page says where it lives on"),
    "change.organization_id": Rule("stays", "the feed tells that this key changed"),
    "contact.organization_id": Rule("moves", "its people", same=("name", "post", "email", "phone")),
    "document.organization_id": Rule("moves", "handed in once, good for every procedure"),
    "duplicate_pair.first_id": Rule("elsewhere", "the next comparison forgets its pairs"),
    "duplicate_pair.second_id": Rule("elsewhere", "the next comparison forgets its pairs"),
    "external_reference.organization_id": Rule("moves", "another register's rows are the survivor's from now on"),
    "identifier.organization_id": Rule("moves", "its numbers", same=("scheme", "value", "check_digit")),
    "mandate.organization_id": Rule("moves", "who holds an office"),
    "match_check.organization_id": Rule("elsewhere", "the next comparison leaves it out"),
    "match_key.organization_id": Rule("elsewhere", "the next comparison leaves it out"),
    "merge.absorbed_id": Rule("stays", "history"),
    "merge.survivor_id": Rule("stays", "history"),
    "organization.merged_into": Rule("follows", "who lived on in the absorbed one lives on in the survivor"),
    "organization_history.organization_id": Rule("stays", "history; read together with the survivor's"),
    "public_profile.organization_id": Rule("stays", "consent was given for what was shown then, and to nothing else"),
    "reminder.organization_id": Rule("stays", "what it was told"),
    "verification.organization_id": Rule("moves", "what was looked at"),
}


def references(metadata: sa.MetaData = Base.metadata) -> set[str]:
    """Every column that refers to an organization: table.column."""
    return {
        f"{table.name}.{key.parent.name}"
        for table in metadata.tables.values()
        for key in table.foreign_keys
        if key.column.table.name == "organization"
    }


def unhandled(metadata: sa.MetaData = Base.metadata) -> list[str]:
    """Those without a rule: while there are any, nothing can be merged."""
    return sorted(references(metadata) - MOVES.keys())


def counts(session: Session, absorbed: UUID, what: str) -> dict[str, int]:
    """How many rows of each table this becomes of, of those that have some."""
    found = {}
    for table, column, _ in _ruled(what):
        count = session.scalar(sa.select(sa.func.count()).select_from(table).where(column == absorbed)) or 0
        if count:
            found[table.name] = count
    return found


def move(session: Session, absorbed: UUID, survivor: UUID, back: frozenset[str], stay: frozenset[str]) -> list[Row]:
    """Gives the rows to the survivor. Returns what moved, whole, so that it can be undone.

    Identifiers of the schemes `stay` are not moved; of the schemes `back`, the survivor's go to the absorbed one instead.
    """
    moved: list[Row] = []
    for table, column, rule in _ruled("moves"):
        theirs = _rows(session, table, column, survivor)
        known = {tuple(row[name] for name in rule.same) for row in theirs} if rule.same else set()
        position = max((row["position"] for row in theirs), default=-1) + 1 if "position" in table.c else None
        for row in _rows(session, table, column, absorbed):
            if rule.same and tuple(row[name] for name in rule.same) in known:
                continue
            if table.name == "identifier" and row["scheme"] in stay:
                continue
            _give(session, moved, table, column, row, survivor, position)
            position = None if position is None else position + 1
        if table.name == "identifier":
            for row in theirs:
                if row["scheme"] in back:
                    _give(session, moved, table, column, row, absorbed, None)
    for table, column, _ in _ruled("follows"):
        for row in _rows(session, table, column, absorbed):
            changed = {column.name: survivor, "version": row["version"] + 1}
            session.execute(sa.update(table).where(*_key(table, row)).values(changed))
            moved.append(_moved(table, column, row, absorbed, survivor, whole=False))
    return moved


def undo(session: Session, moved: Sequence[Row]) -> list[dict[str, str]]:
    """Gives back what moved. What is gone, or somebody changed or moved since, stays as it is: returned by table, with the reason."""
    kept = []
    for one in moved:
        table = Base.metadata.tables[one["table"]]
        column = table.c[one["column"]]
        where = [_typed(c, one["key"][c.name]) for c in table.primary_key.columns]
        row = session.execute(sa.select(table).where(*where).with_for_update()).mappings().one_or_none()
        why = _changed(one, dict(row) if row is not None else None, column.name)
        if why is not None:
            kept.append({"what": table.name, "why": why})
            continue
        back = {column.name: UUID(one["from"])}
        if one["values"] and "position" in table.c:
            back["position"] = one["values"]["position"]
        if "version" in table.c and table.name == "organization":
            back["version"] = table.c.version + 1  # type: ignore[assignment]
        session.execute(sa.update(table).where(*where).values(back))
    return kept


def keys(moved: Sequence[Row]) -> set[str]:
    """Which rows moved."""
    return {f"{one['table']} {sorted(one['key'].items())}" for one in moved}


def followers(moved: Sequence[Row]) -> list[UUID]:
    """The organizations that had lived on in the absorbed one."""
    return [UUID(one["key"]["id"]) for one in moved if one["table"] == "organization"]


def plain(value: Any) -> Any:
    """A value as JSON keeps it."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return value


def _ruled(what: str) -> Iterator[tuple[sa.Table, sa.Column[Any], Rule]]:
    for name, rule in sorted(MOVES.items()):
        if rule.what == what:
            table = Base.metadata.tables[name.partition(".")[0]]
            yield table, table.c[name.partition(".")[2]], rule


def _rows(session: Session, table: sa.Table, column: sa.Column[Any], organization: UUID) -> list[Row]:
    # Computed columns follow from the others and are large.
    columns = [c for c in table.c if c.computed is None]
    order = [table.c.position] if "position" in table.c else []
    query = sa.select(*columns).where(column == organization).order_by(*order, *table.primary_key.columns)
    return [dict(row) for row in session.execute(query.with_for_update()).mappings()]


def _give(
    session: Session,
    moved: list[Row],
    table: sa.Table,
    column: sa.Column[Any],
    row: Row,
    to: UUID,
    position: int | None,
) -> None:
    values = {column.name: to} | ({} if position is None else {"position": position})
    session.execute(sa.update(table).where(*_key(table, row)).values(values))
    moved.append(_moved(table, column, row, row[column.name], to, whole=True))


def _moved(table: sa.Table, column: sa.Column[Any], row: Row, origin: UUID, to: UUID, *, whole: bool) -> Row:
    return {
        "table": table.name,
        "column": column.name,
        "key": {c.name: plain(row[c.name]) for c in table.primary_key.columns},
        "from": str(origin),
        "to": str(to),
        "values": {name: plain(value) for name, value in row.items()} if whole else {},
    }


def _key(table: sa.Table, row: Row) -> list[sa.ColumnElement[bool]]:
    return [c == row[c.name] for c in table.primary_key.columns]


def _typed(column: sa.Column[Any], value: str) -> sa.ColumnElement[bool]:
    return column == (UUID(value) if isinstance(column.type, sa.Uuid) else value)


def _changed(one: Row, row: Row | None, column: str) -> str | None:
    """Why a row cannot be given back; none if it can."""
    if row is None:
        return "gone"
    if plain(row[column]) != one["to"]:
        return "elsewhere"
    same = all(plain(row[name]) == value for name, value in one["values"].items() if name not in (column, "position"))
    return None if same else "changed"
