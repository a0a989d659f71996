"""The pure core: when a request is due, and why. No I/O, no framework, no clock of its own.

Dates, not instants: a receipt is brought to the municipality's time zone once and everything after that is counted in whole local
days. Sources: Ley 1755/2015 art. 14 (the term runs from the day after receipt), Ley 4/1913 arts. 59-62 (a term ends at midnight of its
last day; closed days do not count in terms of days; a term of months that ends on a closed day runs to the next open one), Código Civil
art. 67 (months are clamped to the month's end).
"""

import calendar as months
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from math import ceil
from typing import Literal
from zoneinfo import ZoneInfo

Unit = Literal["business_days", "calendar_days", "months"]
ReceiptRule = Literal["same_day", "roll_nonbusiness", "roll_after_hours"]
FIRST, LAST = date(2000, 1, 1), date(2100, 12, 31)
"""The days a calendar reaches. A count that leaves them raises `OutOfCalendar`."""


class OutOfCalendar(ValueError):  # noqa: N818
    """A date lies outside what any calendar holds."""


@dataclass(frozen=True)
class Closed:
    """Why a day does not count: the closure's name and its legal act."""

    name: str
    act: str


@dataclass(frozen=True)
class Calendar:
    """The days that count for one kind of request.

    `weekdays` has a 1 for each day of the week the office works, Monday first; `closures` the closed days that suspend terms. Raises
    `ValueError` for a week without a working day, for no term would ever end.
    """

    weekdays: str
    closures: Mapping[date, Closed]

    def __post_init__(self) -> None:
        if len(self.weekdays) != 7 or set(self.weekdays) - {"0", "1"} or "1" not in self.weekdays:
            raise ValueError("weekdays: seven digits 0 or 1, at least one of them 1")

    @cached_property
    def _open(self) -> list[int]:
        """Every open day's proleptic ordinal, ascending."""
        closed = {day.toordinal() for day in self.closures}
        works = [digit == "1" for digit in self.weekdays]
        return [o for o in range(FIRST.toordinal(), LAST.toordinal() + 1) if works[(o - 1) % 7] and o not in closed]

    def is_open(self, day: date) -> bool:
        return self.weekdays[day.weekday()] == "1" and day not in self.closures

    def open_after(self, day: date, n: int) -> date:
        """The n-th open day strictly after `day`; n is at least 1."""
        index = bisect_right(self._open, day.toordinal()) + n - 1
        if day < FIRST or index >= len(self._open):
            raise OutOfCalendar(f"{n} open days after {day}")
        return date.fromordinal(self._open[index])

    def open_before(self, day: date, n: int) -> date:
        """The n-th open day strictly before the open day `day`."""
        index = bisect_right(self._open, day.toordinal()) - 1 - n
        if index < 0:
            raise OutOfCalendar(f"{n} open days before {day}")
        return date.fromordinal(self._open[index])

    def open_from(self, day: date) -> date:
        """`day` if it is open, else the next open day."""
        return self.open_after(day - timedelta(days=1), 1)

    def open_between(self, after: date, until: date) -> int:
        """How many open days lie strictly after one day and up to another; negative when `until` is the earlier."""
        return bisect_right(self._open, until.toordinal()) - bisect_right(self._open, after.toordinal())


@dataclass(frozen=True)
class Term:
    """What the law gives. `copies_within`: open days after the due date to hand over copies once silence has granted them."""

    unit: Unit
    n: int
    copies_within: int | None = None


@dataclass(frozen=True)
class Policy:
    """How a municipality reads what the law leaves open; the defaults give the earliest date of any reading."""

    receipt_rule: ReceiptRule = "same_day"
    cutoff: time = time(17)
    overdue: Literal["end_of_day", "office_close"] = "end_of_day"
    office_close: time = time(17)


@dataclass(frozen=True)
class ClockEvent:
    """Something dated that moves a clock: pause, resume, extension … `at` is an instant with its offset."""

    kind: str
    at: datetime


@dataclass(frozen=True)
class CountedDay:
    """One day after receipt: its ordinal in the term, or why it does not count (`closed` is None for a weekend)."""

    day: date
    ordinal: int | None
    closed: Closed | None = None


