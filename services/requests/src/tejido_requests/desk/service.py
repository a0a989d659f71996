"""The legal acts in the life of a request. Each takes a session and never commits.

An act that moves a clock is judged before it is recorded: the history with it in goes through the pure core (`judge`), and what the law
does not admit is `Refused` with the core's own reason. Then it is recorded and the clocks are worked out anew (`enter`).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_requests.audit import confidentiality
from tejido_requests.audit import service as audit
from tejido_requests.calendars.service import in_force
from tejido_requests.clocks import service as clocks
from tejido_requests.intake.service import checked_answers, next_number, sealed, term_in_words, tokens_of_request
from tejido_requests.models import Draft, HistoryEntry, ServiceRequest
from tejido_requests.settings import PACKAGE, jurisdiction
from tejido_shared import contracts, i18n
from tejido_shared.clock import now
from tejido_shared.deadlines import Deadline, OutOfCalendar
from tejido_shared.ids import new_id
from tejido_shared.jurisdiction import AskedField
from tejido_shared.outbox import emit
from tejido_shared.personal import seal
from tejido_shared.refusals import Refused

CLOSING = ("withdrawn", "transferred", "split", "merged")
"""Acts that end a request without an answer; its status is then called the same."""
_IN_ORDER = (*("asked_to_complete", "completed", "completion_withdrawn", "completion_extended"), "extended", "retyped")
"""Acts that none is recorded before, or what was decided on them would no longer hold."""


def settle(session: Session, request: ServiceRequest) -> list[clocks.Clock]:
    """Works the clocks out anew from the history as it now is."""
    session.flush()
    found = clocks.settle(session, request, history_of(session, request), now())
    session.flush()
    return found


def calendar_now(session: Session, request: ServiceRequest) -> int:
    """The calendar version an act recorded now is counted with; the request's own from here on."""
    request.calendar_version = in_force(session)
    return request.calendar_version


def history_of(session: Session, request: ServiceRequest) -> list[clocks.History]:
    return clocks.histories(session, [request.id])[request.id]


def judge(session: Session, request: ServiceRequest, kind: str, at: datetime, details: dict[str, Any]) -> Deadline:
    """The answer's clock as it would be after this act. Raises `Refused` where the law does not admit it; nothing is written."""
    counted = _counted_with(session, request, kind, at, details)
    if counted.rejected:
        raise Refused(counted.rejected[max(counted.rejected)])
    return counted


def _counted_with(
    session: Session, request: ServiceRequest, kind: str, at: datetime, details: dict[str, Any]
) -> Deadline:
    act = clocks.History(at, kind, details, in_force(session))
    history = sorted([*history_of(session, request), act], key=lambda entry: entry.at)
    try:
        return clocks.answer_deadline(session, request, history)
    except OutOfCalendar:
        raise Refused("out_of_calendar", "at") from None


def enter(
    session: Session,
    request: ServiceRequest,
    counted: Deadline,
    kind: str,
    at: datetime,
    author: str | None,
    details: dict[str, Any],
    *,
    reason: str | None = None,
    evidence: str | None = None,
) -> None:
    """Records an act that `judge` admitted, and what follows for the request."""
    version = calendar_now(session, request)
    audit.record(
        session, request, kind, at, author, details, calendar_version=version, reason=reason, evidence=evidence
    )
    if kind in CLOSING:
        request.status, request.closed_at = kind, at
    elif request.status in ("received", "paused"):
        request.status = "paused" if counted.paused else "received"
    if kind == "asked_to_complete":
        request.paused_at = at
    elif request.status != "paused":
        request.paused_at = None
    settle(session, request)


def unanswered(request: ServiceRequest) -> None:
    """Raises `Refused` if the request has its answer or has ended."""
    if request.status in ("answered", "notified"):
        raise Refused("already_answered")
    if request.status not in ("received", "paused"):
        raise Refused("request_ended")


def overdue_now(request: ServiceRequest) -> bool:
    return request.overdue_at is not None and now() >= request.overdue_at


def dated(session: Session, request: ServiceRequest, at: datetime | None, field: str = "at") -> datetime:
    """When an act took effect: now, or what was said if that is after the receipt and the acts before, and not in the future."""
    acts = [act.at for act in history_of(session, request) if act.kind in _IN_ORDER]
    if at is None:
        return max(now(), *acts, request.received_at)  # whatever the clock of the machine says that recorded them
    _since_receipt(request, at, field)
    if any(act > at for act in acts):
        raise Refused("act_before_last", field)
    return at


