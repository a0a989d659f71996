"""Answers in the making: written by an officer, approved or returned by a head, issued."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from babel.dates import format_date
from sqlalchemy.orm import Session

from tejido_requests.audit import service as audit
from tejido_requests.desk import service
from tejido_requests.models import Draft, ServiceRequest
from tejido_requests.settings import jurisdiction
from tejido_shared.clock import now
from tejido_shared.ids import new_id
from tejido_shared.refusals import NotForThem, Refused


def template(request: ServiceRequest) -> str:
    """How an answer to this request begins, by the template of its type; nothing if that has none."""
    pack = jurisdiction()
    try:
        text = pack.request_type(request.request_type).response_template
    except LookupError:
        text = None
    if text is None:
        return ""
    try:
        office = pack.office(request.office).name
    except LookupError:
        office = request.office
    received = format_date(request.received_at.astimezone(pack.zone).date(), "long", request.language)
    return text.format(
        number=request.number,
        subject=request.subject,
        type=request.type_name,
        petitioner="" if request.confidential else request.petitioner_name or "",
        received_on=received,
        due_on=format_date(request.due_date, "long", request.language) if request.due_date else "",
        office=office,
        entity=pack.entity.name,
    )


def write(
    session: Session, request: ServiceRequest, kind: str, text: str | None, reasons: str | None, author: str
) -> Draft:
    """Begins a draft of an answer, a partial answer or a refusal; by the type's template if no text is given."""
    service.unanswered(request)
    text = service.worded(kind, text or template(request), reasons, request.language)
    if not text:
        raise Refused("text_needed", "text")
    draft = Draft(
        id=new_id(), request_id=request.id, kind=kind, text=text, status="written", author=author, written_at=now()
    )
    session.add(draft)
    _record(session, request, draft, "draft_written", author)
    return draft


def of(request: ServiceRequest) -> sa.Select[Draft]:
    """The drafts of a request, in no order."""
    return sa.select(Draft).where(Draft.request_id == request.id)


def one(session: Session, request: ServiceRequest, draft_id: UUID) -> Draft | None:
    return session.scalar(of(request).where(Draft.id == draft_id))


def rewrite(session: Session, request: ServiceRequest, draft: Draft, text: str, author: str) -> None:
    """Changes the text of a draft that nobody judges at the moment. Its author is now who changed it: nobody approves the own words."""
    service.unanswered(request)
    _must_be(draft, "written", "returned")
    draft.text, draft.author = text, author
    session.flush()


def submit(session: Session, request: ServiceRequest, draft: Draft, author: str) -> None:
    """Puts a draft before the head."""
    service.unanswered(request)
    _must_be(draft, "written", "returned")
    draft.status, draft.submitted_at, draft.decided_at, draft.decided_by = "submitted", now(), None, None
    _record(session, request, draft, "draft_submitted", author)


def approve(session: Session, request: ServiceRequest, draft: Draft, head: str) -> None:
    """A head, other than who wrote it, approves a draft."""
    service.unanswered(request)
    _must_be(draft, "submitted")
    if draft.author == head:
        raise NotForThem("own_draft")
    draft.status, draft.decided_at, draft.decided_by = "approved", now(), head
    _record(session, request, draft, "draft_approved", head)


def send_back(session: Session, request: ServiceRequest, draft: Draft, remark: str, head: str) -> None:
    """A head sends a draft back with what is to be changed."""
    service.unanswered(request)
    _must_be(draft, "submitted")
    draft.status, draft.decided_at, draft.decided_by, draft.remark = "returned", now(), head, remark
    _record(session, request, draft, "draft_returned", head, reason=remark)


def issue(session: Session, request: ServiceRequest, draft: Draft, author: str) -> None:
    """Issues what was approved."""
    service.unanswered(request)
    _must_be(draft, "approved")
    if draft.kind == "partial":
        service.answer_in_part(session, request, draft.text, author, draft)
    else:
        draft.status = "issued"
        service.answer(session, request, draft.text, author, kind=draft.kind)


def answer_at_once(
    session: Session, request: ServiceRequest, kind: str, text: str, reasons: str | None, author: str, *, head: bool
) -> None:
    """Issues an answer nobody approved. An officer may not go past the head with one that lies before the head or came back."""
    alike = ("partial",) if kind == "partial" else ("answer", "refusal")  # or it would go out under the other name
    waiting = sa.select(Draft.id).where(
        Draft.request_id == request.id, Draft.status.in_(("submitted", "returned", "approved")), Draft.kind.in_(alike)
    )
    service.unanswered(request)
    if not head and session.scalar(waiting.limit(1)) is not None:
        raise NotForThem("draft_waits")
    if kind == "partial":
        service.answer_in_part(session, request, text, author)
    else:
        service.answer(session, request, service.worded(kind, text, reasons, request.language), author, kind=kind)


def _must_be(draft: Draft, *statuses: str) -> None:
    if draft.status not in statuses:
        raise Refused(f"draft_{draft.status}")


def _record(session: Session, request: ServiceRequest, draft: Draft, kind: str, author: str, **more: Any) -> None:
    details = {"draft_id": str(draft.id), "kind": draft.kind}
    audit.record(session, request, kind, now(), author, details, **more)
    service.settle(session, request)
