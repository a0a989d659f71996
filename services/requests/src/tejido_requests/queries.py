"""What may be read, and by whom."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by
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


_HISTORY = (
    sa.select(
        sa.func.jsonb_agg(
            aggregate_order_by(
                sa.func.jsonb_build_object(
                    "at", HistoryEntry.at, "kind", HistoryEntry.kind, "details", HistoryEntry.details
                ),
                HistoryEntry.at,
                HistoryEntry.id,
            )
        )
    )
    .where(HistoryEntry.request_id == ServiceRequest.id)
    .scalar_subquery()
)
# Built once, and naming its columns: what is not shown is not decrypted, for this page is the one most asked for.
_TRACKED = sa.select(
    *(
        getattr(ServiceRequest, name)
        for name in (
            *("id", "number", "request_type", "type_name", "office", "status", "tracking_code", "received_at"),
            *(
                "effective_receipt_date",
                "term_unit",
                "term_n",
                "term_article",
                "due_date",
                "due_soon_from",
                "overdue_at",
            ),
            *("answered_at", "answer", "notified_at"),
        )
    ),
    _HISTORY.label("history"),
    sa.select(KnownProject.title)
    .where(KnownProject.id == ServiceRequest.project_id)
    .scalar_subquery()
    .label("project"),
).where(ServiceRequest.number == sa.bindparam("wanted"))


def tracked(rows: sa.Connection, number: str) -> Any | None:
    """What the tracking page shows of a request."""
    return rows.execute(_TRACKED, {"wanted": number}).one_or_none()


def history_of(session: Session, request_id: UUID) -> list[dict[str, Any]]:
    """What happened to a request, in order: at, kind, details."""
    return session.scalar(sa.select(_HISTORY).where(ServiceRequest.id == request_id)) or []
