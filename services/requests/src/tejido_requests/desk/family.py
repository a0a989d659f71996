"""Requests that come of one another: split, merged, reopened; and what they are linked to."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_requests.audit import service as audit
from tejido_requests.clocks import service as clocks
from tejido_requests.desk import service
from tejido_requests.desk.views import petitioner_of
from tejido_requests.intake.service import Filing, Place, file
from tejido_requests.models import ServiceRequest
from tejido_requests.settings import jurisdiction
from tejido_shared import deadlines
from tejido_shared.clock import now
from tejido_shared.refusals import Refused

REOPEN_DAYS = 10
"""Open days to dispute an answer where the place has no term to appeal."""


@dataclass(frozen=True)
class Part:
    """What one child of a split request asks. What is left out is as in the parent; the office, as the type says."""

    subject: str
    reasons: str | None = None
    request_type: str | None = None
    office: str | None = None
    due_date: date | None = None


def _again(request: ServiceRequest, type_code: str, **changes: Any) -> Filing:
    """The filing of a request that comes of this one: of the same person, under the same tracking code."""
    pack = jurisdiction()
    try:
        known = {asked.code for asked in pack.request_type(type_code).fields}
    except LookupError:
        known = set()
    answers = json.loads(request.answers_given) if request.answers_given else {}
    area = request.area if request.area in {area.code for area in pack.areas} else None
    same = {
        name: getattr(request, name)
        for name in (
            *("organization_id", "project_id", "language", "channel", "verbal", "filed_by", "received_by", "minor"),
            *("priority", "priority_reason", "addressees", "attachments", "tracking_code"),
        )
    }
    return Filing(
        **{
            **same,
            "request_type": type_code,
            "petitioner": petitioner_of(request),
            "place": Place(request.place_address, area, request.latitude, request.longitude),
            "answers": {code: value for code, value in answers.items() if code in known},
            # What was open may be of a type now whose petitioners are not named.
            "confidential": True if request.confidential else None,
            "received_at": None,
            "due_date": None,
            **changes,
        }
    )


def split(session: Session, request: ServiceRequest, parts: Sequence[Part], reasons: str, author: str) -> None:
    """Makes a request of each part, received when this one was; this one ends and they answer it.

    Pauses and an extension belong to what the citizen asked and was told, so they count for the parts too, as far as the law admits
    them for their types.
    """
    service.unanswered(request)
    if request.parent_id is not None:
        raise Refused("split_already")
    if request.status == "paused":
        raise Refused("request_paused")
    if service.merged_into(session, request):
        raise Refused("answers_others")
    instant = now()
    moved = service.history_of(session, request)
    numbers = []
    for place, part in enumerate(parts):
        office = part.office
        if office is not None and office not in {known.code for known in jurisdiction().offices}:
            raise Refused("unknown_office", f"children.{place}.office")
        filing = _again(
            request,
            part.request_type or request.request_type,
            subject=part.subject,
            reasons=part.reasons or request.reasons,
            office=office,
            due_date=part.due_date,
            received_at=request.received_at,
            parent_id=request.id,
        )
        try:
            filed = file(session, filing)
        except Refused as refused:
            fields = [(f"children.{place}.{field}", code) for field, code in refused.fields]
            raise Refused(refused.code, fields=fields, **refused.params) from None
        _carry_over(session, session.get_one(ServiceRequest, filed.id), moved, author)
        numbers.append(filed.number)
    counted = service.judge(session, request, "split", instant, {})
    service.enter(session, request, counted, "split", instant, author, {"children": numbers}, reason=reasons)


def _carry_over(session: Session, child: ServiceRequest, moved: Sequence[clocks.History], author: str) -> None:
    for told in moved:
        if told.kind in ("asked_to_complete", "completed", "completion_withdrawn", "extended"):
            try:
                counted = service.judge(session, child, told.kind, told.at, told.details)
            except Refused:
                continue
            details = dict(told.details)
            if told.kind == "extended":
                details |= {"from": service.iso(child.due_date), "to": service.iso(counted.due_date)}
            service.enter(session, child, counted, told.kind, told.at, author, details)


def merge(
    session: Session, requests: Sequence[ServiceRequest], reasons: str, author: str, *, different_types: bool
) -> ServiceRequest:
    """Keeps the earliest received of duplicates, which answers all; the others end. Returns the one that is kept."""
    for request in requests:
        service.unanswered(request)
    if len({request.request_type for request in requests}) > 1 and not different_types:
        raise Refused("types_differ")
    survivor, *others = sorted(requests, key=lambda request: (request.received_at, request.number))
    instant = now()
    for other in others:
        counted = service.judge(session, other, "merged", instant, {})
        other.merged_into_id = survivor.id
        service.enter(session, other, counted, "merged", instant, author, {"number": survivor.number}, reason=reasons)
        audit.record(session, survivor, "absorbed", instant, author, {"number": other.number})
    return survivor


def reopen(
    session: Session,
    request: ServiceRequest,
    reasons: str,
    author: str | None,
    *,
    channel: str | None = None,
    due_date: date | None = None,
) -> ServiceRequest:
    """The citizen disputes the answer: a new request with a clock of its own. The first one's outcome stays. Returns the new one."""
    told_at = service.told_the_answer_at(session, request)
    if told_at is None:
        raise Refused("not_notified" if request.status in (*clocks.OPEN, "merged") else "request_ended")
    if service.has_happened(session, request, "reopened"):
        raise Refused("reopened_already")
    instant = now()
    if instant >= disputable_until(session, request, told_at):
        raise Refused("dispute_too_late")
    changes = {"channel": channel or request.channel, "received_by": author, "verbal": request.verbal and bool(author)}
    filing = _again(
        request,
        request.request_type,
        **changes,
        subject=request.subject,
        reasons=reasons,
        office=service.survivor_of(session, request).office,
        due_date=due_date,
        reopens_id=request.id,
    )
    new = file(session, filing)
    audit.record(session, request, "reopened", instant, author, {"number": new.number}, reason=reasons)
    return session.get_one(ServiceRequest, new.id)


