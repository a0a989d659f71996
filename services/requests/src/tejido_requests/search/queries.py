"""Which requests may be seen, and by whom."""

import math
import re
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session, aliased

from tejido_requests.calendars import queries as calendars
from tejido_requests.models import SavedView, ServiceRequest
from tejido_requests.organizations import family
from tejido_requests.search.schemas import Counts, RequestFilter
from tejido_requests.search.tokens import asked_for
from tejido_requests.settings import jurisdiction
from tejido_shared import deadlines
from tejido_shared.auth import Principal
from tejido_shared.clock import now
from tejido_shared.jurisdiction import Role, receipt_number
from tejido_shared.refusals import Refused

due_order: sa.ColumnElement[date] = sa.func.coalesce(
    ServiceRequest.due_date, sa.literal_column("'9999-12-31'::date", sa.Date)
)
"""The due date as lists are ordered by it: one that is not there comes last. Indexed as written here."""
_CLOSED: sa.ColumnElement[datetime] = sa.func.coalesce(
    ServiceRequest.closed_at, sa.literal_column("'9999-12-31 00:00+00'::timestamptz", sa.DateTime(timezone=True))
)
SORTABLE = {"due_date": due_order, "received_at": ServiceRequest.received_at, "closed_at": _CLOSED}
Requests = sa.Select[ServiceRequest]
OPEN = ServiceRequest.closed_at.is_(None)
_METRES_OF_A_DEGREE = 111_195.0
_EARTH = 6_371_009.0
_NUMBER = re.compile(r"(?:[A-Z./-]*(?P<year>20[0-9]{2})[^0-9A-Z])?(?P<sequence>[0-9]{1,9})(?:[^0-9A-Z][0-9]{2})?")


def visible_to(principal: Principal) -> sa.Select[ServiceRequest]:
    """The requests a caller may see: those of their offices, or all for auditors and administrators."""
    query = sa.select(ServiceRequest)
    if principal.has(Role.AUDITOR):
        return query
    return query.where(ServiceRequest.office.in_(principal.offices))


def one(session: Session, principal: Principal, request_id: UUID, *, lock: bool = False) -> ServiceRequest | None:
    query = visible_to(principal).where(ServiceRequest.id == request_id)
    return session.scalar(query.with_for_update() if lock else query)


def today() -> date:
    return now().astimezone(jurisdiction().zone).date()


def overdue() -> sa.ColumnElement[bool]:
    """Past its due instant and not ended. The due date adds nothing but an index: no instant passes before its day."""
    return OPEN & (due_order <= today()) & (ServiceRequest.overdue_at <= now())


def matching(
    session: Session, principal: Principal, asked: RequestFilter, *, persons: bool = False
) -> sa.Select[ServiceRequest]:
    """The requests asked for, of those the caller may see; not ordered. Raises `Refused` for a text without a word to look for.

    `persons`: for officers the text may be a petitioner's name or identification. Never where the text comes in an address, for
    addresses end up in logs.

    Reads the calendar in force for `due_within`: where that must not be held, make the query in a session of its own.
    """
    return visible_to(principal).where(*_conditions(session, principal, asked, persons=persons))


def _conditions(
    session: Session, principal: Principal, asked: RequestFilter, *, persons: bool
) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    for name in ("status", "office", "request_type", "channel", "area"):
        if wanted := getattr(asked, name):
            found.append(getattr(ServiceRequest, name).in_(wanted))
    for name in ("project_id", "parent_id", "priority", "anonymous", "confidential", "on_time"):
        if (value := getattr(asked, name)) is not None:
            found.append(getattr(ServiceRequest, name) == value)
    if asked.organization_id is not None:
        found.append(ServiceRequest.organization_id.in_(family(session, asked.organization_id)))
        found.append(~ServiceRequest.confidential)  # it may be who asks
    if asked.assignee is not None:
        subject = principal.subject if asked.assignee == "me" else asked.assignee
        found.append(ServiceRequest.assignee.is_(None) if subject == "none" else ServiceRequest.assignee == subject)
    for yes, condition in (
        (asked.open, OPEN),
        (asked.paused, ServiceRequest.status == "paused"),
        (asked.overdue, overdue()),
        (asked.due_today, OPEN & (due_order == today())),
        (asked.extended, ServiceRequest.extended_by.is_not(None)),
        # `settle` leaves the date there until the citizen has completed it or the withdrawal is decided.
        (asked.withdrawal_proposed, OPEN & (ServiceRequest.citizen_due_date < today())),
    ):
        if yes is not None:
            found.append(condition if yes else sa.func.coalesce(condition, sa.false()).is_(False))
    if asked.has_children is not None:
        child = aliased(ServiceRequest)
        exists = sa.exists().where(child.parent_id == ServiceRequest.id)
        found.append(exists if asked.has_children else ~exists)
    if asked.due_from is not None:
        found.append(ServiceRequest.due_date >= asked.due_from)
        found.append(due_order >= asked.due_from)
    if asked.due_until is not None:
        found.append(due_order <= asked.due_until)
    if asked.due_within is not None:
        found += _due_within(session, asked.due_within)
    found += between(ServiceRequest.received_at, asked.received_from, asked.received_until)
    found += between(ServiceRequest.closed_at, asked.closed_from, asked.closed_until)
    if asked.near is not None:
        found += _near(asked.near, asked.radius)
    if asked.text is not None:
        found.append(_about(asked.text, persons=persons and principal.has(Role.OFFICER, Role.HEAD)))
    return found


