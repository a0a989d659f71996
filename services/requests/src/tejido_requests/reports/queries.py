"""What each figure is, in SQL. The API, the report, its PDF, the CSV and the open data all take their figures from here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql.elements import Grouping

from tejido_requests.calendars import queries as calendars
from tejido_requests.models import CalendarVersion, HistoryEntry, Rating, ServiceRequest
from tejido_requests.reports.past import Was
from tejido_requests.reports.schemas import Basis
from tejido_requests.settings import jurisdiction
from tejido_shared.clock import now
from tejido_shared.deadlines.calendar import LAST

DIMENSIONS = ("type", "office", "channel", "area", "month")
AGES: tuple[tuple[int, int | None], ...] = ((0, 5), (6, 15), (16, 30), (31, None))
"""Bands of business days since receipt, both ends included."""
INFORMATION = ("information", "copies", "environmental_information")
"""Codes, in any pack, of the types by which public information is asked for."""
_AHEAD = timedelta(days=90)
"""How far after the last day a receipt may take effect."""


@dataclass(frozen=True)
class Period:
    """`since` is in the period, `until` is not. What is asked of its end is asked as of `as_of`, at the latest now."""

    since: datetime
    until: datetime
    as_of: datetime

    @property
    def last_day(self) -> date:
        """The local day that is counted up to."""
        return (self.as_of - timedelta(microseconds=1)).astimezone(jurisdiction().zone).date()


def period(first: date, last: date) -> Period:
    """From a first to a last local day, both included."""
    zone = jurisdiction().zone
    since = datetime.combine(first, time(), zone)
    until = datetime.combine(last + timedelta(days=1), time(), zone)
    return Period(since, until, min(until, now()))


# Business days


@dataclass(frozen=True)
class OpenDays:
    """Which requests share a calendar, and how many open days each calendar has up to each day from `first` on."""

    first: date
    special: list[str]
    keys: dict[tuple[int, str], int]
    calendars: list[list[int]]


def open_days(session: Session, last: date) -> OpenDays:
    """Of every version of the calendar, from the first receipt on until after the last day.

    It reads the table of versions, so its session must be a short one: while it lasts no closure can be declared.
    """
    zone = jurisdiction().zone
    earliest = session.scalar(sa.select(sa.func.min(ServiceRequest.received_at)))
    first = min(earliest.astimezone(zone).date() if earliest else last, last)
    days = [first + timedelta(days=n) for n in range((min(last + _AHEAD, LAST) - first).days + 1)]
    versions = session.scalars(sa.select(CalendarVersion.number).order_by(CalendarVersion.number)).all()
    closures = {number: calendars.closures(session, number) for number in versions}
    special = sorted({code for found in closures.values() for closure in found for code in closure.except_types})
    weekdays = jurisdiction().counting.weekdays
    keys: dict[tuple[int, str], int] = {}
    known: dict[frozenset[date], int] = {}
    counted: list[list[int]] = []
    for number in versions:
        for code in ("", *special):
            closed = frozenset(calendars.suspended(closures[number], code))
            if closed not in known:
                known[closed] = len(counted)
                up_to, total = [], 0
                for day in days:
                    total += weekdays[day.weekday()] == "1" and day not in closed
                    up_to.append(total)
                counted.append(up_to)
            keys[number, code] = known[closed]
    return OpenDays(first, special, keys, counted)


def _array(values: Sequence[Any], kind: Any) -> sa.ColumnElement[Any]:
    return sa.cast(list(values), ARRAY(kind))


def _table(name: str, **columns: tuple[Sequence[Any], Any]) -> Any:
    """Rows given with the query, as a table: each column's values and type."""
    return (
        sa.func.unnest(*(_array(values, kind) for values, kind in columns.values()))
        .table_valued(*(sa.column(column, kind) for column, (_, kind) in columns.items()), name=name)
        .render_derived()
    )


class Counter:
    """Counts business days from a request's receipt to a day, never less than 0, in arrays that go with the query: no join."""

    def __init__(self, days: OpenDays, last: date) -> None:
        length = len(days.calendars[0]) if days.calendars else 0
        self._first, self._last = days.first, last
        self._up_to = Grouping(_array([count for counts in days.calendars for count in counts], sa.Integer))
        codes = ("", *days.special)
        versions = range(1, max((version for version, _ in days.keys), default=0) + 1)
        # By version, and in it by code: where in the long array its calendar begins.
        starts = [days.keys.get((version, code), 0) * length + 1 for version in versions for code in codes]
        code: Any = sa.literal(1)
        if days.special:
            places = {name: place for place, name in enumerate(codes, 1)}
            code = sa.case(places, value=ServiceRequest.request_type, else_=1)
        version = (ServiceRequest.calendar_version - 1) * len(codes)
        self._start: Any = Grouping(_array(starts, sa.Integer))[version + code]
        self._receipt = self._at(ServiceRequest.effective_receipt_date)

    def _at(self, day: Any) -> Any:
        return self._up_to[self._start + (day - sa.cast(self._first, sa.Date))]

    def to(self, day: Any) -> sa.ColumnElement[int]:
        """None where there is no day."""
        until = self._at(day)
        return sa.case((until.is_not(None), sa.func.greatest(until - self._receipt, 0)))

    def to_end(self) -> sa.ColumnElement[int]:
        """To the last day, the same for all."""
        return self.to(sa.cast(self._last, sa.Date))


