"""What people are shown of a request's clocks."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_requests.calendars import queries as calendars
from tejido_requests.clocks import service
from tejido_requests.clocks.schemas import ClockOut, RunningClock
from tejido_requests.intake.service import explained_at_receipt, term_in_words
from tejido_requests.models import ServiceRequest
from tejido_requests.settings import PACKAGE, jurisdiction
from tejido_shared import i18n
from tejido_shared.clock import now


def is_overdue(request: ServiceRequest | sa.Row[Any]) -> bool:
    """Whether the answer is, or was, late. A clock that rests or ended without an answer is not."""
    if request.overdue_at is None or request.status in service.ENDS:
        return False
    if request.on_time is not None:
        return not request.on_time
    return bool((request.notified_at or now()) >= request.overdue_at)


def clock_out(
    session: Session | sa.Connection, request: ServiceRequest | sa.Row[Any], history: Sequence[service.History]
) -> ClockOut:
    """The legal clock with its count, derived anew from the history."""
    counted = service.answer_deadline(session, request, history)
    zone = jurisdiction().zone
    length = counted.length if counted.term is not None else None
    days = explained_at_receipt(request.calendar_version, request.request_type, counted, i18n.language.get())
    return ClockOut(
        received_at=request.received_at,
        effective_receipt_date=counted.effective_receipt_date,
        term=term_in_words(counted.term.unit if counted.term else None, length),
        article=request.term_article,
        legal=request.term_kind != "service_commitment",
        due_date=counted.due_date,
        overdue_at=counted.overdue_at.astimezone(zone) if counted.overdue_at else None,
        due_soon_from=counted.due_soon_from,
        overdue=is_overdue(request),
        remaining=None if counted.stopped_at else counted.remaining(now().astimezone(zone).date()),
        paused_since=counted.asked_on[-1] if counted.paused else None,
        days_left=counted.days_left,
        complete_until=request.citizen_due_date,
        stopped_at=counted.stopped_at,
        on_time=request.on_time,
        days=days,
        warnings=[] if counted.stopped_at else calendars.warnings(session, counted),
    )


def running(found: Sequence[service.Clock]) -> list[RunningClock]:
    """Every clock, the legal one first."""
    zone = jurisdiction().zone
    return [
        RunningClock(
            clock=clock.kind,
            name=i18n.text(PACKAGE, f"clock.{clock.kind}"),
            status=clock.status,
            started_at=clock.started_at,
            due_date=clock.deadline.due_date,
            overdue_at=clock.deadline.overdue_at.astimezone(zone) if clock.deadline.overdue_at else None,
            article=clock.article,
            legal=clock.legal,
            stopped_at=clock.stopped_at,
            on_time=clock.on_time,
        )
        for clock in found
    ]