def _due_within(session: Session, days: int) -> list[sa.ColumnElement[bool]]:
    """The last day differs between types where a closure does not suspend the terms of all."""
    version, start = calendars.in_force(session), today()

    def last(type_code: str) -> date:
        calendar = calendars.calendar(session, version, type_code)
        return calendar.open_after(start, days) if days else start

    usual = last("")
    others = {kind.code: day for kind in jurisdiction().request_types if (day := last(kind.code)) != usual}
    until: Any = sa.case(others, value=ServiceRequest.request_type, else_=usual) if others else usual
    return [
        OPEN,
        due_order >= start,
        due_order <= max(usual, *others.values(), usual),
        due_order <= until,
        ServiceRequest.overdue_at > now(),
    ]


def between(column: Any, first: date | None, last: date | None) -> list[sa.ColumnElement[bool]]:
    """Local days, both included."""
    zone = jurisdiction().zone
    found: list[sa.ColumnElement[bool]] = []
    if first is not None:
        found.append(column >= datetime.combine(first, time(), zone))
    if last is not None and last < date.max:
        found.append(column < datetime.combine(last + timedelta(days=1), time(), zone))
    return found


def _near(point: str, radius: int) -> list[sa.ColumnElement[bool]]:
    """A box, which an index serves, and in it the distance over the sphere. No municipality lies on the antimeridian."""
    latitude, longitude = (float(part) for part in point.split(","))
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise Refused("not_a_point", "query.near")
    high = radius / _METRES_OF_A_DEGREE
    wide = high / max(math.cos(math.radians(min(abs(latitude) + high, 90))), 1e-6)
    across = sa.func.power(sa.func.sin(sa.func.radians(ServiceRequest.latitude - latitude) / 2), 2)
    along = sa.func.power(sa.func.sin(sa.func.radians(ServiceRequest.longitude - longitude) / 2), 2)
    cosines = math.cos(math.radians(latitude)) * sa.func.cos(sa.func.radians(ServiceRequest.latitude))
    distance = 2 * _EARTH * sa.func.asin(sa.func.sqrt(across + cosines * along))
    return [
        ServiceRequest.latitude.between(latitude - high, latitude + high),
        ServiceRequest.longitude.between(longitude - wide, longitude + wide),
        distance <= radius,
    ]


def _about(text: str, *, persons: bool) -> sa.ColumnElement[bool]:
    """All words of a text, or one receipt number."""
    words = [
        ServiceRequest.search_tokens.bool_op("&&")(sa.cast(tokens, ARRAY(sa.Text)))
        for tokens in asked_for(text, persons=persons)
    ]
    numbers = _numbers(text)
    if not words and not numbers:
        raise Refused("no_words", "query.text")
    ways = [sa.and_(*words)] if words else []
    if numbers:
        ways += [ServiceRequest.number.in_(numbers), ServiceRequest.answer_number.in_(numbers)]
    return sa.or_(*ways)


def _numbers(text: str) -> list[str]:
    """The numbers that a part of one may mean: «123», «2026-123» and «BOG-2026-000123» are the 123rd of a year, or of any."""
    text = text.strip().upper()
    pack = jurisdiction()
    part = _NUMBER.fullmatch(text)
    if part is None or not int(part["sequence"]):
        return [text] if re.search(r"\d", text) and not re.search(r"\s", text) else []
    years = [int(part["year"])] if part["year"] else range(deadlines.FIRST.year, today().year + 1)
    found = {
        receipt_number(pattern, year, int(part["sequence"]))
        for pattern in (pack.receipt_pattern, pack.answer_pattern)
        for year in years
    }
    return sorted(found | {text})


def counts(session: Session, principal: Principal, asked: RequestFilter) -> Counts:
    """Totals and how they are spread, in one statement. Of open requests if neither `open` nor `status` was asked for."""
    if asked.open is None and not asked.status:
        asked = asked.model_copy(update={"open": True})
    facets = ("status", "office", "request_type", "assignee")
    late = overdue()
    row = (
        matching(session, principal, asked)
        .with_only_columns(
            *(getattr(ServiceRequest, name) for name in facets),
            late.label("overdue"),
            (OPEN & (due_order == today())).label("due_today"),
            (OPEN & (ServiceRequest.due_soon_from <= today()) & (ServiceRequest.overdue_at > now())).label("due_soon"),
            (ServiceRequest.status == "paused").label("paused"),
            ServiceRequest.assignee.is_(None).label("unassigned"),
        )
        .subquery()
    )
    totals = ("overdue", "due_today", "due_soon", "paused", "unassigned")
    columns = [row.c[name] for name in facets]
    sets = sa.func.grouping_sets(sa.literal_column("()"), *(sa.tuple_(column) for column in columns))
    found = session.execute(
        sa.select(
            sa.func.grouping(*columns).label("level"),
            *columns,
            sa.func.count().label("total"),
            *(sa.func.count().filter(row.c[name]).label(name) for name in totals),
        ).group_by(sets)
    ).all()
    # GROUPING has a bit for each column that a row does not group by, the first column's the highest.
    every = 2 ** len(facets) - 1
    by = {
        f"by_{name}": {
            getattr(r, name): r.total
            for r in found
            if r.level == every ^ (1 << (len(facets) - 1 - place)) and getattr(r, name) is not None
        }
        for place, name in enumerate(facets)
    }
    top = next(r for r in found if r.level == every)
    return Counts(total=top.total, **{name: getattr(top, name) for name in totals}, **by)


def views_of(principal: Principal) -> sa.Select[SavedView]:
    """A caller's own saved views and those shared with the caller's offices."""
    return sa.select(SavedView).where((SavedView.owner == principal.subject) | SavedView.office.in_(principal.offices))
