"""Receiving requests: each gets its number, its deadline and its first history, and is announced."""

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_requests.audit import service as audit
from tejido_requests.calendars import queries as calendars
from tejido_requests.calendars.service import in_force
from tejido_requests.clocks import service as clocks
from tejido_requests.clocks import words
from tejido_requests.intake.schemas import Petitioner
from tejido_requests.models import ReceiptCounter, ServiceRequest
from tejido_requests.search.tokens import tokens_of
from tejido_requests.settings import PACKAGE, jurisdiction
from tejido_shared import contracts, deadlines, i18n
from tejido_shared.clock import now
from tejido_shared.deadlines import Calendar, Deadline
from tejido_shared.ids import new_id
from tejido_shared.jurisdiction import AskedField, Term, receipt_number
from tejido_shared.outbox import emit
from tejido_shared.personal import seal
from tejido_shared.refusals import Refused

_CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
_HANDED_OVER = ("web", "counter", "open311")
"""Channels whose receipt is in the petitioner's hands at once: that acknowledges it."""


@dataclass(frozen=True)
class Place:
    """Where the matter lies: an address, an area of the jurisdiction, a point (WGS 84), or several of these."""

    address: str | None = None
    area: str | None = None
    latitude: float | None = None
    longitude: float | None = None


_NOWHERE = Place()


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
    confidential: bool | None = None
    minor: bool = False
    priority: bool = False
    priority_reason: str | None = None
    addressees: list[str] = field(default_factory=list)
    place: Place | None = None
    answers: dict[str, Any] = field(default_factory=dict)
    missing: str | None = None
    office: str | None = None
    parent_id: UUID | None = None
    reopens_id: UUID | None = None
    tracking_code: str | None = None
    received_by_name: str | None = None
    id: UUID | None = None


def deadline_of(
    calendar: Calendar, type_code: str, received_at: datetime, typed: date | None = None
) -> tuple[Deadline, Term | None]:
    """The deadline of a request of this type received at this instant, and the term that gives it.

    For a type whose due date the asking authority sets, that date is `typed` and there is no term.

    The term is the one in force on the local day of receipt: a later change of the law does not reach back.
    """
    pack = jurisdiction()
    if typed is not None:
        return deadlines.set_deadline(received_at, typed, calendar, pack.zone, clocks.policy()), None
    term = pack.term(type_code, received_at.astimezone(pack.zone).date())
    return deadlines.deadline(received_at, clocks.core_term(term), calendar, pack.zone, clocks.policy()), term


_counts: dict[tuple[Any, ...], list[contracts.CountedDay]] = calendars.memory()


def explained_at_receipt(version: int, type_code: str, counted: Deadline, language: str) -> list[contracts.CountedDay]:
    """`words.days`, worked out once for all the requests of a type and day."""
    if counted.frozen:
        return words.days(counted, language)
    key = (version, type_code, counted.effective_receipt_date, counted.due_date, counted.term, language)
    if key not in _counts:
        if len(_counts) > 2000:
            _counts.clear()
        _counts[key] = words.days(counted, language)
    return _counts[key]


def term_in_words(unit: str | None, n: int | None, language: str | None = None) -> str:
    if unit is None:
        return i18n.text(PACKAGE, "term.typed", language)
    return i18n.text(PACKAGE, f"term.{unit}.{'one' if n == 1 else 'many'}", language, n=n)


# Plain INSERTs, built once, and the request with its first entry in one statement: taking a petition in is what must stay quick on a
# modest server. Only the columns a new request has something in.
_REQUEST_TABLE: Any = sa.inspect(ServiceRequest).local_table
_LATER = {
    *("closed_at", "assignee", "assigned_at", "merged_into_id", "tombstoned_at", "days_left", "paused_at"),
    *("citizen_due_date", "extended_by", "overdue_announced_at", "answer_id", "answer", "answered_at", "answered_by"),
    *("answer_number", "answer_kind", "first_answer_at", "notified_at", "on_time", "notification_evidence"),
}
_REQUEST_COLUMNS = [column.key for column in _REQUEST_TABLE.columns if column.key not in _LATER]
_FILE = (
    sa.insert(audit.HISTORY)
    .values(
        {"request_id": sa.bindparam("request_id")}
        | {
            name: sa.bindparam(f"history_{name}")
            for name in ("id", "at", "kind", "author", "details", "calendar_version")
        }
    )
    .add_cte(
        sa.insert(_REQUEST_TABLE)
        .values({name: sa.bindparam(f"request_{name}") for name in _REQUEST_COLUMNS})
        .cte("filed")
    )
)


