"""What anybody is shown of a published request."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from tejido_requests.intake.service import term_in_words
from tejido_requests.open311 import schemas
from tejido_requests.settings import PACKAGE, jurisdiction
from tejido_shared import i18n

DECIMALS = 3
"""Of a published coordinate: a hundred metres, so that a point shows the block and no door."""


def request_out(row: sa.Row[Any]) -> schemas.Request:
    return schemas.Request(
        service_request_id=row.number,
        status="open" if row.closed_at is None else "closed",
        status_notes=i18n.text(PACKAGE, f"open311.status.{row.status}"),
        service_name=row.type_name,
        service_code=row.request_type,
        agency_responsible=jurisdiction().office_name(row.office),
        service_notice=_term(row),
        requested_datetime=_local(row.received_at),
        updated_datetime=_local(row.closed_at or row.updated_at),
        # The last second in time: the due instant itself is midnight, which people read as a day too late.
        expected_datetime=_local(row.overdue_at - timedelta(seconds=1)) if row.overdue_at else None,
        address=_area_name(row.area),
        address_id=row.area,
        lat=round(row.latitude, DECIMALS),
        long=round(row.longitude, DECIMALS),
        extended_attributes=schemas.Extended(
            closed_datetime=_local(row.closed_at) if row.closed_at else None,
            detailed_status=row.status,
            due_date=row.due_date.isoformat() if row.due_date else None,
        ),
    )


def _term(row: sa.Row[Any]) -> str:
    length = row.term_n + (row.extended_by or 0) if row.term_n is not None else None
    words = term_in_words(row.term_unit, length)
    return f"{words} ({row.term_article})" if row.term_article else words


def _local(instant: datetime) -> datetime:
    """To the second, with the municipality's offset."""
    return instant.astimezone(jurisdiction().zone).replace(microsecond=0)


def _area_name(code: str | None) -> str | None:
    try:
        return jurisdiction().area(code).name if code else None
    except LookupError:
        return code