def _since_receipt(request: ServiceRequest, at: datetime, field: str) -> None:
    if at > now():
        raise Refused("act_in_future", field)
    if at < request.received_at:
        raise Refused("act_before_receipt", field)


def told(request: ServiceRequest) -> dict[str, Any]:
    """What every event has that a citizen is told of."""
    return {
        **{name: getattr(request, name) for name in ("number", "type_name", "office", "language")},
        "request_id": request.id,
        "recipient_name": sealed(request.petitioner_name),
        "recipient_email": sealed(request.petitioner_email),
        "recipient_phone": sealed(request.petitioner_phone),
    }


def send(session: Session, request: ServiceRequest, event: contracts.Event) -> UUID:
    """Publishes what happened to a request. Returns the event's id."""
    return emit(session, event, version=request.version)


def iso(day: date | None) -> str | None:
    """A date as history keeps it."""
    return day.isoformat() if day else None


# Type and competence


def retype(
    session: Session,
    request: ServiceRequest,
    type_code: str,
    reasons: str,
    at: datetime | None,
    author: str,
    *,
    by_supervisor: bool,
    answers: dict[str, Any] | None = None,
) -> None:
    """The request is of another type, whose term runs from the same receipt; after the due date to a longer one only by a supervisor
    or head. What the new type asks too is kept, and `answers` added to it."""
    unanswered(request)
    at = dated(session, request, at)
    pack = jurisdiction()
    try:
        kind = pack.request_type(type_code)
    except LookupError:
        raise Refused("unknown_request_type", "request_type") from None
    if type_code == request.request_type:
        raise Refused("same_type", "request_type")
    if request.term_unit is None or kind.due_date == "typed":
        raise Refused("date_set")
    try:
        term = pack.term(type_code, request.received_at.astimezone(pack.zone).date())
    except LookupError:
        raise Refused("no_term", "request_type") from None
    details: dict[str, Any] = {
        "from": request.request_type,
        "to": type_code,
        "term_before": asdict(clocks.term_of(request)),  # type: ignore[arg-type]
        "term": asdict(clocks.core_term(term)),
        "by_supervisor": by_supervisor,
    }
    counted = judge(session, request, "retyped", at, details)
    before = request.due_date
    longer = before is not None and counted.due_date is not None and counted.due_date > before
    if longer and not by_supervisor and overdue_now(request):
        raise Refused("retype_overdue")  # whatever earlier date it is given
    kept = _answers_kept(request, kind.fields, answers or {})
    details |= {"due_date_before": iso(before), "due_date": iso(counted.due_date)}
    request.request_type, request.type_name, request.answers_given = type_code, kind.name, kept
    request.term_unit, request.term_n, request.term_extension_max = term.unit, term.n, term.extension_max_added
    request.term_article, request.term_kind = term.article, term.kind
    request.term_copies_within = clocks.core_term(term).copies_within
    request.terms_version = pack.terms_version
    hidden = kind.confidential and not request.confidential
    if hidden:
        request.confidential = True
        request.search_tokens = tokens_of_request(request)
    enter(session, request, counted, "retyped", at, author, details, reason=reasons)
    if hidden:
        confidentiality.tell(session, request)
    if longer:
        moved = {"old_due_date": before, "new_due_date": counted.due_date, "act": term.article}
        for each in (request, *merged_into(session, request)):
            # Of the type that now counts, also to those who had asked under another.
            whom = told(each) | {"type_name": kind.name}
            send(session, each, contracts.RequestDueDateMoved(**whom, moved_at=at, cause="retype", **moved))


def _answers_kept(request: ServiceRequest, fields: Sequence[AskedField], answers: dict[str, Any]) -> str | None:
    checked_answers(fields, answers)
    known = {asked.code for asked in fields}
    before = json.loads(request.answers_given) if request.answers_given else {}
    kept = {code: value for code, value in before.items() if code in known} | answers
    return json.dumps(kept, ensure_ascii=False) if kept else None


