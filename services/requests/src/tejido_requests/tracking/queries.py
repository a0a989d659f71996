"""What the tracking page shows of a request."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from tejido_requests.audit.queries import HISTORY
from tejido_requests.models import KnownProject, ServiceRequest

# Built once, and naming its columns: what is not shown is not decrypted, for this page is the one most asked for.
_SHOWN = (
    *("id", "number", "request_type", "type_name", "office", "status", "tracking_code", "received_at", "policy"),
    *("effective_receipt_date", "term_unit", "term_n", "term_article", "term_kind", "term_extension_max"),
    *("term_copies_within", "calendar_version", "due_date", "first_due_date", "due_soon_from", "overdue_at", "on_time"),
    *("citizen_due_date", "answered_at", "answer", "answer_number", "notified_at", "merged_into_id"),
    "tombstoned_at",
)
ANSWER = ("answered_at", "answer_number", "answer")
_TRACKED = sa.select(
    *(getattr(ServiceRequest, name) for name in _SHOWN),
    HISTORY.label("history"),
    sa.select(KnownProject.title)
    .where(KnownProject.id == ServiceRequest.project_id)
    .scalar_subquery()
    .label("project"),
).where(ServiceRequest.number == sa.bindparam("wanted"))


def tracked(rows: sa.Connection, number: str) -> Any | None:
    return rows.execute(_TRACKED, {"wanted": number}).one_or_none()


def answer_of(rows: sa.Connection, request_id: UUID) -> dict[str, Any]:
    """The answer of another request: of the one that this one was merged into, directly or through others."""
    columns = (getattr(ServiceRequest, name) for name in (*ANSWER, "merged_into_id"))
    found = rows.execute(sa.select(*columns).where(ServiceRequest.id == request_id)).one()
    if found.merged_into_id is not None:
        return answer_of(rows, found.merged_into_id)
    return {name: getattr(found, name) for name in ANSWER}


def key_of(number: str) -> sa.Select[UUID, str]:
    """Id and tracking code of a request."""
    return sa.select(ServiceRequest.id, ServiceRequest.tracking_code).where(ServiceRequest.number == number)
