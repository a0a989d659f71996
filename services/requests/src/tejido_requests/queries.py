"""What may be read, and by whom."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_requests.models import HistoryEntry, KnownProject, ServiceRequest
from tejido_requests.schemas import RequestQuery
from tejido_shared.auth import Principal
from tejido_shared.clock import now
from tejido_shared.jurisdiction import Role

SORTABLE = {"due_date": ServiceRequest.due_date, "received_at": ServiceRequest.received_at}


def visible_to(principal: Principal) -> sa.Select[ServiceRequest]:
    """The requests a caller may see: those of their offices, or all for auditors and administrators."""
    query = sa.select(ServiceRequest)
    if principal.has(Role.AUDITOR):
        return query
    return query.where(ServiceRequest.office.in_(principal.offices))


def one(session: Session, principal: Principal, request_id: UUID, *, lock: bool = False) -> ServiceRequest | None:
    query = visible_to(principal).where(ServiceRequest.id == request_id)
    return session.scalar(query.with_for_update() if lock else query)


def matching(principal: Principal, asked: RequestQuery) -> sa.Select[ServiceRequest]:
    query = visible_to(principal)
    for column in ("status", "office", "request_type", "project_id"):
        wanted = getattr(asked, column)
        if wanted is not None:
            query = query.where(getattr(ServiceRequest, column) == wanted)
    if asked.due_until is not None:
        query = query.where(ServiceRequest.due_date <= asked.due_until)
    if asked.overdue is not None:
        late = (ServiceRequest.notified_at.is_(None)) & (ServiceRequest.overdue_at <= now())
        query = query.where(late if asked.overdue else ~late)
    return query


def by_number(session: Session, number: str) -> ServiceRequest | None:
    return session.scalar(sa.select(ServiceRequest).where(ServiceRequest.number == number))


def history_of(session: Session, request_id: UUID) -> list[HistoryEntry]:
    query = (
        sa.select(HistoryEntry).where(HistoryEntry.request_id == request_id).order_by(HistoryEntry.at, HistoryEntry.id)
    )
    return list(session.scalars(query))


def project_title(session: Session, project_id: UUID | None) -> str | None:
    return session.scalar(sa.select(KnownProject.title).where(KnownProject.id == project_id)) if project_id else None