def transfer(
    session: Session,
    request: ServiceRequest,
    authority: str,
    reasons: str,
    evidence: str,
    at: datetime | None,
    author: str,
    receiver_received_at: datetime | None = None,
) -> None:
    """Hands the request on to the authority that must answer, with proof, and tells the citizen (art. 21).

    The act has a clock of its own. Who asks by word of mouth is to be told at once: `told_at_once` in the history says whether it
    was on the day of receipt.
    """
    unanswered(request)
    at = dated(session, request, at)
    if receiver_received_at is not None and not request.received_at <= receiver_received_at <= now():
        raise Refused("receiver_out_of_time", "receiver_received_at")
    details: dict[str, Any] = {"authority": authority}
    if receiver_received_at is not None:
        details["receiver_received_at"] = receiver_received_at.isoformat()
    counted = judge(session, request, "transferred", at, details)
    if counted.transferred is not None:
        details["on_time"] = counted.transferred.on_time
    if request.verbal:
        zone = jurisdiction().zone
        details["told_at_once"] = at.astimezone(zone).date() == request.received_at.astimezone(zone).date()
    enter(session, request, counted, "transferred", at, author, details, reason=reasons, evidence=evidence)
    said = {"reasons": contracts.Sealed(seal(reasons)), "evidence": contracts.Sealed(seal(evidence))}
    for each in (request, *merged_into(session, request)):
        event = contracts.RequestTransferred(**told(each), transferred_at=at, authority=authority, **said)
        send(session, each, event)


def move_to_office(session: Session, request: ServiceRequest, office: str, author: str) -> None:
    """Hands the request to another office of the same municipality; its clock goes on unchanged."""
    try:
        jurisdiction().office(office)
    except LookupError:
        raise Refused("unknown_office", "office") from None
    if office == request.office:
        return
    if request.status not in clocks.OPEN:
        raise Refused("request_ended")
    audit.record(session, request, "moved", now(), author, {"from": request.office, "to": office})
    request.office, request.assignee, request.assigned_at = office, None, None
    session.flush()
    confidentiality.tell(session, request)


# Answering


def answer(session: Session, request: ServiceRequest, text: str, author: str, *, kind: str = "answer") -> None:
    """Issues the answer, or the refusal, with a number of its own. The clock goes on until it is notified.

    Who answers without what was asked for does without it: the clock no longer rests. Those whose requests were merged into this one
    are sent the answer too, under their own numbers.
    """
    unanswered(request)
    if request.status == "paused":
        instant = now()
        counted = judge(session, request, "completion_withdrawn", instant, {})
        enter(session, request, counted, "completion_withdrawn", instant, author, {})
    instant = now()
    request.answer, request.answer_id, request.answered_at, request.answered_by = text, new_id(), instant, author
    request.answer_kind = kind
    request.first_answer_at = request.first_answer_at or instant
    request.status = "answered"
    request.answer_number = next_number(session, "answered", instant).text
    session.flush()
    for each in (request, *merged_into(session, request)):
        event_id = _issue(session, each, request.answer_id, request.answer_number, instant, text, kind)
        if each is request:
            details = {"number": request.answer_number, "kind": kind, "event_id": str(event_id)}
            audit.record(session, request, "answered", instant, author, details)
    settle(session, request)


def worded(kind: str, text: str, reasons: str | None, language: str) -> str:
    """The text that is issued: a refusal holds its reasons (CPACA art. 42). Raises `Refused` if it has none."""
    if kind != "refusal":
        return text
    if not reasons:
        raise Refused("reasons_needed", "reasons")
    return i18n.text(PACKAGE, "desk.refusal", language, text=text, reasons=reasons)


def answer_in_part(
    session: Session, request: ServiceRequest, text: str, author: str, draft: Draft | None = None
) -> None:
    """Tells the citizen a part of the answer, with a number of its own. It stops no clock, and there may be several."""
    unanswered(request)
    instant = now()
    if draft is None:
        draft = Draft(id=new_id(), request_id=request.id, kind="partial", text=text, author=author, written_at=instant)
        session.add(draft)
    draft.status = "issued"
    request.first_answer_at = request.first_answer_at or instant
    number = next_number(session, "answered", instant).text
    session.flush()
    event_id = _issue(session, request, draft.id, number, instant, text, "partial")
    details = {"number": number, "draft_id": str(draft.id), "event_id": str(event_id)}
    audit.record(session, request, "partial_answer", instant, author, details)


