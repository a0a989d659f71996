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
        service.enter(session, request, counted, "extended", at, author, details, reason=reasons, evidence=evidence)
        return
    if told_at is not None or request.petitioner_email is None:
        raise Refused("extension_proof_needed")
    if _pending_extension(session, request) is not None:
        raise Refused("extension_pending")
    notice_id = new_id()
    event_id = service.send(
        session,
        request,
        contracts.RequestExtensionAnnounced(
            **service.told(request),
            notice_id=notice_id,
            announced_at=at,
            reasons=contracts.Sealed(seal(reasons)),
            due_date=request.due_date,
            new_due_date=date.fromisoformat(details["to"]),
        ),
    )
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


def _pending_extension(session: Session, request: ServiceRequest) -> sa.Row[Any] | None:
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
    pending = _extension_of(session, request, event_id)
    if pending is None:
        return
    at = min(max(at, pending.at), now())
    details = {name: pending.details[name] for name in ("added", "notice_id")}
    try:
        counted = service.judge(session, request, "extended", at, details)
    except Refused as refused:
        _extension_failed(session, request, pending, at, refused.code)
        return
    details |= {"from": service.iso(request.due_date), "to": service.iso(counted.due_date)}
    service.enter(session, request, counted, "extended", at, None, details, reason=pending.reason, evidence=evidence)


def extension_not_told(session: Session, request: ServiceRequest, event_id: UUID, at: datetime) -> None:
    """The mail that announces an extension could not be delivered: the due date stays."""
    pending = _extension_of(session, request, event_id)
    if pending is not None:
        _extension_failed(session, request, pending, at, "not_delivered")


def _extension_of(session: Session, request: ServiceRequest, event_id: UUID) -> sa.Row[Any] | None:
    if request.status not in clocks.OPEN:
        return None
    pending = _pending_extension(session, request)
    return pending if pending is not None and pending.details["event_id"] == str(event_id) else None


def _extension_failed(session: Session, request: ServiceRequest, pending: sa.Row[Any], at: datetime, why: str) -> None:
    details = {"notice_id": pending.details["notice_id"], "why": why}
    audit.record(session, request, "extension_failed", at, None, details)