@dataclass(frozen=True)
class Deadline:
    """When an answer is due. `overdue_at` is exclusive: an answer notified before it is on time."""

    term: Term | None
    calendar: Calendar
    effective_receipt_date: date
    due_date: date
    overdue_at: datetime
    first_counted_day: date | None = None
    nominal_date: date | None = None
    due_soon_from: date | None = None
    deliver_copies_by: date | None = None
    rejected_events: tuple[int, ...] = ()

    def days(self) -> Iterator[CountedDay]:
        """Every day from the one after receipt to the due date, counted or not. Months and set dates are not counted: then nothing."""
        if self.term is None:
            return iter(())
        return counted_days(self.effective_receipt_date, self.due_date, self.term, self.calendar)

    def remaining(self, today: date) -> int:
        """Open days strictly after `today` up to the due date: 0 is today, negative is late."""
        return self.calendar.open_between(today, self.due_date)


def counted_days(received: date, due: date, term: Term, calendar: Calendar) -> Iterator[CountedDay]:
    """Every day from the one after receipt to the due date, counted or not. Months are not counted by days: then nothing."""
    if term.unit == "months":
        return
    ordinal = 0
    for offset in range(1, (due - received).days + 1):
        day = received + timedelta(days=offset)
        if term.unit == "calendar_days" or calendar.is_open(day):
            ordinal += 1
            yield CountedDay(day, ordinal)
        else:
            yield CountedDay(day, None, calendar.closures.get(day))


def effective_receipt_date(received_at: datetime, calendar: Calendar, zone: ZoneInfo, policy: Policy) -> date:
    """The local day a request counts as received, by the municipality's receipt rule. Raises `ValueError` for an instant without offset."""
    if received_at.tzinfo is None:
        raise ValueError("received_at needs an offset")
    local = received_at.astimezone(zone)
    day = local.date()
    if policy.receipt_rule == "same_day":
        return day
    if not calendar.is_open(day):
        return calendar.open_after(day, 1)
    if policy.receipt_rule == "roll_after_hours" and local.time() >= policy.cutoff:
        return calendar.open_after(day, 1)
    return day


def months_after(day: date, n: int) -> date:
    """The same day `n` months on, or that month's last day (Código Civil art. 67). Never chain it: count from the first date."""
    year, month = divmod(day.year * 12 + day.month - 1 + n, 12)
    return date(year, month + 1, min(day.day, months.monthrange(year, month + 1)[1]))


def deadline(
    received_at: datetime,
    term: Term,
    calendar: Calendar,
    zone: ZoneInfo,
    policy: Policy,
    events: tuple[ClockEvent, ...] = (),
) -> Deadline:
    """The deadline of a request received at this instant, under this term, calendar and policy.

    Raises `OutOfCalendar` for dates no calendar reaches and `NotImplementedError` for clock events, which nothing records yet.
    """
    if events:
        raise NotImplementedError("clock events")
    received = effective_receipt_date(received_at, calendar, zone, policy)
    if not FIRST <= received <= LAST:
        raise OutOfCalendar(str(received))
    first = nominal = soon = None
    if term.unit == "business_days":
        first = calendar.open_after(received, 1)
        due = calendar.open_after(received, term.n)
        soon = calendar.open_before(due, min(7, max(1, ceil(0.3 * term.n))))
    elif term.unit == "calendar_days":
        # Calendar days do not roll: the authority's own duty is read at its strictest.
        first, due = received + timedelta(days=1), received + timedelta(days=term.n)
    else:
        nominal = months_after(received, term.n)
        due = calendar.open_from(nominal)
    return Deadline(
        term=term,
        calendar=calendar,
        effective_receipt_date=received,
        due_date=due,
        overdue_at=_overdue_at(due, zone, policy),
        first_counted_day=first,
        nominal_date=nominal,
        due_soon_from=soon,
        deliver_copies_by=calendar.open_after(due, term.copies_within) if term.copies_within else None,
    )


def set_deadline(received_at: datetime, due: date, calendar: Calendar, zone: ZoneInfo, policy: Policy) -> Deadline:
    """The deadline of a request whose due date the asking authority set, as the Council or a court does: nothing is counted.

    Raises `OutOfCalendar` for dates no calendar reaches.
    """
    if not FIRST <= due <= LAST:
        raise OutOfCalendar(str(due))
    return Deadline(
        term=None,
        calendar=calendar,
        effective_receipt_date=effective_receipt_date(received_at, calendar, zone, policy),
        due_date=due,
        overdue_at=_overdue_at(due, zone, policy),
    )


def _overdue_at(due: date, zone: ZoneInfo, policy: Policy) -> datetime:
    if policy.overdue == "office_close":
        return datetime.combine(due, policy.office_close, zone)
    return datetime.combine(due + timedelta(days=1), time(), zone)