def _issue(
    session: Session, request: ServiceRequest, answer_id: UUID, number: str, at: datetime, text: str, kind: str
) -> UUID:
    event = contracts.RequestAnswered(
        **told(request),
        answer_id=answer_id,
        answered_at=at,
        answer=contracts.Sealed(seal(text)),
        answer_number=number,
        kind=kind,
        appeal_until="" if kind == "partial" else appeal_in_words(request.language),
    )
    return send(session, request, event)


def appeal_in_words(language: str) -> str:
    """How long and to whom an answer may be appealed; nothing where the place has no such rule."""
    pack = jurisdiction()
    term = pack.procedure.appeal
    if term is None:
        return ""
    length = term_in_words(term.unit, term.n, language)
    return i18n.text(PACKAGE, "desk.appeal", language, term=length, entity=pack.entity.name, article=term.article)


def merged_into(session: Session, request: ServiceRequest) -> list[ServiceRequest]:
    """The requests that this one answers, directly or through another; by number."""
    found: list[ServiceRequest] = []
    ids = [request.id]
    while ids:
        more = session.scalars(
            sa.select(ServiceRequest).where(ServiceRequest.merged_into_id.in_(ids)).order_by(ServiceRequest.number)
        ).all()
        found += more
        ids = [each.id for each in more]
    return found


def survivor_of(session: Session, request: ServiceRequest) -> ServiceRequest:
    """The request that answers this one: itself, if it was not merged."""
    while request.merged_into_id is not None:
        request = session.get_one(ServiceRequest, request.merged_into_id)
    return request


# Notifying


def record_notification(
    session: Session, request: ServiceRequest, at: datetime, evidence: str, author: str | None
) -> None:
    """The answer reached the citizen, with proof: the clock stops (T-149/2013). Raises `Refused` out of place or time.

    For a request that was merged into another it is proof that its petitioner, too, has that one's answer; its clocks have ended. Where
    the mail that had stopped the clock came back, it is kept how the answer arrived all the same: the outcome stays.
    """
    if told_the_answer_at(session, request) is not None and _came_back(session, request):
        _check_told_at(survivor_of(session, request), at)
        audit.record(session, request, "notified_again", at, author, evidence=evidence)
        return
    if request.status == "merged":
        _record_merged_notification(session, request, at, evidence, author)
        return
    if request.status == "notified":
        raise Refused("already_notified")
    if request.status != "answered":
        raise Refused("not_answered" if request.status in clocks.OPEN else "request_ended")
    _check_told_at(request, at)
    request.status, request.notified_at, request.notification_evidence = "notified", at, evidence
    request.closed_at = at
    # By the calendar in force now, whatever the proof's date and however far a re-dating has come: the citizen was told by that one.
    # Not `judge`: a proof is never refused because of what came after it.
    details = {"on_time": _counted_with(session, request, "notified", at, {}).on_time}
    version = calendar_now(session, request)
    audit.record(session, request, "notified", at, author, details, calendar_version=version, evidence=evidence)
    settle(session, request)


def told_the_answer_at(session: Session, request: ServiceRequest) -> datetime | None:
    """When the answer reached the petitioner, with proof: the own one, or that of the request this one was merged into."""
    if request.status != "merged":
        return request.notified_at
    told = sa.select(HistoryEntry.at).where(HistoryEntry.request_id == request.id)
    return session.scalar(told.where(HistoryEntry.kind == "merged_notified"))


_TOLD = ("notified", "merged_notified", "notified_again")


def _came_back(session: Session, request: ServiceRequest) -> bool:
    """Whether the mail with the answer failed after it had been taken for delivered, and nothing else is known to have arrived."""
    mine = sa.select(HistoryEntry.kind).where(
        HistoryEntry.request_id == request.id,
        HistoryEntry.kind.in_((*_TOLD, "answer_delivered", "notification_failed")),
    )
    last = session.scalar(mine.order_by(HistoryEntry.recorded_at.desc(), HistoryEntry.id.desc()).limit(1))
    return last == "notification_failed"


def _told_by_hand(session: Session, request: ServiceRequest) -> bool:
    """Whether somebody vouched that the answer reached the petitioner, and not only a mail server."""
    mine = sa.select(HistoryEntry.id).where(HistoryEntry.request_id == request.id, HistoryEntry.kind.in_(_TOLD))
    return session.scalar(mine.where(HistoryEntry.author.is_not(None)).limit(1)) is not None