def local_day(instant: Any) -> sa.ColumnElement[date]:
    return sa.cast(sa.func.timezone(jurisdiction().zone.key, instant), sa.Date)


# Figures


def requests(
    asked: Period,
    of: Basis,
    days: OpenDays,
    was: Sequence[Was],
    offices: Sequence[str] | None,
    instead: Mapping[str, Any] | None = None,
) -> Any:
    """One row for each request that was open at some time in the period, as it stood at the end; all figures are counted from it.

    `was`: what their rows no longer tell. `instead`: other expressions for dimensions.
    """
    r = ServiceRequest
    then = _table(
        "was",
        id=([each.id for each in was], sa.Uuid),
        request_type=([each.request_type for each in was], sa.Text),
        office=([each.office for each in was], sa.Text),
        paused=([each.paused for each in was], sa.Boolean),
        overdue_at=([each.overdue_at for each in was], sa.DateTime(timezone=True)),
        extended=([each.extended for each in was], sa.Boolean),
        copies_within=([each.copies_within for each in was], sa.Integer),
    )

    def as_was(name: str, is_now: Any) -> Any:
        return sa.case((then.c.id.is_not(None), then.c[name]), else_=is_now) if was else is_now

    closed = sa.func.coalesce(r.closed_at < asked.until, sa.false())
    final = closed & (r.status == "notified")
    entered_at = _entered_at()
    new = entered_at >= asked.since
    overdue_at = as_was("overdue_at", r.overdue_at)
    late = sa.func.coalesce(overdue_at <= asked.as_of, sa.false())
    paused = as_was("paused", r.status == "paused")
    first = (r.first_answer_at < asked.until) & (r.first_answer_at >= asked.since if of == "closed" else sa.true())
    rated = (Rating.at < asked.until) & (Rating.at >= asked.since if of == "closed" else sa.true())
    month_of = entered_at if of == "received" else sa.case((closed, r.closed_at))
    dimensions: dict[str, Any] = {
        "type": as_was("request_type", r.request_type),
        "office": as_was("office", r.office),
        "channel": r.channel,
        "area": r.area,
        "month": sa.func.to_char(sa.func.timezone(jurisdiction().zone.key, month_of), "YYYY-MM"),
    }
    dimensions |= instead or {}
    counter = Counter(days, asked.last_day)
    copies = as_was("copies_within", r.term_copies_within)
    columns: dict[str, Any] = {
        **dimensions,
        "wanted": new if of == "received" else sa.true(),
        "new": new,
        "closed": closed,
        "ended_as": sa.case((closed, r.status)),
        "on_time": final & sa.func.coalesce(r.on_time, sa.false()),
        "final": final,
        "paused": ~closed & paused,
        "overdue": ~closed & ~paused & late,
        "extended": as_was("extended", r.extended_by.is_not(None)),
        "priority": r.priority,
        "dispute": r.reopens_id.is_not(None),
        "denied": final & sa.func.coalesce(r.answer_kind == "refusal", sa.false()),
        "silence": sa.func.coalesce(
            copies.is_not(None)
            & overdue_at.between(asked.since, asked.as_of)
            & (r.closed_at.is_(None) | (r.closed_at >= overdue_at)),
            sa.false(),
        ),
        "first_days": counter.to(sa.case((first, local_day(r.first_answer_at)))),
        "final_days": counter.to(sa.case((final, local_day(r.notified_at)))),
        "age": counter.to_end(),
        "stars": sa.case((rated, Rating.stars)),
    }
    source: Any = sa.inspect(r).local_table.outerjoin(Rating, Rating.request_id == r.id)
    if was:
        source = source.outerjoin(then, then.c.id == r.id)
    query = (
        sa.select(*(expression.label(name) for name, expression in columns.items()))
        .select_from(source)
        .where(
            r.received_at < asked.until,
            entered_at < asked.until,
            r.closed_at.is_(None) | (r.closed_at >= asked.since),
        )
    )
    if offices is not None:
        query = query.where(as_was("office", r.office).in_(offices))
    # With an offset PostgreSQL works each column out once, and not once for each figure that uses it.
    return query.offset(0).subquery("requests")