def file(session: Session, filing: Filing) -> ServiceRequest:
    """Receives a request: computes its deadline, numbers it, records it and announces it.

    Raises `Refused` for an unknown type, a type whose date is set case by case, a receipt in the future, or fields the type does not
    know.
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
    follows = filing.parent_id is not None or filing.reopens_id is not None
    if kind.filed_by == "authorities" and filing.received_by is None and not follows:
        raise Refused("only_authorities", "request_type")
    place = filing.place or _NOWHERE
    if (place.latitude is None) != (place.longitude is None):
        raise Refused("point_incomplete", "place.longitude" if place.longitude is None else "place.latitude")
    if place.area is not None and place.area not in {area.code for area in pack.areas}:
        raise Refused("unknown_area", "place.area")
    answers = checked_answers(kind.fields, filing.answers)
    number = None
    version = calendars.last_known() or calendars.in_force(session)
    if not version:
        # The very first: the counter before the calendar, as everybody else takes them, or two would wait for each other.
        number = next_number(session, "received", recorded_at)
        version = in_force(session)
    person = filing.petitioner
    acknowledged = filing.channel in _HANDED_OVER
    request = ServiceRequest(
        id=filing.id or new_id(),
        version=1,
        request_type=kind.code,
        type_name=kind.name,
        office=filing.office or pack.route(kind.code, filing.subject, place.area).code,
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
        representative_identification=person.representative_identification if person else None,
        filed_by=filing.filed_by,
        received_by=filing.received_by,
        received_by_name=filing.received_by_name,
        tracking_code=filing.tracking_code or "".join(secrets.choice(_CODE_ALPHABET) for _ in range(10)),
        organization_id=filing.organization_id,
        project_id=filing.project_id,
        anonymous=person is None,
        confidential=kind.confidential if filing.confidential is None else filing.confidential,
        minor=filing.minor,
        priority=filing.priority,
        priority_reason=filing.priority_reason,
        addressees=filing.addressees,
        place_address=place.address,
        area=place.area,
        latitude=place.latitude,
        longitude=place.longitude,
        answers_given=json.dumps(answers, ensure_ascii=False) if answers else None,
        missing_at_receipt=filing.missing,
        parent_id=filing.parent_id,
        reopens_id=filing.reopens_id,
        status="received",
        received_at=received_at,
        acknowledged_at=recorded_at if acknowledged else None,
        terms_version=pack.terms_version,
        policy=_policy_as_stored(),
        clock_version=1,
    )
    request.search_tokens = tokens_of_request(request)
    counted = _set_clock(session, request, version, filing.due_date)
    # The number comes late: whoever holds the counter makes every other filing wait until the commit.
    number = number or next_number(session, "received", recorded_at)
    if number.calendar_version != version:
        version = number.calendar_version or in_force(session)
        counted = _set_clock(session, request, version, filing.due_date)
    request.number = number.text
    submitted = contracts.RequestSubmitted(
        request_id=request.id,
        number=request.number,
        request_type=kind.code,
        type_name=kind.name,
        office=request.office,
        received_at=received_at,
        due_date=request.first_due_date,
        term=term_in_words(request.term_unit, request.term_n, filing.language),
        article=request.term_article or "",
        days=explained_at_receipt(version, kind.code, counted, filing.language),
        verbal=filing.verbal,
        confidential=request.confidential,
        language=filing.language,
        recipient_name=sealed(request.petitioner_name),
        recipient_email=sealed(request.petitioner_email),
        recipient_phone=sealed(request.petitioner_phone),
        tracking_code=contracts.Sealed(seal(request.tracking_code)),
    )
    told: dict[str, Any] = {
        "at": received_at,
        "author": filing.received_by or filing.filed_by,
        "kind": "received",
        "details": {"channel": filing.channel, "verbal": filing.verbal}
        | ({"acknowledged_at": recorded_at.isoformat()} if acknowledged else {}),
        "calendar_version": version,
    }
    row = {f"request_{name}": getattr(request, name) for name in _REQUEST_COLUMNS}
    session.execute(_FILE, row | {f"history_{name}": value for name, value in told.items()} | {"history_id": new_id()})
    emit(session, submitted, version=1)
    return request


def claim(session: Session, desk: str, key: UUID) -> UUID:
    """The id of what a desk files under a key of its own. Until this transaction ends nobody else files under it.

    Made of desk and key, so the table of requests itself remembers for good what was filed.
    """
    request_id = uuid5(NAMESPACE_URL, f"urn:tejido:desk:{desk}:{key}")
    session.execute(sa.select(sa.func.pg_advisory_xact_lock(request_id.int >> 65)))
    return request_id


def filed_before(session: Session, filing: Filing) -> ServiceRequest | None:
    """The request that was filed under this filing's id; none yet. Raises `Refused` if another person or another matter was."""
    request = session.get(ServiceRequest, filing.id)
    if request is None:
        return None
    same = (request.received_at, request.verbal) == (filing.received_at, filing.verbal)
    if same and request.tombstoned_at is None:
        person = filing.petitioner
        said = (filing.subject, filing.reasons, person and person.name, person and person.identification)
        same = said == (
            *(request.subject, request.reasons, request.petitioner_name, request.petitioner_identification),
        )
    if not same:
        raise Refused("key_reused", "key")
    return request


