"""Which requests GeoReport v2 publishes, and what is read of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from tejido_requests.models import HistoryEntry, ServiceRequest
from tejido_requests.open311.schemas import RequestQuery
from tejido_requests.settings import jurisdiction
from tejido_shared.clock import now
from tejido_shared.refusals import Refused

CHANNEL = "open311"
"""Through it came what may be published: who files there is told so."""
SPAN = timedelta(days=90)
"""The longest range of dates that one question may cover."""

_UPDATED = (
    sa.select(sa.func.max(HistoryEntry.recorded_at))
    .where(HistoryEntry.request_id == ServiceRequest.id)
    .scalar_subquery()
)
# Naming its columns: nothing that is encrypted is even read.
_SHOWN = (
    *("number", "status", "request_type", "type_name", "office", "area", "latitude", "longitude", "received_at"),
    *("closed_at", "overdue_at", "due_date", "term_unit", "term_n", "term_article", "extended_by"),
)


def _published() -> sa.Select[Any]:
    """Filed through Open311, with a point, and not what the law or the desk keeps from others.

    A request that was split from one, or disputes its answer, is the desk's own and not published.
    """
    kept = [kind.code for kind in jurisdiction().request_types if kind.confidential]
    return sa.select(*(getattr(ServiceRequest, name) for name in _SHOWN), _UPDATED.label("updated_at")).where(
        ServiceRequest.channel == CHANNEL,
        ServiceRequest.latitude.is_not(None),
        ServiceRequest.confidential.is_(False),
        ServiceRequest.minor.is_(False),
        ServiceRequest.tombstoned_at.is_(None),
        ServiceRequest.parent_id.is_(None),
        ServiceRequest.reopens_id.is_(None),
        ServiceRequest.request_type.not_in(kept),
    )


def published(rows: sa.Connection, asked: RequestQuery) -> Sequence[sa.Row[Any]]:
    """The latest first. Numbers asked for by name override all else, as the standard says."""
    query = _published()
    if asked.service_request_id:
        query = query.where(ServiceRequest.number.in_([number.upper() for number in asked.service_request_id]))
    else:
        query = query.where(*_filters(asked))
    query = query.order_by(ServiceRequest.received_at.desc(), ServiceRequest.id.desc())
    return rows.execute(query.limit(asked.page_size).offset((asked.page - 1) * asked.page_size)).all()


def _filters(asked: RequestQuery) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if asked.service_code:
        found.append(ServiceRequest.request_type.in_(asked.service_code))
    if len(set(asked.status)) == 1:
        opened = asked.status[0] == "open"
        found.append(ServiceRequest.closed_at.is_(None) if opened else ServiceRequest.closed_at.is_not(None))
    if asked.updated_after is not None:
        if asked.updated_after < now() - SPAN:
            raise Refused("range_too_long", "query.updated_after")
        # By when it was recorded, and not by when it took effect: an act with an earlier date must not slip by whoever asks again.
        touched = sa.select(HistoryEntry.request_id).where(HistoryEntry.recorded_at > asked.updated_after)
        found.append(ServiceRequest.id.in_(touched))
    if asked.updated_after is None or asked.start_date or asked.end_date:
        first, last = _range(asked.start_date, asked.end_date)
        found += [ServiceRequest.received_at >= first, ServiceRequest.received_at <= last]
    return found


def _range(start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    """Both ends included; the most recent 90 days if none is said. Raises `Refused`."""
    if end is None:
        end = now() if start is None or now() - start <= SPAN else start + SPAN
    if start is None:
        start = end - SPAN
    if end - start > SPAN:
        raise Refused("range_too_long", "query.end_date")
    return start, end
