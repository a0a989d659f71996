"""Reading what happened."""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session, joinedload

from tejido_requests.audit.schemas import AccessQuery
from tejido_requests.models import AccessRecord, HistoryEntry, ServiceRequest
from tejido_requests.search.queries import between

HISTORY = (
    sa.select(
        sa.func.jsonb_agg(
            aggregate_order_by(
                sa.func.jsonb_build_object(
                    *("at", HistoryEntry.at, "kind", HistoryEntry.kind, "details", HistoryEntry.details),
                    *("calendar_version", HistoryEntry.calendar_version),
                ),
                HistoryEntry.at,
                HistoryEntry.id,
            )
        )
    )
    .where(HistoryEntry.request_id == ServiceRequest.id)
    .scalar_subquery()
)
"""A column for a query over requests: its whole history in one value, for `entries`."""


def entries(column: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """The value of `HISTORY`: at, kind, details, calendar_version, in order."""
    return [entry | {"at": datetime.fromisoformat(entry["at"])} for entry in column or []]


def history_of(session: Session, request_id: UUID) -> list[dict[str, Any]]:
    """What happened to a request, in order: at, kind, details, calendar_version."""
    return entries(session.scalar(sa.select(HISTORY).where(ServiceRequest.id == request_id)))


def whole_history(request_id: UUID) -> sa.Select[Any]:
    """Everything about a request, each entry with its link, for auditors."""
    return sa.select(HistoryEntry).where(HistoryEntry.request_id == request_id).options(joinedload(HistoryEntry.link))


def accesses(request_id: UUID) -> sa.Select[Any]:
    """Who looked at what is confidential of a request."""
    return sa.select(AccessRecord).where(AccessRecord.request_id == request_id)


def all_accesses(asked: AccessQuery) -> sa.Select[Any]:
    """Who looked at what is confidential of any request, or took personal data out."""
    query = sa.select(AccessRecord).where(*between(AccessRecord.at, asked.at_from, asked.at_until))
    if asked.what is not None:
        query = query.where(AccessRecord.what == asked.what)
    if asked.subject is not None:
        query = query.where(AccessRecord.subject == asked.subject)
    return query
