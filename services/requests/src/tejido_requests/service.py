"""The use cases. Each takes a session and never commits; none knows of HTTP or Celery."""

import secrets
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_requests import deadlines
from tejido_requests.deadlines import Calendar, Closed, Deadline, Policy
from tejido_requests.models import HistoryEntry, ReceiptCounter, ServiceRequest
from tejido_requests.schemas import Petitioner
from tejido_requests.settings import jurisdiction
from tejido_shared import contracts, i18n
from tejido_shared.clock import now
from tejido_shared.ids import new_id
from tejido_shared.jurisdiction import Term, receipt_number
from tejido_shared.outbox import emit, emit_all
from tejido_shared.personal import seal
from tejido_shared.refusals import Refused

PACKAGE = "tejido_requests"
_CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
SWEEP_BATCH = 500


@dataclass(frozen=True)
class Filing:
    """What a person files, written or verbal."""

    subject: str
    reasons: str | None
    petitioner: Petitioner | None
    attachments: list[str]
    request_type: str | None
    organization_id: UUID | None
    project_id: UUID | None
    language: str
    channel: str
    verbal: bool
    received_at: datetime | None
    due_date: date | None
    filed_by: str | None
    received_by: str | None


@cache
def calendar_for(type_code: str) -> Calendar:
    """The municipality's calendar as it applies to one type of request."""
    pack = jurisdiction()
    closures = {day: Closed(c.name, c.act) for c in pack.suspending_closures(type_code) for day in c.days()}
    return Calendar(pack.counting.weekdays, closures)


def deadline_of(type_code: str, received_at: datetime, typed: date | None = None) -> tuple[Deadline, Term | None]:
    """The deadline of a request of this type received at this instant, and the term that gives it.

    For a type whose due date the asking authority sets, that date is `typed` and there is no term.

    The term is the one in force on the local day of receipt: a later change of the law does not reach back.
    """
    pack = jurisdiction()
    policy = Policy(pack.counting.receipt_rule, pack.counting.cutoff, pack.counting.overdue, pack.counting.office_close)
    if typed is not None:
        return deadlines.set_deadline(received_at, typed, calendar_for(type_code), pack.zone, policy), None
    term = pack.term(type_code, received_at.astimezone(pack.zone).date())
    copies = term.after_due.n if term.after_due and term.after_due.unit == "business_days" else None
    counted = deadlines.deadline(
        received_at, deadlines.Term(term.unit, term.n, copies), calendar_for(type_code), pack.zone, policy
    )
    return counted, term


def clock_of(request: ServiceRequest | sa.Row[Any]) -> Deadline:
    """The stored request's deadline with its derivation."""
    typed = request.due_date if request.term_unit is None else None
    return deadline_of(request.request_type, request.received_at, typed)[0]


def explained(type_code: str, counted: Deadline, language: str) -> list[contracts.CountedDay]:
    """Each day of the count with its ordinal, or the reason why it does not count in words."""
    if counted.term is None:
        return []
    return _explained(type_code, counted.effective_receipt_date, counted.term, counted.due_date, language)


@lru_cache(maxsize=2000)
def _explained(
    type_code: str, received: date, term: deadlines.Term, due: date, language: str
) -> list[contracts.CountedDay]:
    """The petitions of one day share their count, and most of those asked for are of one of the last days."""
    days = []
    for day in deadlines.counted_days(received, due, term, calendar_for(type_code)):
        why = None
        if day.ordinal is None:
            why = f"{day.closed.name} ({day.closed.act})" if day.closed else i18n.text(PACKAGE, "day.weekend", language)
        days.append(contracts.CountedDay(day=day.day, ordinal=day.ordinal, why_not=why))
    return days


def term_in_words(unit: str | None, n: int | None, language: str | None = None) -> str:
    if unit is None:
        return i18n.text(PACKAGE, "term.typed", language)
    return i18n.text(PACKAGE, f"term.{unit}.{'one' if n == 1 else 'many'}", language, n=n)


# Plain INSERTs, built once, and the request with its first entry in one statement: taking a petition in is what must stay quick on a
# modest server.
_REQUEST_TABLE: Any = sa.inspect(ServiceRequest).local_table
_HISTORY_TABLE: Any = sa.inspect(HistoryEntry).local_table
_REQUEST_COLUMNS = [column.key for column in _REQUEST_TABLE.columns]
_WRITE_HISTORY = sa.insert(_HISTORY_TABLE)
_FILE = _WRITE_HISTORY.values(
    {"request_id": sa.bindparam("request_id")}
    | {name: sa.bindparam(f"history_{name}") for name in ("id", "at", "kind", "author", "details")}
).add_cte(
    sa.insert(_REQUEST_TABLE).values({name: sa.bindparam(f"request_{name}") for name in _REQUEST_COLUMNS}).cte("filed")
)


