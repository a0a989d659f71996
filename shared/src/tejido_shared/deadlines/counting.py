"""From a receipt, a term, a calendar and dated acts to a date and its derivation."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from math import ceil
from typing import Literal, NamedTuple, get_args
from zoneinfo import ZoneInfo

from tejido_shared.deadlines.calendar import FIRST, LAST, Calendar, Closed, OutOfCalendar, months_after

Unit = Literal["business_days", "calendar_days", "months"]
ReceiptRule = Literal["same_day", "roll_nonbusiness", "roll_after_hours"]
Rejection = Literal[
    "already_paused",
    "extended_already",
    "extension_overdue",
    "extension_too_long",
    "extension_while_paused",
    "not_extendable",
    "not_paused",
    "pause_overdue",
    "retype_overdue",
    "before_receipt",
    "date_set",
    "stopped",
]
_ONE_DAY = timedelta(days=1)
_MIDNIGHT = time()
_LONGEST = (LAST - FIRST).days


@dataclass(frozen=True)
class Term:
    """What the law gives. `extension_max_added`: the most it may be extended by, in its own unit; none: it may not be.

    `copies_within`: open days after the due date to hand over copies once silence has granted them (Ley 1755/2015 art. 14 num. 1).
    Raises `ValueError` for another unit, or a length below 1 or beyond what any calendar holds.
    """

    unit: Unit
    n: int
    copies_within: int | None = None
    extension_max_added: int | None = None

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            raise ValueError(f"unit: {self.unit}")
        _check_length("n", self.n)
        _check_length("copies_within", self.copies_within)
        _check_length("extension_max_added", self.extension_max_added)


@dataclass(frozen=True)
class Policy:
    """How a municipality reads what the law leaves open; the defaults give the earliest date of any reading.

    `ask_within`: open days after receipt within which the office should ask for what is missing; later is admitted and flagged.
    `complete_within`: months the citizen has to complete. `transfer_within`: open days to hand on what another authority must answer.
    """

    receipt_rule: ReceiptRule = "same_day"
    cutoff: time = time(17)
    overdue: Literal["end_of_day", "office_close"] = "end_of_day"
    office_close: time = time(17)
    ask_within: int | None = None
    complete_within: int | None = None
    transfer_within: int | None = None

    def __post_init__(self) -> None:
        if self.receipt_rule not in get_args(ReceiptRule):
            raise ValueError(f"receipt_rule: {self.receipt_rule}")
        if self.overdue not in ("end_of_day", "office_close"):
            raise ValueError(f"overdue: {self.overdue}")
        for name in ("ask_within", "complete_within", "transfer_within"):
            _check_length(name, getattr(self, name))


def _check_length(name: str, n: int | None) -> None:
    if n is not None and not 1 <= n <= _LONGEST:
        raise ValueError(f"{name}: {n}")


# What moves a clock. `at` is an instant with its offset: when the act took effect, whenever it was recorded.


@dataclass(frozen=True)
class Pause:
    """The citizen was asked to complete the request (Ley 1755/2015 art. 17)."""

    at: datetime


@dataclass(frozen=True)
class Resume:
    """The citizen completed it, or the office withdrew what it had asked."""

    at: datetime


@dataclass(frozen=True)
class Extend:
    """The citizen was told, with reasons, that `added` more units are needed (art. 14 par.)."""

    at: datetime
    added: int


@dataclass(frozen=True)
class Retype:
    """The request is of another type: `term` runs from the same receipt."""

    at: datetime
    term: Term
    by_supervisor: bool = False


@dataclass(frozen=True)
class Transfer:
    """Sent to the authority that must answer (art. 21). Within the municipality (`internal`) it changes nothing."""

    at: datetime
    internal: bool = False
    receiver_received_at: datetime | None = None


@dataclass(frozen=True)
class ClosuresAdded:
    at: datetime
    closures: Mapping[date, Closed]


@dataclass(frozen=True)
class ClosuresRemoved:
    at: datetime
    days: frozenset[date]


@dataclass(frozen=True)
class CalendarChanged:
    """From here on this calendar counts, for all days."""

    at: datetime
    calendar: Calendar


@dataclass(frozen=True)
class Stop:
    """The answer was notified, with proof. What comes after changes nothing."""

    at: datetime


Act = Pause | Resume | Extend | Retype | Transfer | ClosuresAdded | ClosuresRemoved | CalendarChanged | Stop
_RANK: dict[type, int] = {
    kind: rank
    for rank, kind in enumerate(
        (CalendarChanged, ClosuresRemoved, ClosuresAdded, Retype, Extend, Pause, Resume, Transfer, Stop)
    )
}


@dataclass(frozen=True)
class CountedDay:
    """One day after receipt: its ordinal in the term, or why it does not count: `closed`, or `paused_since`, or else a weekend.

    `paused_since` is the day completing was asked for.
    """

    day: date
    ordinal: int | None
    closed: Closed | None = None
    paused_since: date | None = None


@dataclass(frozen=True)
class Transferred:
    """The sender's own clock for handing on, and the receiver's, which starts at its own receipt (art. 21).

    Without `Policy.transfer_within` the sender has no such clock.
    """

    due_date: date | None
    on_time: bool | None
    receiver_first_counted_day: date | None = None
    receiver_due_date: date | None = None
    receiver_overdue_at: datetime | None = None


class Deadline(NamedTuple):
    """When an answer is due. `overdue_at` is exclusive: an answer notified before it is on time.

    While the clock is paused there is no due date, only `days_left`: open days, or calendar days of a term in other units. `rejected`
    says of each act, by its place in what was given, why the law does not admit it; such an act has changed nothing. `frozen` has the
    days that do not count because of a pause: after the first of a pair, up to and with the second (none: still paused); `asked_on`,
    for each of them, the day completing was asked for.
    """

    term: Term | None
    calendar: Calendar
    effective_receipt_date: date
    due_date: date | None
    overdue_at: datetime | None
    first_counted_day: date | None = None
    nominal_date: date | None = None
    due_soon_from: date | None = None
    deliver_copies_by: date | None = None
    added: int = 0
    frozen: tuple[tuple[date, date | None], ...] = ()
    asked_on: tuple[date, ...] = ()
    days_left: int | None = None
    citizen_due_dates: tuple[date, ...] = ()
    asked_late: bool = False
    transferred: Transferred | None = None
    stopped_at: datetime | None = None
    on_time: bool | None = None
    rejected: Mapping[int, Rejection] = {}

    @property
    def paused(self) -> bool:
        return bool(self.frozen) and self.frozen[-1][1] is None

    @property
    def length(self) -> int | None:
        """The term in its unit, with what was added."""
        return None if self.term is None else self.term.n + self.added

    def days(self, until: date | None = None) -> Iterator[CountedDay]:
        """Every day from the one after receipt to the due date, or `until` if that is given, counted or not.

        Months and set dates are not counted: then nothing. For a paused clock without `until`: up to the day of the pause.
        """
        last = until or self.due_date or (self.frozen[-1][0] if self.frozen else None)
        if self.term is None or self.term.unit == "months" or last is None:
            return
        ordinal = 0
        for offset in range(1, (last - self.effective_receipt_date).days + 1):
            day = self.effective_receipt_date + timedelta(days=offset)
            since = next(
                (
                    asked
                    for (p, r), asked in zip(self.frozen, self.asked_on, strict=True)
                    if p < day and (r is None or day <= r)
                ),
                None,
            )
            if self.term.unit == "business_days" and not self.calendar.is_open(day):
                yield CountedDay(day, None, self.calendar.closures.get(day))
            elif since is not None:
                yield CountedDay(day, None, None, since)
            else:
                ordinal += 1
                yield CountedDay(day, ordinal)

    def months_end(self) -> list[date]:
        """Of a term of months: the day it ends on after each pause that has ended, whether that day is open or not."""
        if self.nominal_date is None:
            return []
        ended = [(p, r) for p, r in self.frozen if r is not None]
        return list(_months_end(self.nominal_date, ended, self.calendar))

    def remaining(self, today: date) -> int:
        """Open days that count, strictly after `today` and up to the due date: 0 is today, negative is late. Paused: what is left."""
        if self.due_date is None:
            return self.days_left or 0
        if today > self.due_date:
            return self.calendar.open_between(today, self.due_date)
        today = max(today, self.effective_receipt_date)  # no day up to receipt counts, however late it was taken to be
        return self.calendar.open_between(today, self.due_date) - sum(
            self.calendar.open_between(max(p, today), min(r, self.due_date))
            for p, r in self.frozen
            if r is not None and r > today and p < self.due_date
        )


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


def deadline(
    received_at: datetime,
    term: Term,
    calendar: Calendar,
    zone: ZoneInfo,
    policy: Policy,
    acts: Sequence[Act] = (),
) -> Deadline:
    """The deadline of a request received at this instant, under this term, calendar and policy, after these acts in any order.

    Each act is judged by what was in force when it took effect. Raises `OutOfCalendar` for dates no calendar reaches and `ValueError`
    for an instant without offset.
    """
    if acts:
        return _Clock(received_at, term, calendar, zone, policy).run(acts)
    received = effective_receipt_date(received_at, calendar, zone, policy)
    nominal = None
    if term.unit == "business_days":
        first: date | None = calendar.open_after(received, 1)
        due = calendar.open_after(received, term.n)
        soon: date | None = calendar.open_before(due, due_soon_days(term.n))
    else:
        first, nominal, due = _other_units(received, term, term.n, calendar)
        soon = _soon_in_open_days(received, due, calendar)
    return Deadline(
        term,
        calendar,
        received,
        due,
        _overdue_at(due, zone, policy),
        first,
        nominal,
        soon,
        calendar.open_after(due, term.copies_within) if term.copies_within else None,
    )


def set_deadline(
    received_at: datetime, due: date, calendar: Calendar, zone: ZoneInfo, policy: Policy, acts: Sequence[Act] = ()
) -> Deadline:
    """The deadline of a request whose due date the asking authority set, as the Council or a court does: nothing is counted or moved.

    Only a stop is admitted. Raises `OutOfCalendar` for dates no calendar reaches.
    """
    if not FIRST <= due <= LAST:
        raise OutOfCalendar(str(due))
    received = effective_receipt_date(received_at, calendar, zone, policy)
    overdue_at = _overdue_at(due, zone, policy)
    stopped_at: datetime | None = None
    rejected: dict[int, Rejection] = {}
    for place in sorted(range(len(acts)), key=lambda place: acts[place].at):
        act = acts[place]
        if isinstance(act, ClosuresAdded | ClosuresRemoved | CalendarChanged):
            continue
        if act.at < received_at:
            rejected[place] = "before_receipt"
        elif stopped_at is not None:
            rejected[place] = "stopped"
        elif isinstance(act, Pause | Resume | Extend | Retype):
            rejected[place] = "date_set"
        elif isinstance(act, Stop) or not act.internal:
            stopped_at = act.at
    return Deadline(
        term=None,
        calendar=calendar,
        effective_receipt_date=received,
        due_date=due,
        overdue_at=overdue_at,
        due_soon_from=_soon_in_open_days(received, due, calendar),
        stopped_at=stopped_at,
        on_time=stopped_at < overdue_at if stopped_at else None,
        rejected=rejected,
    )


def due_soon_days(n: int) -> int:
    """How many open days before its due date a term of `n` days is due soon: a convention of ours, not of the law."""
    return min(7, max(1, ceil(0.3 * n)))


def _soon_in_open_days(received: date, due: date, calendar: Calendar) -> date | None:
    """For terms that are not of open days: due soon by the open days they span. None where not one lies before the due date."""
    span = calendar.open_between(received, due)
    if span < 1:
        return None
    return calendar.open_before(calendar.open_from(due), due_soon_days(span))


def _other_units(received: date, term: Term, n: int, calendar: Calendar) -> tuple[date | None, date | None, date]:
    """First counted, nominal and due date of a term of calendar days, which does not roll, or of months, which does."""
    if term.unit == "calendar_days":
        # The authority's own duty is read at its strictest: calendar days do not roll.
        return received + _ONE_DAY, None, received + timedelta(days=n)
    nominal = months_after(received, n)
    return None, nominal, calendar.open_from(nominal)


def _months_end(nominal: date, frozen: Iterable[tuple[date, date]], calendar: Calendar) -> Iterator[date]:
    """Where a term of months ends after each of its pauses: later by the days frozen, and never within them."""
    for p, r in frozen:
        if p < calendar.open_from(nominal):
            nominal = max(nominal + (r - p), r + _ONE_DAY)
        yield nominal


def _overdue_at(due: date, zone: ZoneInfo, policy: Policy) -> datetime:
    if policy.overdue == "office_close":
        return datetime.combine(due, policy.office_close, zone)
    return datetime.combine(due + _ONE_DAY, _MIDNIGHT, zone)


@dataclass
class _Clock:
    """The state while acts are taken in, one after the other."""

    received_at: datetime
    term: Term
    calendar: Calendar
    zone: ZoneInfo
    policy: Policy
    frozen: list[tuple[date, date]] = field(default_factory=list)
    asked: dict[date, date] = field(default_factory=dict)
    """By the last of the frozen days, the day completing was asked for."""
    paused_on: date | None = None
    due_when_paused: date | None = None
    extended: Extend | None = None
    extended_unit: Unit | None = None
    asked_late: bool = False
    citizen_due: list[date] = field(default_factory=list)
    transferred: Transferred | None = None
    stopped_at: datetime | None = None
    on_time: bool | None = None
    rejected: dict[int, Rejection] = field(default_factory=dict)

    def run(self, acts: Sequence[Act]) -> Deadline:
        if any(act.at.tzinfo is None for act in acts):
            raise ValueError("an act needs an offset")
        self._receive()
        # Python compares two instants of one zone by their wall clocks, which lie while daylight saving ends.
        self.received_at = self.received_at.astimezone(UTC)
        acts = [replace(act, at=act.at.astimezone(UTC)) for act in acts]
        self.due: date | None = self._due()
        waiting = sorted(range(len(acts)), key=lambda place: _order(acts[place]))
        while waiting:
            # At one instant a pause goes before the answer to it, but behind the answer to an earlier one.
            place = waiting[0]
            if self.paused_on is not None and isinstance(acts[place], Pause):
                same = [p for p in waiting if acts[p].at == acts[place].at and isinstance(acts[p], Resume)]
                place = same[0] if same else place
            waiting.remove(place)
            why = self._take(acts[place])
            if why is not None:
                self.rejected[place] = why
            elif self.stopped_at is None:
                self.due = self._due()
        return self._deadline()

    def _receive(self) -> None:
        self.received = effective_receipt_date(self.received_at, self.calendar, self.zone, self.policy)

    @property
    def added(self) -> int:
        """What was added by extending, as far as the present term allows it."""
        if self.extended is None or self.extended_unit != self.term.unit:
            return 0
        return min(self.extended.added, self.term.extension_max_added or 0)

    def _take(self, act: Act) -> Rejection | None:
        if self.stopped_at is not None:
            return None if isinstance(act, ClosuresAdded | ClosuresRemoved | CalendarChanged) else "stopped"
        match act:
            case CalendarChanged():
                self.calendar = act.calendar
                self._receive()
            case ClosuresAdded():
                self.calendar = self.calendar.closing(act.closures)
                self._receive()
            case ClosuresRemoved():
                self.calendar = self.calendar.opening(act.days)
                self._receive()
            case _ if act.at < self.received_at:
                return "before_receipt"
            case Pause():
                return self._pause(act)
            case Resume():
                return self._resume(act)
            case Extend():
                return self._extend(act)
            case Retype():
                return self._retype(act)
            case Transfer():
                return self._transfer(act)
            case Stop():
                return self._stop(act)
        return None

    def _overdue(self, at: datetime) -> bool:
        return self.due is not None and at >= _overdue_at(self.due, self.zone, self.policy)

    def _day(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()

    def _pause(self, act: Pause) -> Rejection | None:
        if self.paused_on is not None:
            return "already_paused"
        if self._overdue(act.at):
            return "pause_overdue"
        day = self._day(act.at)
        self.paused_on, self.due_when_paused = day, self.due
        within = self.policy.ask_within
        if within is not None and day > self.calendar.open_after(self.received, within):
            self.asked_late = True
        if self.policy.complete_within is not None:
            self.citizen_due.append(self.calendar.open_from(months_after(day, self.policy.complete_within)))
        return None

    def _resume(self, act: Resume) -> Rejection | None:
        if self.paused_on is None:
            return "not_paused"
        answered = self._day(act.at)
        if answered > self.paused_on:  # answered the same day, it has had no effect
            self.frozen.append((self._frozen_from(self.paused_on), answered))
            self.asked[answered] = self.paused_on
        self.paused_on = None
        return None

    def _frozen_from(self, paused_on: date) -> date:
        """The day of the pause counts, unless it was the last: one day remains to answer in."""
        return paused_on - _ONE_DAY if paused_on == self.due_when_paused else paused_on

    def _extend(self, act: Extend) -> Rejection | None:
        if self.term.extension_max_added is None:
            return "not_extendable"
        if self.paused_on is not None:
            return "extension_while_paused"
        if self.extended:
            return "extended_already"
        if self._overdue(act.at):
            return "extension_overdue"
        if not 0 < act.added <= self.term.extension_max_added:
            return "extension_too_long"
        self.extended, self.extended_unit = act, self.term.unit
        return None

    def _retype(self, act: Retype) -> Rejection | None:
        before = self.term
        late = self._overdue(act.at)
        self.term = act.term
        due = self._due()
        if late and not act.by_supervisor and self.due is not None and due is not None and due > self.due:
            self.term = before
            return "retype_overdue"
        # Where the true term had run out before anybody counted it, no silence under it has granted anything: a person decides.
        if due is not None and act.at >= _overdue_at(due, self.zone, self.policy):
            self.term = replace(act.term, copies_within=None)
        return None

    def _transfer(self, act: Transfer) -> Rejection | None:
        if act.internal:
            return None
        within = self.policy.transfer_within
        due = self.calendar.open_after(self.received, within) if within else None
        received = act.receiver_received_at
        theirs = received and deadline(received, self.term, self.calendar, self.zone, self.policy)
        self.transferred = Transferred(
            due,
            act.at < _overdue_at(due, self.zone, self.policy) if due else None,
            theirs.first_counted_day if theirs else None,
            theirs.due_date if theirs else None,
            theirs.overdue_at if theirs else None,
        )
        return self._stop(Stop(act.at))

    def _stop(self, act: Stop) -> Rejection | None:
        self.stopped_at, self.on_time = act.at, not self._overdue(act.at)
        return None

    def _frozen_now(self) -> list[tuple[date, date]]:
        """The days frozen by pauses that have ended, none before receipt, none twice."""
        merged: list[tuple[date, date]] = []
        for start, end in self.frozen:
            after = max(start, self.received, merged[-1][1] if merged else start)
            if end > after:
                merged.append((after, end))
        return merged

    def _due(self) -> date | None:
        if self.paused_on is not None:
            return None
        n = self.term.n + self.added
        frozen = self._frozen_now()
        if self.term.unit == "months":
            nominal = months_after(self.received, n)
            return self.calendar.open_from([nominal, *_months_end(nominal, frozen, self.calendar)][-1])
        if self.term.unit == "calendar_days":
            return _nth(lambda k: self.received + timedelta(days=k), n, frozen, lambda p, r: (r - p).days)
        return _nth(lambda k: self.calendar.open_after(self.received, k), n, frozen, self.calendar.open_between)

    def _left(self, n: int, paused_on: date) -> int:
        """How many days of the term remain at the end of the day of the pause: open ones, or calendar days of the other units."""
        if self.term.unit == "months":
            return (self.due_when_paused - paused_on).days if self.due_when_paused else 0
        frozen = self._frozen_now()
        start = max(self._frozen_from(paused_on), self.received)
        between = self.calendar.open_between if self.term.unit == "business_days" else (lambda p, r: (r - p).days)
        return n - between(self.received, start) + sum(between(p, min(r, start)) for p, r in frozen if p < start)

    def _deadline(self) -> Deadline:
        n = self.term.n + self.added
        frozen: list[tuple[date, date | None]] = list(self._frozen_now())
        asked = [self.asked[end] for _, end in self._frozen_now()]
        left = nominal = None
        if self.paused_on is not None:
            frozen.append((max(self._frozen_from(self.paused_on), self.received), None))
            asked.append(self.paused_on)
            left = max(1, self._left(n, self.paused_on))
        if self.term.unit == "months":
            first, nominal = None, months_after(self.received, n)
        else:
            first = self._first_counted(frozen)
        due, copies = self.due, self.term.copies_within
        return Deadline(
            term=self.term,
            calendar=self.calendar,
            effective_receipt_date=self.received,
            due_date=due,
            overdue_at=_overdue_at(due, self.zone, self.policy) if due else None,
            first_counted_day=first,
            nominal_date=nominal,
            due_soon_from=self._soon(due, n) if due else None,
            deliver_copies_by=self.calendar.open_after(due, copies) if due and copies else None,
            added=self.added,
            frozen=tuple(frozen),
            asked_on=tuple(asked),
            days_left=left,
            citizen_due_dates=tuple(self.citizen_due),
            asked_late=self.asked_late,
            transferred=self.transferred,
            stopped_at=self.stopped_at,
            on_time=self.on_time,
            rejected=self.rejected,
        )

    def _first_counted(self, frozen: Iterable[tuple[date, date | None]]) -> date | None:
        step = self.calendar.open_after if self.term.unit == "business_days" else (lambda d, n: d + timedelta(days=n))
        day = step(self.received, 1)
        for start, end in frozen:
            if start < day:
                if end is None:
                    return None
                if day <= end:
                    day = step(end, 1)
        return day

    def _soon(self, due: date, n: int) -> date | None:
        if self.term.unit != "business_days":
            return _soon_in_open_days(self.received, due, self.calendar)
        return self.calendar.open_before(due, due_soon_days(n))


def _order(act: Act) -> tuple[datetime, int, str]:
    """Acts by when they took effect; those of one instant in an order of their own, so that the order of recording does not matter."""
    return act.at, _RANK[type(act)], "" if isinstance(act, CalendarChanged) else repr(act)


def _nth(
    step: Callable[[int], date], n: int, frozen: Sequence[tuple[date, date]], between: Callable[[date, date], int]
) -> date:
    """The n-th day that `step` gives and no pause has frozen."""
    k = n
    while True:
        day = step(k)
        lost = sum(between(p, min(r, day)) for p, r in frozen if p < day)
        if n + lost == k:
            return day
        k = n + lost
