"""Mandates and persons, as they are recorded."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_registry.mandates.schemas import MandateQuery
from tejido_registry.models import Access, Mandate, Person
from tejido_shared.clock import now
from tejido_shared.ids import new_id

SORTABLE = {"starts_on": Mandate.starts_on}
_LAST = sa.func.coalesce(Mandate.ended_on, Mandate.ends_on)
_REAL = Mandate.ended_why.is_distinct_from("error")


def matching(organization_id: UUID, asked: MandateQuery) -> sa.Select[Mandate]:
    query = sa.select(Mandate).where(Mandate.organization_id == organization_id)
    if asked.in_office_on is not None:
        query = query.where(Mandate.starts_on <= asked.in_office_on, asked.in_office_on <= _LAST, _REAL)
    return query


def one(session: Session, organization_id: UUID, mandate_id: UUID) -> Mandate | None:
    query = sa.select(Mandate).where(Mandate.id == mandate_id, Mandate.organization_id == organization_id)
    return session.scalar(query)


def not_over(session: Session, organization_id: UUID, since: date, organs: Iterable[str]) -> Sequence[Mandate]:
    """The mandates of these organs that reach a day or begin after it, without what was recorded by mistake."""
    query = sa.select(Mandate).where(
        Mandate.organization_id == organization_id, Mandate.organ.in_(organs), since <= _LAST, _REAL
    )
    return session.scalars(query.order_by(Mandate.starts_on, Mandate.id)).all()


def persons_of(session: Session, organization_id: UUID, ids: Collection[UUID]) -> dict[UUID, Person]:
    """Of these persons those who hold or held an office in the organization."""
    if not ids:
        return {}
    holders = sa.select(Mandate.person_id).where(Mandate.organization_id == organization_id)
    query = sa.select(Person).where(Person.id.in_(ids), Person.id.in_(holders))
    return {person.id: person for person in session.scalars(query)}


def persons_marked(session: Session, marks: Collection[bytes]) -> dict[bytes, Person]:
    """The persons known by these marks. Whoever looks for the same ones meanwhile waits: nobody is written twice."""
    if not marks:
        return {}
    keys = sorted({int.from_bytes(mark[:8], "big", signed=True) for mark in marks})
    session.execute(
        sa.text("select pg_advisory_xact_lock(key) from unnest(cast(:keys as bigint[])) as key"), {"keys": keys}
    )
    query = sa.select(Person).where(Person.document_mark.in_(marks))
    return {person.document_mark: person for person in session.scalars(query) if person.document_mark is not None}


def note_seen(session: Session, organization_id: UUID, subject: str, persons: Iterable[UUID]) -> None:
    """Writes down that somebody saw persons of an organization."""
    rows = [
        {
            "id": new_id(),
            "organization_id": organization_id,
            "at": now(),
            "subject": subject,
            "what": "person",
            "seen": person,
        }
        for person in dict.fromkeys(persons)
    ]
    if rows:
        session.execute(sa.insert(Access), rows)