def _entered_at() -> sa.ColumnElement[datetime]:
    """When a request came to be: at its receipt, but a part of a split one when that was split, though its clock runs from the receipt."""
    whole = aliased(ServiceRequest)
    split_at = sa.select(whole.closed_at).where(whole.id == ServiceRequest.parent_id).scalar_subquery()
    return sa.case((ServiceRequest.parent_id.is_(None), ServiceRequest.received_at), else_=split_at)


def measures(row: Any) -> dict[str, sa.ColumnElement[Any]]:
    """Every figure over the rows of `requests`."""
    c = row.c

    def count(condition: Any) -> sa.ColumnElement[int]:
        return sa.func.count().filter(condition)

    wanted = c.wanted
    waiting = ~c.closed & ~c.overdue
    found: dict[str, sa.ColumnElement[Any]] = {
        "received": count(c.new),
        "on_time": count(wanted & c.on_time),
        "late": count(wanted & c.final & ~c.on_time),
        "open": count(wanted & waiting & ~c.paused),
        "overdue": count(wanted & c.overdue),
        "paused": count(wanted & c.paused),
        **{name: count(wanted & (c.ended_as == name)) for name in ("withdrawn", "transferred", "split", "merged")},
        "extended": count(wanted & c.extended),
        "priority": count(wanted & c.priority),
        "disputes": count(wanted & c.dispute),
        "denied": count(wanted & c.denied),
        "accepted_by_silence": count(wanted & c.silence),
        "first_answer_days": sa.func.avg(c.first_days).filter(wanted),
        "first_answer_median": sa.func.percentile_cont(0.5).within_group(c.first_days).filter(wanted),
        "final_answer_days": sa.func.avg(c.final_days).filter(wanted),
        "final_answer_median": sa.func.percentile_cont(0.5).within_group(c.final_days).filter(wanted),
        "ratings": sa.func.count(c.stars).filter(wanted),
        "stars": sa.func.avg(c.stars).filter(wanted),
        "open_at_start": count(~c.new),
        "closed": count(c.closed),
        "open_at_end": count(~c.closed),
    }
    for start, end in AGES:
        of_age = (c.age >= start) & (c.age <= end if end is not None else sa.true())
        found[f"open_{start}"] = count(waiting & of_age)
        found[f"overdue_{start}"] = count(c.overdue & of_age)
    return found


def grouped(row: Any, sets: Sequence[Sequence[str]], limit: int) -> sa.Select[Any]:
    """The figures by each of these sets of dimensions, in one statement. `level` has a bit for each of the sets' dimensions that a row
    does not group by, the first of `DIMENSIONS` that occur the highest. Figures are called `n_…`, which no dimension is.
    """
    names = used(sets)
    columns = [row.c[name] for name in names]
    keys = [sa.tuple_(*(row.c[name] for name in group)) if group else sa.literal_column("()") for group in sets]
    level = sa.func.grouping(*columns) if columns else sa.literal(0)
    query = sa.select(
        level.label("level"), *columns, *(figure.label(f"n_{name}") for name, figure in measures(row).items())
    )
    if columns:
        query = query.group_by(sa.func.grouping_sets(*keys)).order_by(*columns)
    return query.limit(limit)


def used(sets: Sequence[Sequence[str]]) -> list[str]:
    return [name for name in DIMENSIONS if any(name in group for group in sets)]


def level_of(group: Sequence[str], names: Sequence[str]) -> int:
    return sum(1 << (len(names) - 1 - place) for place, name in enumerate(names) if name not in group)


# Acts


def acts(asked: Period, offices: Sequence[str] | None) -> sa.Select[Any]:
    """Extensions, transfers and withdrawals that took effect in the period."""
    r, h = ServiceRequest, HistoryEntry
    kind = h.kind
    days = sa.cast(h.details["added"].astext, sa.Integer)

    def count(*conditions: Any) -> sa.ColumnElement[int]:
        return sa.func.count().filter(*conditions)

    query = (
        sa.select(
            count(kind == "extended").label("extensions"),
            sa.func.avg(days).filter(kind == "extended", r.term_unit == "business_days").label("extension_days"),
            count(kind == "transferred").label("transfers"),
            count(kind == "transferred", h.details["on_time"].astext == "true").label("transfers_on_time"),
            count(kind == "withdrawn").label("withdrawals"),
            count(kind == "withdrawn", h.details["tacit"].astext == "true").label("tacit_withdrawals"),
        )
        .join_from(r, h, h.request_id == r.id)
        .where(
            r.received_at < asked.until,
            r.closed_at.is_(None) | (r.closed_at >= asked.since),
            r.extended_by.is_not(None) | r.status.in_(("transferred", "withdrawn")),
            kind.in_(("extended", "transferred", "withdrawn")),
            h.at >= asked.since,
            h.at < asked.until,
        )
    )
    return query if offices is None else query.where(r.office.in_(offices))