def _check_told_at(answered: ServiceRequest, at: datetime) -> None:
    if answered.answered_at is None or not answered.answered_at <= at <= now():
        raise Refused("notified_out_of_time", "notified_at")


def _record_merged_notification(
    session: Session, request: ServiceRequest, at: datetime, evidence: str, author: str | None
) -> None:
    survivor = survivor_of(session, request)
    if survivor.answered_at is None:
        raise Refused("not_answered")
    if told_the_answer_at(session, request) is not None:
        raise Refused("already_notified")
    _check_told_at(survivor, at)
    audit.record(session, request, "merged_notified", at, author, {"number": survivor.number}, evidence=evidence)


def has_happened(session: Session, request: ServiceRequest, kind: str, **details: str) -> bool:
    """Whether the history holds such an entry."""
    entry = sa.select(HistoryEntry.id).where(HistoryEntry.request_id == request.id, HistoryEntry.kind == kind)
    return session.scalar(entry.where(HistoryEntry.details.contains(details)).limit(1)) is not None


def answer_delivered(session: Session, request: ServiceRequest, event_id: UUID, at: datetime, evidence: str) -> None:
    """The mail with an answer arrived. A partial one stops no clock, whatever was issued since."""
    if has_happened(session, request, "partial_answer", event_id=str(event_id)):
        audit.record(session, request, "partial_answer_delivered", at, None, {}, evidence=evidence)
    elif request.status in ("answered", "merged", "notified"):
        issued_at = survivor_of(session, request).answered_at
        # Between the answer and now, whatever the other machine's clock says: a proof must not be lost over seconds.
        at = min(max(at, issued_at or at), now())
        if told_the_answer_at(session, request) is None:
            record_notification(session, request, at, evidence, None)
        elif not has_happened(session, request, "answer_delivered", event_id=str(event_id)):
            # Somebody recorded another proof first, which stands.
            audit.record(session, request, "answer_delivered", at, None, {"event_id": str(event_id)}, evidence=evidence)


def record_failed_message(session: Session, request: ServiceRequest, cause: str, at: datetime, reason: str) -> None:
    """A mail to the citizen could not be delivered. The clock goes on, and the office is told that it must find another way.

    `cause`: the type of the event it told of.
    """
    answer = cause == contracts.RequestAnswered.type
    audit.record(session, request, "notification_failed" if answer else "message_failed", at, None, reason=reason)
    if not (answer and _told_by_hand(session, request)):
        tell_office(session, request, cause, at)


def tell_office(session: Session, request: ServiceRequest, cause: str, at: datetime) -> None:
    """Tells who works on a request, when the offices are open, that a mail to the citizen did not arrive."""
    assignee = request.assignee
    known = clocks.addresses(session, [assignee]) if assignee is not None else {}
    event = contracts.RequestMessageUndelivered(
        **{name: getattr(request, name) for name in ("number", "type_name", "office", "assignee")},
        request_id=request.id,
        cause=cause.partition(".")[2],
        failed_at=at,
        due_date=request.due_date if request.status in clocks.OPEN else None,
        send_from=clocks.in_office_hours(clocks.office_days(session, request.calendar_version), now()),
        assignee_email=known.get(assignee or ""),
    )
    send(session, request, event)


def acknowledge(
    session: Session, request: ServiceRequest, at: datetime, author: str | None = None, evidence: str | None = None
) -> None:
    """The petitioner has the receipt: by mail with proof, or handed over. Again changes nothing."""
    if request.acknowledged_at is not None:
        return
    if request.closed_at is not None:
        # The clock ended with the request, and its outcome is kept: what is learnt now stops nothing any more.
        at = max(at, now())
    request.acknowledged_at = at
    audit.record(session, request, "acknowledged", at, author, evidence=evidence)
    settle(session, request)


def acknowledge_by_hand(
    session: Session, request: ServiceRequest, at: datetime | None, evidence: str, author: str
) -> None:
    """An officer says when the petitioner got the receipt, with proof: nothing else does where there is no e-mail address."""
    if request.status not in clocks.OPEN:
        raise Refused("request_ended")
    if at is not None:
        _since_receipt(request, at, "at")
    acknowledge(session, request, at or max(now(), request.received_at), author, evidence)
