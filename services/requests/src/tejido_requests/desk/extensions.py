"""Extending the term: it holds once the citizen was told, with proof (Ley 1755/2015 art. 14 par.)."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_requests.audit import service as audit
from tejido_requests.clocks import service as clocks
from tejido_requests.desk import service
from tejido_requests.models import HistoryEntry, ServiceRequest
from tejido_shared import contracts
from tejido_shared.clock import now
from tejido_shared.deadlines import Deadline
from tejido_shared.ids import new_id
from tejido_shared.personal import seal
from tejido_shared.refusals import Refused


def extend(
    session: Session,
    request: ServiceRequest,
    reasons: str,
    author: str,
    *,
    added: int | None = None,
    due_date: date | None = None,
    told_at: datetime | None = None,
    evidence: str | None = None,
) -> None:
    """Announces that `added` more units are needed, or as many as bring the answer to `due_date`.

    With evidence that the citizen was told at `told_at` it holds from then on. Otherwise it is mailed, and holds once the mail has
    arrived, if it does in time; until then the due date stays.
    """
    service.unanswered(request)
    at = service.dated(session, request, told_at, "told_at")
    details = _extension(session, request, at, added, due_date)
    if evidence is not None:
        counted = service.judge(session, request, "extended", at, details)
        _hold(session, request, counted, at, author, details, reasons, evidence)
        return
    if told_at is not None or request.petitioner_email is None:
        raise Refused("extension_proof_needed")
    if pending(session, request) is not None:
        raise Refused("extension_pending")
    notice_id = new_id()
    event_id = _send(session, request, notice_id, at, reasons, details)
    details |= {"notice_id": str(notice_id), "event_id": str(event_id)}
    audit.record(session, request, "extension_announced", at, author, details, reason=reasons)


def _extension(
    session: Session, request: ServiceRequest, at: datetime, added: int | None, due_date: date | None
) -> dict[str, Any]:
    """What is kept of an extension that is admitted at this instant. Raises `Refused` else, or if no number of units gives the date."""
    if (added is None) == (due_date is None):
        raise Refused("added_or_date", "added")
    for n in [added] if added is not None else range(1, (request.term_extension_max or 1) + 1):
        counted = service.judge(session, request, "extended", at, {"added": n})
        if due_date in (None, counted.due_date):
            return {"added": n, "from": service.iso(request.due_date), "to": service.iso(counted.due_date)}
    raise Refused("extension_date", "due_date")


def pending(session: Session, request: ServiceRequest) -> sa.Row[Any] | None:
    """The announcement of an extension that is neither proven nor failed."""
    kinds = ("extension_announced", "extended", "extension_failed")
    columns = HistoryEntry.kind, HistoryEntry.at, HistoryEntry.details, HistoryEntry.reason
    told = session.execute(
        sa.select(*columns)
        .where(HistoryEntry.request_id == request.id, HistoryEntry.kind.in_(kinds))
        .order_by(HistoryEntry.recorded_at, HistoryEntry.id)
    ).all()
    return told[-1] if told and told[-1].kind == "extension_announced" else None


def extension_told(session: Session, request: ServiceRequest, event_id: UUID, at: datetime, evidence: str) -> None:
    """The mail that announces an extension arrived: it holds if the law admits it at that instant, and has failed otherwise."""
    announced = _extension_of(session, request, event_id)
    if announced is None:
        return
    at = min(max(at, announced.at), now())
    details = {name: announced.details[name] for name in ("added", "notice_id")}
    try:
        counted = service.judge(session, request, "extended", at, details)
    except Refused as refused:
        _extension_failed(session, request, announced, at, refused.code)
        return
    details |= {"from": service.iso(request.due_date), "to": service.iso(counted.due_date)}
    _hold(session, request, counted, at, None, details, announced.reason, evidence)


def _hold(
    session: Session,
    request: ServiceRequest,
    counted: Deadline,
    at: datetime,
    author: str | None,
    details: dict[str, Any],
    reasons: str,
    evidence: str,
) -> None:
    """The extension holds. Those whose requests were merged into this one are told now, for they wait for its answer."""
    service.enter(session, request, counted, "extended", at, author, details, reason=reasons, evidence=evidence)
    for each in service.merged_into(session, request):
        _send(session, each, new_id(), at, reasons, details)


def _send(
    session: Session, request: ServiceRequest, notice_id: UUID, at: datetime, reasons: str, details: dict[str, Any]
) -> UUID:
    event = contracts.RequestExtensionAnnounced(
        **service.told(request),
        notice_id=notice_id,
        announced_at=at,
        reasons=contracts.Sealed(seal(reasons)),
        due_date=details["from"],
        new_due_date=details["to"],
    )
    return service.send(session, request, event)


def extension_not_told(session: Session, request: ServiceRequest, event_id: UUID, at: datetime) -> None:
    """The mail that announces an extension could not be delivered: the due date stays, and the office is told."""
    announced = _extension_of(session, request, event_id)
    if announced is not None:
        _extension_failed(session, request, announced, at, "not_delivered")
        service.tell_office(session, request, contracts.RequestExtensionAnnounced.type, at)


def _extension_of(session: Session, request: ServiceRequest, event_id: UUID) -> sa.Row[Any] | None:
    if request.status not in clocks.OPEN:
        return None
    announced = pending(session, request)
    return announced if announced is not None and announced.details["event_id"] == str(event_id) else None


def _extension_failed(
    session: Session, request: ServiceRequest, announced: sa.Row[Any], at: datetime, why: str
) -> None:
    details = {"notice_id": announced.details["notice_id"], "why": why}
    audit.record(session, request, "extension_failed", at, None, details)
