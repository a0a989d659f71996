"""Officers and what they have in hand."""

from collections.abc import Iterable
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_requests.models import DeskOfficer, Note, ServiceRequest
from tejido_requests.search.queries import OPEN, today
from tejido_shared.auth import Principal


def officers_of(office: str) -> sa.Select[DeskOfficer]:
    return sa.select(DeskOfficer).where(DeskOfficer.office == office)


def is_available(officer: DeskOfficer) -> bool:
    return officer.present and (officer.away_until is None or officer.away_until < today())


def open_loads(session: Session, office: str) -> dict[str, int]:
    """How many open requests of an office each officer has."""
    rows = session.execute(
        sa.select(ServiceRequest.assignee, sa.func.count())
        .where(ServiceRequest.office == office, OPEN, ServiceRequest.assignee.is_not(None))
        .group_by(ServiceRequest.assignee)
    )
    return {str(subject): count for subject, count in rows}


def worked_on_by(principal: Principal) -> sa.Select[ServiceRequest]:
    """The requests of a caller's own offices, or all for administrators: who only may see a request gives it to nobody."""
    query = sa.select(ServiceRequest)
    return query if principal.has() else query.where(ServiceRequest.office.in_(principal.offices))


def unassigned(office: str) -> list[sa.ColumnElement[bool]]:
    return [ServiceRequest.office == office, OPEN, ServiceRequest.assignee.is_(None)]


def offices_that_know(session: Session, subject: str, offices: Iterable[str]) -> set[str]:
    """Those of `offices` where this account is an officer of the desk."""
    known = sa.select(DeskOfficer.office).where(DeskOfficer.subject == subject, DeskOfficer.office.in_(set(offices)))
    return set(session.scalars(known))


def notes_of(request_id: UUID) -> sa.Select[Note]:
    return sa.select(Note).where(Note.request_id == request_id)