def file(session: Session, filing: Filing) -> ServiceRequest:
    """Receives a request: computes its deadline, numbers it, records it and announces it.

    Raises `Refused` for an unknown type, a type whose date is set case by case, or a receipt in the future.
    """
    pack = jurisdiction()
    recorded_at = now()
    received_at = filing.received_at or recorded_at
    if received_at.year <= deadlines.FIRST.year:
        raise Refused("received_too_long_ago", "received_at")
    if received_at > recorded_at:
        raise Refused("received_in_future", "received_at")
    try:
        kind = pack.request_type(filing.request_type) if filing.request_type else pack.default_request_type
    except LookupError:
        raise Refused("unknown_request_type", "request_type") from None
    if kind.due_date == "typed" and filing.due_date is None:
        raise Refused("due_date_needed", "due_date")
    if kind.due_date == "computed" and filing.due_date is not None:
        raise Refused("due_date_computed", "due_date")
    try:
        counted, term = deadline_of(kind.code, received_at, filing.due_date)
    except LookupError:
        raise Refused("no_term", "request_type") from None
    except deadlines.OutOfCalendar:
        raise Refused("out_of_calendar", "due_date" if filing.due_date else "received_at") from None
    if counted.due_date < counted.effective_receipt_date:
        raise Refused("due_before_receipt", "due_date")
    person = filing.petitioner
    request = ServiceRequest(
        id=new_id(),
        version=1,
        request_type=kind.code,
        type_name=kind.name,
        office=pack.office_for(kind.code).code,
        channel=filing.channel,
        verbal=filing.verbal,
        language=filing.language,
        subject=filing.subject,
        reasons=filing.reasons,
        attachments=filing.attachments,
        petitioner_name=person.name if person else None,
        petitioner_identification=person.identification if person else None,
        petitioner_email=person.email if person else None,
        petitioner_phone=person.phone if person else None,
        petitioner_address=person.address if person else None,
        representative_name=person.representative_name if person else None,
        filed_by=filing.filed_by,
        received_by=filing.received_by,
        tracking_code="".join(secrets.choice(_CODE_ALPHABET) for _ in range(10)),
        organization_id=filing.organization_id,
        project_id=filing.project_id,
        status="received",
        received_at=received_at,
        term_unit=term.unit if term else None,
        term_n=term.n if term else None,
        term_article=term.article if term else None,
        terms_version=pack.terms_version,
        calendar_version=pack.calendar_version,
        policy=pack.counting.model_dump(mode="json"),
        effective_receipt_date=counted.effective_receipt_date,
        due_date=counted.due_date,
        due_soon_from=counted.due_soon_from,
        overdue_at=counted.overdue_at,
        alarm_at=counted.overdue_at,
    )
    submitted = contracts.RequestSubmitted(
        request_id=request.id,
        number="",
        request_type=kind.code,
        type_name=kind.name,
        office=request.office,
        received_at=received_at,
        due_date=counted.due_date,
        term=term_in_words(request.term_unit, request.term_n, filing.language),
        article=request.term_article or "",
        days=explained(kind.code, counted, filing.language),
        verbal=filing.verbal,
        language=filing.language,
        recipient_name=_sealed(request.petitioner_name),
        recipient_email=_sealed(request.petitioner_email),
        tracking_code=contracts.Sealed(seal(request.tracking_code)),
    )
    # The number comes last: whoever holds the counter makes every other filing wait until the commit.
    request.number = _next_number(session, recorded_at)
    told: dict[str, Any] = {
        "at": received_at,
        "author": filing.received_by or filing.filed_by,
        "kind": "received",
        "details": {"channel": filing.channel, "verbal": filing.verbal},
    }
    row = {f"request_{name}": getattr(request, name) for name in _REQUEST_COLUMNS}
    session.execute(_FILE, row | {f"history_{name}": value for name, value in told.items()} | {"history_id": new_id()})
    emit(session, submitted.model_copy(update={"number": request.number}), version=1)
    return request