def disputable_until(session: Session, request: ServiceRequest, told_at: datetime) -> datetime:
    """The end, exclusive, of the time to dispute an answer that the petitioner had at `told_at`: that to appeal, or else
    `REOPEN_DAYS` open days."""
    found = clocks.clocks(session, request, service.history_of(session, request))
    counted = next((clock.deadline for clock in found if clock.kind == "appeal"), None)
    if counted is None:
        appeal = (
            jurisdiction().procedure.appeal
        )  # a request that was merged into another has no clock of its own for it
        unit, n = (appeal.unit, appeal.n) if appeal else ("business_days", REOPEN_DAYS)
        term, policy = deadlines.Term(unit, n), deadlines.Policy()
        counted = deadlines.deadline(told_at, term, found[0].deadline.calendar, jurisdiction().zone, policy)
    if counted.overdue_at is None:
        raise LookupError("a time to appeal without an end")
    return counted.overdue_at


def link(session: Session, request: ServiceRequest, links: dict[str, UUID | None], author: str) -> None:
    """Says what project or organization the request is about; None takes a link away."""
    if request.status not in clocks.OPEN:
        raise Refused("request_ended")
    for name, value in links.items():
        setattr(request, name, value)
    details = {name: str(value) if value else None for name, value in links.items()}
    audit.record(session, request, "linked", now(), author, details)
    session.flush()


def locked(session: Session, visible: sa.Select[ServiceRequest], ids: Sequence[UUID]) -> list[ServiceRequest]:
    """Of these requests, those that may be seen, locked in one order whoever asks."""
    return list(
        session.scalars(visible.where(ServiceRequest.id.in_(ids)).order_by(ServiceRequest.id).with_for_update())
    )