@lru_cache
def _policy_as_stored() -> dict[str, Any]:
    return jurisdiction().counting.model_dump(mode="json")


def _set_clock(session: Session, request: ServiceRequest, version: int, typed: date | None) -> Deadline:
    """Works out the clock of a new request on a version of the calendar. Raises `Refused` where there is no date to give."""
    try:
        counted, term = deadline_of(
            calendars.calendar(session, version, request.request_type), request.request_type, request.received_at, typed
        )
    except LookupError:
        raise Refused("no_term", "request_type") from None
    except deadlines.OutOfCalendar:
        raise Refused("out_of_calendar", "due_date" if typed else "received_at") from None
    if counted.due_date is None or counted.due_date < counted.effective_receipt_date:
        raise Refused("due_before_receipt", "due_date")
    core = counted.term
    request.term_unit, request.term_n = (term.unit, term.n) if term else (None, None)
    request.term_article, request.term_kind = (term.article, term.kind) if term else (None, None)
    request.term_extension_max = core.extension_max_added if core else None
    request.term_copies_within = core.copies_within if core else None
    request.calendar_version = version
    request.effective_receipt_date = counted.effective_receipt_date
    request.due_date = request.first_due_date = counted.due_date
    request.due_soon_from, request.overdue_at = counted.due_soon_from, counted.overdue_at
    acknowledged = {"acknowledged_at": request.acknowledged_at.isoformat()} if request.acknowledged_at else {}
    history = [clocks.History(request.received_at, "received", acknowledged, version)]
    request.alarm_at = clocks.first_alarm(session, request, history)
    return counted


_ANSWERS: dict[str, tuple[type, ...]] = {"text": (str,), "choice": (str,), "date": (str,), "number": (int, float)}


def checked_answers(fields: Iterable[AskedField], answers: dict[str, Any]) -> dict[str, Any]:
    """What a type asks beyond the subject. Nothing required is enforced: a petition is not refused as incomplete (CPACA art. 16)."""
    known = {asked.code: asked for asked in fields} if answers else {}
    for code, value in answers.items():
        asked = known.get(code)
        if asked is None:
            raise Refused("unknown_field", f"answers.{code}")
        if isinstance(value, bool) or not isinstance(value, _ANSWERS[asked.kind]):
            raise Refused(f"not_a_{asked.kind}", f"answers.{code}")
        if asked.kind == "date":
            try:
                date.fromisoformat(str(value))
            except ValueError:
                raise Refused("not_a_date", f"answers.{code}") from None
        if asked.choices and value not in asked.choices:
            raise Refused("unknown_choice", f"answers.{code}")
    return answers


def missing_fields(request: ServiceRequest) -> list[AskedField]:
    """What its type asks and the petitioner left out: the office may ask for it (CPACA art. 17)."""
    try:
        asked = jurisdiction().request_type(request.request_type).fields
    except LookupError:
        return []
    required = [field for field in asked if field.required]
    given = json.loads(request.answers_given) if required and request.answers_given else {}
    return [field for field in required if field.code not in given]


def tokens_of_request(request: ServiceRequest) -> list[str]:
    """What a request is found by. A confidential petitioner is not found by name."""
    hidden = request.confidential
    return tokens_of(
        (request.subject, request.reasons, request.place_address),
        () if hidden else (request.petitioner_name, request.representative_name),
        () if hidden else (request.petitioner_identification, request.representative_identification),
    )


@dataclass(frozen=True)
class Number:
    text: str
    calendar_version: int


_COUNTER: Any = sa.inspect(ReceiptCounter).local_table
_COUNT_ON = (
    insert(_COUNTER)
    .values(series=sa.bindparam("of_series"), year=sa.bindparam("of"), last=1)
    .on_conflict_do_update(index_elements=["series", "year"], set_={"last": _COUNTER.c.last + 1})
    .returning(_COUNTER.c.last, calendars.IN_FORCE.scalar_subquery())
)


def next_number(session: Session, series: str, instant: datetime) -> Number:
    """The next number of a series: `received` or `answered`. With it, the calendar version in force, which now nobody can change
    before this transaction ends."""
    pack = jurisdiction()
    year = instant.astimezone(pack.zone).year
    last, version = session.execute(_COUNT_ON, {"of_series": series, "of": year}).one()
    pattern = pack.receipt_pattern if series == "received" else pack.answer_pattern
    return Number(receipt_number(pattern, year, last), version)


def sealed(text: str | None) -> contracts.Sealed | None:
    return None if text is None else contracts.Sealed(seal(text))