def answer(session: Session, request: ServiceRequest, text: str, author: str) -> None:
    """Issues the answer. The clock goes on until it is notified. Raises `Refused` if there is one already."""
    if request.status != "received":
        raise Refused("already_answered")
    instant = now()
    request.answer, request.answer_id, request.answered_at, request.answered_by = text, new_id(), instant, author
    request.status = "answered"
    _record(session, request, instant, "answered", author, {})
    session.flush()
    answered = contracts.RequestAnswered(
        request_id=request.id,
        number=request.number,
        type_name=request.type_name,
        answer_id=request.answer_id,
        answered_at=instant,
        language=request.language,
        recipient_name=_sealed(request.petitioner_name),
        recipient_email=_sealed(request.petitioner_email),
        answer=contracts.Sealed(seal(text)),
    )
    emit(session, answered, version=request.version)


def record_notification(
    session: Session, request: ServiceRequest, at: datetime, evidence: str, author: str | None
) -> None:
    """The answer reached the citizen, with proof: the clock stops (T-149/2013). Raises `Refused` out of place or time."""
    if request.status == "received":
        raise Refused("not_answered")
    if request.status == "notified":
        raise Refused("already_notified")
    if request.answered_at is None or not request.answered_at <= at <= now():
        raise Refused("notified_out_of_time", "notified_at")
    request.status, request.notified_at, request.notification_evidence = "notified", at, evidence
    if at < request.overdue_at:
        request.alarm_at = None
    _record(session, request, at, "notified", author, {"on_time": at < request.overdue_at})
    session.flush()


def record_failed_notification(session: Session, request: ServiceRequest, at: datetime, reason: str) -> None:
    """A mail to the citizen could not be delivered: the office must find another way while the clock goes on."""
    _record(session, request, at, "notification_failed", None, {"reason": reason})
    session.flush()


def move_to_office(session: Session, request: ServiceRequest, office: str, author: str) -> None:
    """Hands the request to another office of the same municipality; its clock goes on unchanged."""
    try:
        jurisdiction().office(office)
    except LookupError:
        raise Refused("unknown_office", "office") from None
    if office == request.office:
        return
    _record(session, request, now(), "moved", author, {"from": request.office, "to": office})
    request.office = office
    session.flush()


def announce_overdue(session: Session, instant: datetime) -> int:
    """Announces up to `SWEEP_BATCH` requests whose due instant has passed, each once. Returns how many; call again until it is fewer.

    Its cost follows what is due, not what is open: a partial index holds the alarms. Several sweeps at once share the work.
    """
    due = (
        sa.select(ServiceRequest)
        .where(ServiceRequest.alarm_at <= instant)
        .order_by(ServiceRequest.alarm_at)
        .limit(SWEEP_BATCH)
        .with_for_update(skip_locked=True)
    )
    requests = session.scalars(due).all()
    for request in requests:
        request.alarm_at = None
        request.overdue_announced_at = instant
        _record(session, request, request.overdue_at, "overdue", None, {"due_date": request.due_date.isoformat()})
    session.flush()
    emit_all(
        session,
        [
            (
                contracts.RequestBecameOverdue(
                    request_id=request.id,
                    number=request.number,
                    type_name=request.type_name,
                    office=request.office,
                    received_at=request.received_at,
                    due_date=request.due_date,
                    overdue_at=request.overdue_at,
                ),
                request.version,
            )
            for request in requests
        ],
    )
    return len(requests)


_COUNTER: Any = sa.inspect(ReceiptCounter).local_table
_COUNT_ON = (
    insert(_COUNTER)
    .values(year=sa.bindparam("of"), last=1)
    .on_conflict_do_update(index_elements=["year"], set_={"last": _COUNTER.c.last + 1})
    .returning(_COUNTER.c.last)
)


def _next_number(session: Session, instant: datetime) -> str:
    pack = jurisdiction()
    year = instant.astimezone(pack.zone).year
    return receipt_number(pack.receipt_pattern, year, session.execute(_COUNT_ON, {"of": year}).scalar_one())


def _record(
    session: Session, request: ServiceRequest, at: datetime, kind: str, author: str | None, details: dict[str, Any]
) -> None:
    entry = {"request_id": request.id, "at": at, "kind": kind, "author": author, "details": details}
    session.execute(_WRITE_HISTORY, entry)


def _sealed(text: str | None) -> contracts.Sealed | None:
    return None if text is None else contracts.Sealed(seal(text))
