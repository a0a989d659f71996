"""The pure core against the worked cases, what must hold for any dates, and a slow count written from the law."""

import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tejido_requests.clocks import words
from tejido_shared.deadlines import (
    Act,
    Calendar,
    CalendarChanged,
    Closed,
    ClosuresAdded,
    ClosuresRemoved,
    Deadline,
    Extend,
    OutOfCalendar,
    Pause,
    Policy,
    Resume,
    Retype,
    Stop,
    Term,
    Transfer,
    deadline,
    effective_receipt_date,
    months_after,
    set_deadline,
)
from tejido_shared.deadlines.cases import Cases, Misshapen, differences

BOGOTA = ZoneInfo("America/Bogota")
CORPUS = Closed("Corpus Christi", "Ley 51 de 1983")
FIFTEEN = Term("business_days", 15, None, 15)


def _calendar(days: set[date], weekdays: str = "1111100") -> Calendar:
    return Calendar(weekdays, dict.fromkeys(days, CORPUS))


# The worked cases


def test_every_worked_case_on_every_field(handouts: Path) -> None:
    cases = Cases(json.loads((handouts / "vectors" / "deadlines.json").read_text()))
    differ = {case["id"]: differences(cases.computed(case), case["expected"]) for case in cases}
    assert {case: fields for case, fields in differ.items() if fields} == {}
    assert len(differ) == 80


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"received_at": "2026-01-01T10:00:00"}, "received_at"),
        ({"timezone": "America/Macondo"}, "timezone"),
        ({"rule": "co.none"}, "terms.co.none"),
        ({"rule": "co.weeks"}, "terms.co.weeks.unit"),
        ({"rule": "co.zero"}, "terms.co.zero.n"),
        ({"calendar": "none"}, "calendars.none"),
        ({"policy": {"cutoff": "late"}}, "policy.cutoff"),
        ({"policy": {"receipt_rule": "roll_after_hours", "cutoff": "17:00-05:00"}}, "policy.cutoff"),
        ({"policy": {"cut_off": "17:00"}}, "policy.cut_off"),
        ({"policy": {"weekdays": ["1", "1", "1", "1", "1", "0", "0"]}}, "policy.weekdays"),
        ({"policy": {"receipt_rule": "whenever"}}, "policy.receipt_rule"),
        ({"policy": {"weekdays": "0000000"}}, "policy.weekdays"),
        ({"events": {}}, "events"),
        ({"events": [{"kind": "pause", "at": "2026-01-02T10:00:00Z"}, {"kind": "resume"}]}, "events[1].at"),
        ({"events": [{"kind": "nap", "at": "2026-01-02T10:00:00Z"}]}, "events[0].kind"),
        ({"events": [{"kind": "extend", "at": "2026-01-02T10:00:00Z", "days": "5"}]}, "events[0].days"),
        ({"events": [{"kind": "holiday_added", "at": "2026-01-02T10:00:00Z", "dates": "2026"}]}, "events[0].dates"),
    ],
)
def test_a_case_without_the_shape_is_refused_by_the_name_of_the_key(changed: dict[str, Any], key: str) -> None:
    case = {"rule": "co.general", "timezone": "America/Bogota", "calendar": "CO", "received_at": "2026-01-01T10:00:00Z"}
    policy = {"receipt_rule": "same_day", "cutoff": "17:00", "overdue": "end_of_day", "office_close": "17:00"}
    cases = Cases(
        {
            "default_policy": {**policy, "weekdays": "1111100"},
            "terms": {
                "co.general": {"unit": "business_days", "n": 15},
                "co.weeks": {"unit": "weeks", "n": 2},
                "co.zero": {"unit": "business_days", "n": 0},
            },
            "calendars": {"CO": {"closed": []}},
            "vectors": [],
        }
    )
    assert cases.computed(case)["due_date"] == "2026-01-22"
    with pytest.raises(Misshapen) as refused:
        cases.computed({**case, **changed})
    assert refused.value.key == key


# What holds for any dates

_WEEKS = ("1111100", "1111100", "1111110", "1111111", "1010000")
_YEARS = (date(2019, 1, 1), date(2032, 12, 31))


@cache
def _pool() -> list[tuple[Calendar, list[Calendar]]]:
    """Calendars, each with others that have some more closures: made once, for making one takes as long as a thousand counts."""
    chance = random.Random(4)
    span = (_YEARS[1] - _YEARS[0]).days

    def some(n: int) -> dict[date, Closed]:
        return {_YEARS[0] + timedelta(days=chance.randrange(span)): CORPUS for _ in range(n)}

    pool = []
    for week in _WEEKS:
        base = Calendar(week, some(180))
        runs = {_YEARS[0] + timedelta(days=first + n): CORPUS for first in range(0, span, 97) for n in range(9)}
        pool.append((base, [base.closing(some(400)), base.closing(some(2500)), base.closing(runs)]))
    return pool


calendars = st.builds(lambda at: _pool()[at][0], st.integers(0, len(_WEEKS) - 1))
closed_more = st.builds(
    lambda at, more: (_pool()[at][0], _pool()[at][1][more]), st.integers(0, len(_WEEKS) - 1), st.integers(0, 2)
)
months = st.builds(Term, st.just("months"), st.integers(1, 4), st.none(), st.none() | st.integers(1, 3))
terms = st.one_of(
    st.builds(Term, st.just("business_days"), st.integers(1, 40), st.none(), st.none() | st.integers(1, 20)),
    st.builds(Term, st.just("calendar_days"), st.integers(1, 60), st.none(), st.none() | st.integers(1, 20)),
    months,
)
policies = st.builds(
    Policy,
    st.sampled_from(["same_day", "roll_nonbusiness", "roll_after_hours"]),
    overdue=st.sampled_from(["end_of_day", "office_close"]),
    ask_within=st.sampled_from([None, 10]),
    complete_within=st.sampled_from([None, 1]),
    transfer_within=st.sampled_from([None, 5]),
)
_HOURS = (time(), time(9), time(16, 59, 59), time(17), time(23, 59, 59))
receipts = st.builds(
    lambda day, hour: datetime.combine(day, hour, BOGOTA),
    st.dates(date(2020, 1, 1), date(2030, 12, 31)),
    st.sampled_from(_HOURS),
)
shifts = st.builds(
    lambda days, hour: timedelta(days=days, hours=hour.hour, minutes=hour.minute, seconds=hour.second),
    st.integers(0, 90),
    st.sampled_from(_HOURS),
)


def _acts(*kinds: type) -> st.SearchStrategy[list[tuple[timedelta, Any]]]:
    """Acts still without an instant: how long after midnight of the day of receipt, and what makes the act of an instant."""
    makers: dict[type, st.SearchStrategy[Any]] = {
        Pause: st.just(Pause),
        Resume: st.just(Resume),
        Extend: st.builds(lambda added: lambda at: Extend(at, added), st.integers(0, 25)),
        Retype: st.builds(lambda term, boss: lambda at: Retype(at, term, boss), terms, st.booleans()),
        Transfer: st.builds(lambda internal: lambda at: Transfer(at, internal), st.sampled_from([True, True, False])),
        CalendarChanged: st.builds(lambda calendar: lambda at: CalendarChanged(at, calendar), calendars),
        Stop: st.just(Stop),
    }
    return st.lists(st.tuples(shifts, st.one_of([makers[kind] for kind in kinds])), max_size=6)


def _dated(received: datetime, acts: list[tuple[timedelta, Any]]) -> list[Act]:
    midnight = datetime.combine(received.date(), time(), BOGOTA)
    return [make(midnight + shift) for shift, make in acts]


ANY_ACT = _acts(Pause, Pause, Resume, Resume, Extend, Retype, Transfer, CalendarChanged, Stop)
_SOON = st.builds(lambda days, hours: timedelta(days=days, hours=hours), st.integers(0, 25), st.integers(0, 23))
WITH_PAUSES = st.builds(
    lambda spans, acts: [
        *acts,
        *((at, kind) for span in spans for at, kind in zip(sorted(span), (Pause, Resume), strict=True)),
    ],
    st.lists(st.tuples(_SOON, _SOON), max_size=2),
    ANY_ACT | st.just([]),
)
NO_PAUSE = _acts(Extend, Retype, CalendarChanged, Stop)


def _days(found: Deadline) -> list[tuple[date, int | None]]:
    return [(one.day, one.ordinal) for one in found.days()]


@given(received=receipts, term=terms, both=closed_more, policy=policies, acts=_acts(Pause, Resume, Extend, Retype))
def test_a_closure_more_never_brings_a_date_forward(
    received: datetime, term: Term, both: tuple[Calendar, Calendar], policy: Policy, acts: list[Any]
) -> None:
    before, after = (deadline(received, term, some, BOGOTA, policy, _dated(received, acts)) for some in both)
    assume(before.rejected == after.rejected)
    assert (before.due_date is None) == (after.due_date is None)
    if before.due_date and after.due_date:
        assert after.due_date >= before.due_date


@given(
    received=receipts, term=terms, calendar=calendars, policy=policies, acts=NO_PAUSE, ends=st.tuples(shifts, shifts)
)
def test_a_pause_never_brings_a_date_forward(
    received: datetime, term: Term, calendar: Calendar, policy: Policy, acts: list[Any], ends: tuple[Any, Any]
) -> None:
    without = _dated(received, acts)
    paused = without + _dated(received, [(min(ends), Pause), (max(ends), Resume)])
    before = deadline(received, term, calendar, BOGOTA, policy, without)
    after = deadline(received, term, calendar, BOGOTA, policy, paused)
    assume({place: why for place, why in after.rejected.items() if place < len(without)} == before.rejected)
    assert before.due_date
    if after.due_date:
        assert after.due_date >= before.due_date


@given(
    received=receipts,
    term=terms,
    calendar=calendars,
    policy=policies,
    acts=_acts(Extend),
    cuts=st.lists(shifts, min_size=3, max_size=3, unique=True).map(sorted),
)
def test_splitting_a_pause_in_two_adjacent_ones_changes_nothing(
    received: datetime, term: Term, calendar: Calendar, policy: Policy, acts: list[Any], cuts: list[timedelta]
) -> None:
    asked, between, completed = cuts
    others = _dated(received, [act for act in acts if act[0] != between])
    whole = deadline(
        received, term, calendar, BOGOTA, policy, _dated(received, [(asked, Pause), (completed, Resume)]) + others
    )
    assume(not {0, 1} & whole.rejected.keys())
    parts = [(asked, Pause), (between, Pause), (between, Resume), (completed, Resume)]
    split = deadline(received, term, calendar, BOGOTA, policy, _dated(received, parts) + others)
    assert [place - 2 for place in split.rejected] == list(whole.rejected)
    assert split.due_date == whole.due_date
    assert split.first_counted_day == whole.first_counted_day
    assert _days(split) == _days(whole)


@given(received=receipts, term=terms, calendar=calendars, policy=policies, acts=ANY_ACT, chance=st.randoms())
def test_the_order_of_recording_does_not_matter(
    received: datetime, term: Term, calendar: Calendar, policy: Policy, acts: list[Any], chance: random.Random
) -> None:
    first = _dated(received, acts)
    changes = [act.at for act in first if isinstance(act, CalendarChanged)]
    assume(len(changes) == len(set(changes)))  # of two calendars decreed at one instant, the one named last counts
    places = list(range(len(first)))
    chance.shuffle(places)
    one = deadline(received, term, calendar, BOGOTA, policy, first)
    other = deadline(received, term, calendar, BOGOTA, policy, [first[place] for place in places])
    assert one._replace(rejected={}) == other._replace(rejected={})
    assert sorted(one.rejected.values()) == sorted(other.rejected.values())


@given(
    received=receipts,
    term=terms,
    calendar=calendars,
    policy=policies,
    acts=ANY_ACT,
    hours=st.lists(st.integers(-12, 14), min_size=7, max_size=7),
)
def test_the_offset_an_instant_is_written_in_does_not_matter(
    received: datetime, term: Term, calendar: Calendar, policy: Policy, acts: list[Any], hours: list[int]
) -> None:
    zones = [timezone(timedelta(hours=h)) for h in hours]
    here = _dated(received, acts)
    elsewhere = [replace(act, at=act.at.astimezone(zone)) for act, zone in zip(here, zones, strict=False)]
    assert deadline(received, term, calendar, BOGOTA, policy, here) == deadline(
        received.astimezone(zones[-1]), term, calendar, BOGOTA, policy, elsewhere
    )


@given(received=receipts, term=terms, calendar=calendars, policy=policies, acts=WITH_PAUSES)
def test_remaining_and_counted_make_the_term_on_each_day_of_the_span(
    received: datetime, term: Term, calendar: Calendar, policy: Policy, acts: list[Any]
) -> None:
    found = deadline(received, term, calendar, BOGOTA, policy, _dated(received, acts))
    assume(found.term and found.term.unit != "months")
    ordinals = [ordinal for _, ordinal in _days(found) if ordinal]
    assert ordinals == list(range(1, len(ordinals) + 1))
    if found.due_date is None:
        assert found.paused
        # Less than a day left: the type was corrected to a term that had run out; one day is left all the same.
        assert len(ordinals) + (found.days_left or 0) == found.length or found.days_left == 1
        return
    assert len(ordinals) == found.length
    assert _days(found)[-1] == (found.due_date, found.length)
    assert found.first_counted_day == next(day for day, ordinal in _days(found) if ordinal)
    if found.term and found.term.unit == "business_days":
        counted, ends = 0, {found.effective_receipt_date: 0}
        for day, ordinal in _days(found):
            counted += ordinal is not None
            ends[day] = counted
        for today, so_far in ends.items():
            assert so_far + found.remaining(today) == found.length
        assert found.remaining(received.astimezone(BOGOTA).date()) == found.length


@given(received=receipts, term=terms, calendar=calendars, policy=policies, acts=ANY_ACT, which=st.integers(0, 5))
def test_a_rejected_act_changes_nothing(
    received: datetime, term: Term, calendar: Calendar, policy: Policy, acts: list[Any], which: int
) -> None:
    all_ = _dated(received, acts)
    found = deadline(received, term, calendar, BOGOTA, policy, all_)
    assume(found.rejected)
    admitted = [act for place, act in enumerate(all_) if place not in found.rejected]
    alone = deadline(received, term, calendar, BOGOTA, policy, admitted)
    assert alone == found._replace(rejected={})
    one = sorted(found.rejected)[which % len(found.rejected)]
    rest = deadline(received, term, calendar, BOGOTA, policy, [act for at, act in enumerate(all_) if at != one])
    assert rest._replace(rejected={}) == alone


@given(received=receipts, term=terms, calendar=calendars, policy=policies, acts=ANY_ACT | _acts(Extend, Retype))
def test_what_is_added_never_passes_the_cap(
    received: datetime, term: Term, calendar: Calendar, policy: Policy, acts: list[Any]
) -> None:
    found = deadline(received, term, calendar, BOGOTA, policy, _dated(received, acts))
    assert found.term
    assert 0 <= found.added <= (found.term.extension_max_added or 0)


@given(received=receipts, term=terms, calendar=calendars, policy=policies, acts=ANY_ACT, at=shifts, later=ANY_ACT)
def test_nothing_changes_after_the_stop(
    received: datetime, term: Term, calendar: Calendar, policy: Policy, acts: list[Any], at: timedelta, later: list[Any]
) -> None:
    stopped = _dated(received, [*(act for act in acts if act[0] <= at), (at, Stop)])
    assume(stopped[-1].at >= received)
    after = _dated(received, [(at + timedelta(seconds=1) + shift, make) for shift, make in later])
    found = deadline(received, term, calendar, BOGOTA, policy, stopped)
    more = deadline(received, term, calendar, BOGOTA, policy, stopped + after)
    assert found.on_time is not None
    assert more._replace(rejected={}) == found._replace(rejected={})
    assert set(more.rejected.values()) <= {*found.rejected.values(), "stopped"}


@given(received=receipts, term=terms, both=closed_more, policy=policies, at=shifts)
def test_a_closure_declared_late_gives_the_date_it_would_have_given_early(
    received: datetime, term: Term, both: tuple[Calendar, Calendar], policy: Policy, at: timedelta
) -> None:
    before, after = both
    changed = deadline(
        received, term, before, BOGOTA, policy, _dated(received, [(at, lambda at: CalendarChanged(at, after))])
    )
    assert changed == deadline(received, term, after, BOGOTA, policy)


# A slow count of its own, day by day, written from the law


@dataclass
class _Count:
    """A clerk with a wall calendar. Ley 4/1913 arts. 59-62, Ley 1755/2015 arts. 14, 17 and 21, and the readings chosen for them."""

    received_at: datetime
    term: Term
    calendar: Calendar
    policy: Policy
    extension: tuple[str, int] | None = None
    pauses: list[tuple[date, date]] = field(default_factory=list)
    """First and last day taken out of the count."""
    asked: date | None = None
    asked_on_the_last_day: bool = False
    asked_late: bool = False
    left: int | None = None
    citizen: list[date] = field(default_factory=list)
    copies: bool = True
    on_time: bool | None = None
    rejected: dict[int, str] = field(default_factory=dict)
    sent_by: date | None = None

    def open(self, day: date) -> bool:
        return self.calendar.weekdays[day.weekday()] == "1" and day not in self.calendar.closures

    def next_open(self, day: date) -> date:
        while not self.open(day):
            day += timedelta(days=1)
        return day

    def nth_open_after(self, day: date, n: int) -> date:
        while n:
            day += timedelta(days=1)
            n -= self.open(day)
        return day

    def receipt(self) -> date:
        day, hour = self.received_at.date(), self.received_at.time()
        rule = self.policy.receipt_rule
        late = rule == "roll_after_hours" and self.open(day) and hour >= self.policy.cutoff
        if late or rule != "same_day":
            return self.next_open(day + timedelta(days=1) if late else day)
        return day

    def length(self) -> int:
        if self.extension and self.extension[0] == self.term.unit:
            return self.term.n + min(self.extension[1], self.term.extension_max_added or 0)
        return self.term.n

    def counts(self, day: date) -> bool:
        if self.term.unit == "business_days" and not self.open(day):
            return False
        return not any(first <= day <= last for first, last in self.pauses)

    def due(self) -> date:
        if self.term.unit == "months":
            month = self.receipt().month - 1 + self.length()
            year, month = self.receipt().year + month // 12, month % 12 + 1
            number = self.receipt().day
            while True:
                try:
                    end = date(year, month, number)
                    break
                except ValueError:
                    number -= 1
            for asked, last in self.pauses:
                first = max(asked, self.receipt() + timedelta(days=1))
                if first <= last and first <= self.next_open(end):
                    end = max(end + (last - first) + timedelta(days=1), last + timedelta(days=1))
            return self.next_open(end)
        day, left = self.receipt(), self.length()
        while left:
            day += timedelta(days=1)
            left -= self.counts(day)
        return day

    def ends(self, due: date) -> datetime:
        if self.policy.overdue == "office_close":
            return datetime.combine(due, self.policy.office_close, BOGOTA)
        return datetime.combine(due + timedelta(days=1), time(), BOGOTA)

    def late(self, at: datetime) -> bool:
        return self.asked is None and at >= self.ends(self.due())

    def take(self, act: Act) -> str | None:
        if isinstance(act, CalendarChanged):
            if self.on_time is None:
                self.calendar = act.calendar
            return None
        if self.on_time is not None:
            return "stopped"
        if act.at < self.received_at:
            return "before_receipt"
        day = act.at.date()
        match act:
            case Pause():
                if self.asked:
                    return "already_paused"
                if self.late(act.at):
                    return "pause_overdue"
                due = self.due()
                self.asked, self.asked_on_the_last_day = day, day == due
                if self.term.unit == "months":
                    self.left = max(1, (due - day).days)
                else:
                    counted, one = 0, self.receipt()
                    while one < day:
                        one += timedelta(days=1)
                        counted += self.counts(one)
                    self.left = max(1, self.length() - counted)
                within = self.policy.ask_within
                self.asked_late |= bool(within and day > self.nth_open_after(self.receipt(), within))
                if self.policy.complete_within:
                    self.citizen.append(self.next_open(months_after(day, self.policy.complete_within)))
            case Resume():
                if not self.asked:
                    return "not_paused"
                if day > self.asked:
                    self.pauses.append((self.asked + timedelta(days=not self.asked_on_the_last_day), day))
                self.asked = self.left = None
            case Extend():
                if self.term.extension_max_added is None:
                    return "not_extendable"
                if self.asked:
                    return "extension_while_paused"
                if self.extension:
                    return "extended_already"
                if self.late(act.at):
                    return "extension_overdue"
                if not 1 <= act.added <= self.term.extension_max_added:
                    return "extension_too_long"
                self.extension = self.term.unit, act.added
            case Retype():
                before, late = self.term, self.late(act.at)
                old = None if self.asked else self.due()
                self.term = act.term
                if self.asked:
                    return None
                assert old
                if late and self.due() > old and not act.by_supervisor:
                    self.term = before
                    return "retype_overdue"
                self.copies = act.at < self.ends(self.due())
            case Transfer():
                if act.internal:
                    return None
                if self.policy.transfer_within:
                    self.sent_by = self.nth_open_after(self.receipt(), self.policy.transfer_within)
                self.on_time = not self.late(act.at)
            case Stop():
                self.on_time = not self.late(act.at)
        return None

    def run(self, acts: Sequence[Act]) -> None:
        for place in sorted(range(len(acts)), key=lambda place: acts[place].at):
            why = self.take(acts[place])
            if why:
                self.rejected[place] = why

    def found(self, today: date) -> dict[str, Any]:
        """The results by the names that `Deadline` has for them."""
        out: dict[str, Any] = {
            "rejected": self.rejected,
            "on_time": self.on_time,
            "asked_late": self.asked_late,
            "citizen_due_dates": tuple(self.citizen),
            "effective_receipt_date": self.receipt(),
            "length": self.length(),
            "sent_by": self.sent_by,
        }
        if self.asked:
            return out
        due = self.due()
        out |= {"due_date": due, "overdue_at": self.ends(due)}
        day = self.receipt()
        if self.term.unit != "months":
            walked: list[tuple[date, int | None]] = []
            ordinal = 0
            while day < due:
                day += timedelta(days=1)
                ordinal += self.counts(day)
                walked.append((day, ordinal if self.counts(day) else None))
            out["days"] = walked
        if self.term.unit == "business_days":
            soon, steps = due, min(7, max(1, -(-3 * self.length() // 10)))
            while steps:
                soon -= timedelta(days=1)
                steps -= self.open(soon)
            out["due_soon_from"] = soon
            left, one = 0, min(today, due)
            while one < max(today, due):
                one += timedelta(days=1)
                if today > due:
                    left -= self.open(one)
                elif one > self.receipt():
                    left += self.counts(one)
            out["remaining"] = left
        out["deliver_copies_by"] = (
            self.nth_open_after(due, self.term.copies_within) if self.copies and self.term.copies_within else None
        )
        return out


def _by_the_core(found: Deadline, today: date) -> dict[str, Any]:
    out: dict[str, Any] = {
        "rejected": found.rejected,
        "on_time": found.on_time,
        "asked_late": found.asked_late,
        "citizen_due_dates": found.citizen_due_dates,
        "effective_receipt_date": found.effective_receipt_date,
        "length": found.length,
        "sent_by": found.transferred.due_date if found.transferred else None,
    }
    if found.due_date is None:
        return out
    assert found.term
    out |= {"due_date": found.due_date, "overdue_at": found.overdue_at, "deliver_copies_by": found.deliver_copies_by}
    if found.term.unit != "months":
        out["days"] = _days(found)
    if found.term.unit == "business_days":
        out |= {"due_soon_from": found.due_soon_from, "remaining": found.remaining(today)}
    return out


def _random_term(chance: random.Random) -> Term:
    unit = chance.choice(["business_days"] * 6 + ["calendar_days", "months"])
    longest = {"business_days": 30, "calendar_days": 45, "months": 3}[unit]
    copies, cap = chance.choice([None, 3]), chance.choice([None, 5, 15])
    return Term(unit, chance.randint(1, longest), copies, cap)  # type: ignore[arg-type]


def _random_act(chance: random.Random, at: datetime) -> Act:
    match chance.choice("ppprrreeettcxs"):
        case "p":
            return Pause(at)
        case "r":
            return Resume(at)
        case "e":
            return Extend(at, chance.choice([0, 1, 3, 5, 8, 15, 16]))
        case "t":
            return Retype(at, _random_term(chance), chance.random() < 0.3)
        case "c":
            return CalendarChanged(at, chance.choice(_all_calendars()))
        case "x":
            return Transfer(at, chance.random() < 0.5)
    return Stop(at)


@cache
def _all_calendars() -> list[Calendar]:
    return [calendar for base, more in _pool() for calendar in (base, *more)]


def test_a_slow_count_day_by_day_agrees_on_a_hundred_thousand_cases(capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(20261120)
    calendars_ = _all_calendars()
    cases, acts_seen, admitted, reasons = 100_000, 0, 0, set()
    for number in range(cases):
        day = date(2020, 1, 1) + timedelta(days=chance.randrange(4000))
        received = datetime.combine(day, chance.choice(_HOURS), BOGOTA)
        policy = Policy(
            chance.choice(["same_day", "roll_nonbusiness", "roll_after_hours"]),
            overdue=chance.choice(["end_of_day", "office_close"]),
            ask_within=chance.choice([None, 10]),
            complete_within=chance.choice([None, 1]),
            transfer_within=chance.choice([None, 5]),
        )
        term, calendar = _random_term(chance), chance.choice(calendars_)
        instants = {
            datetime.combine(day + timedelta(days=chance.randint(-1, 60)), chance.choice(_HOURS), BOGOTA)
            for _ in range(chance.randint(0, 6))
        }
        acts = [_random_act(chance, at) for at in chance.sample(sorted(instants), len(instants))]
        today = day + timedelta(days=chance.randint(-2, 80))
        slow = _Count(received, term, calendar, policy)
        slow.run(acts)
        fast = deadline(received, term, calendar, BOGOTA, policy, acts)
        assert _by_the_core(fast, today) == slow.found(today), (number, received, term, policy, acts)
        if slow.asked and not any(isinstance(act, Retype | CalendarChanged) for act in acts):
            assert fast.days_left == slow.left, (number, received, term, policy, acts)
        acts_seen += len(acts)
        admitted += len(acts) - len(fast.rejected)
        reasons |= set(fast.rejected.values())
    assert len(reasons) == 11
    with capsys.disabled():
        print(
            f"\n{cases:,} random cases, {acts_seen:,} acts ({admitted:,} admitted): the slow count agrees on all",
            file=sys.stderr,
        )


# What else is fixed


def test_months_end_on_a_day_that_exists_and_are_never_chained() -> None:
    assert months_after(date(2024, 1, 31), 1) == date(2024, 2, 29)
    assert months_after(date(2024, 1, 31), 2) == date(2024, 3, 31)
    assert months_after(date(2025, 11, 30), 3) == date(2026, 2, 28)


def test_after_hours_rolls_only_by_that_rule() -> None:
    evening = datetime(2026, 2, 6, 20, tzinfo=BOGOTA)
    calendar = _calendar(set())
    assert effective_receipt_date(evening, calendar, BOGOTA, Policy()) == date(2026, 2, 6)
    assert effective_receipt_date(evening, calendar, BOGOTA, Policy("roll_nonbusiness")) == date(2026, 2, 6)
    assert effective_receipt_date(evening, calendar, BOGOTA, Policy("roll_after_hours")) == date(2026, 2, 9)


def test_the_day_a_late_receipt_is_taken_for_does_not_remain_to_be_counted() -> None:
    friday_night = datetime(2026, 2, 6, 20, tzinfo=BOGOTA)
    found = deadline(friday_night, FIFTEEN, _calendar(set()), BOGOTA, Policy("roll_after_hours"))
    assert [found.remaining(date(2026, 2, day)) for day in (6, 8, 9, 10)] == [15, 15, 15, 14]


def test_closures_of_single_days_added_and_withdrawn_by_act() -> None:
    received = datetime(2026, 3, 20, 10, tzinfo=BOGOTA)
    calendar = _calendar({date(2026, 3, 23), date(2026, 4, 2), date(2026, 4, 3)})
    local = {date(2026, 3, 31): Closed("Día cívico", "Decreto 1 de 2026"), date(2026, 4, 1): Closed("", "")}
    added = ClosuresAdded(datetime(2026, 3, 27, tzinfo=BOGOTA), local)
    removed = ClosuresRemoved(datetime(2026, 3, 28, tzinfo=BOGOTA), frozenset(local))

    def due(*acts: Act) -> date | None:
        return deadline(received, FIFTEEN, calendar, BOGOTA, Policy(), acts).due_date

    assert [due(), due(added), due(added, removed)] == [date(2026, 4, 15), date(2026, 4, 17), date(2026, 4, 15)]


def test_a_receipt_on_a_day_closed_later_by_decree_rolls_where_the_rule_says_so() -> None:
    received = datetime(2026, 3, 20, 10, tzinfo=BOGOTA)
    closing = ClosuresAdded(datetime(2026, 3, 19, tzinfo=BOGOTA), {date(2026, 3, 20): CORPUS})
    found = deadline(received, FIFTEEN, _calendar(set()), BOGOTA, Policy("roll_nonbusiness"), [closing])
    assert found.effective_receipt_date == date(2026, 3, 23)


def test_an_extension_outlives_a_type_corrected_twice() -> None:
    received = datetime(2026, 2, 2, 10, tzinfo=BOGOTA)
    acts: list[Act] = [Extend(received + timedelta(days=5), 10)]
    acts += [Retype(received + timedelta(days=6), Term("business_days", 15))]
    calendar = _calendar(set())
    assert deadline(received, FIFTEEN, calendar, BOGOTA, Policy(), acts).added == 0
    acts += [Retype(received + timedelta(days=7), FIFTEEN)]
    found = deadline(received, FIFTEEN, calendar, BOGOTA, Policy(), acts)
    assert (found.added, found.length) == (10, 25)


def test_a_longer_type_given_while_the_last_day_rests_leaves_what_is_then_counted() -> None:
    received, calendar = datetime(2026, 2, 3, 10, tzinfo=BOGOTA), _calendar(set())
    acts: list[Any] = [
        Pause(datetime(2026, 2, 4, 9, tzinfo=BOGOTA)),  # the only day of one
        Retype(datetime(2026, 2, 4, 18, tzinfo=BOGOTA), Term("business_days", 3)),
    ]
    resting = deadline(received, Term("business_days", 1), calendar, BOGOTA, Policy(), acts)
    assert resting.days_left == 3
    acts.append(Resume(datetime(2026, 2, 6, 9, tzinfo=BOGOTA)))
    found = deadline(received, Term("business_days", 1), calendar, BOGOTA, Policy(), acts)
    assert (found.due_date, found.remaining(date(2026, 2, 6))) == (date(2026, 2, 11), 3)


def test_a_transfer_has_a_clock_only_where_the_policy_gives_one() -> None:
    received = datetime(2026, 2, 2, 10, tzinfo=BOGOTA)
    sent = Transfer(
        datetime(2026, 2, 10, 10, tzinfo=BOGOTA), receiver_received_at=datetime(2026, 2, 11, 9, tzinfo=BOGOTA)
    )
    with_one = deadline(received, FIFTEEN, _calendar(set()), BOGOTA, Policy(transfer_within=5), [sent]).transferred
    without = deadline(received, FIFTEEN, _calendar(set()), BOGOTA, Policy(), [sent]).transferred
    assert with_one
    assert without
    assert (with_one.due_date, with_one.on_time) == (date(2026, 2, 9), False)
    assert (without.due_date, without.on_time) == (None, None)
    assert with_one.receiver_due_date == without.receiver_due_date == date(2026, 3, 4)


def test_a_set_date_is_neither_counted_nor_moved() -> None:
    received = datetime(2026, 2, 6, 20, tzinfo=BOGOTA)
    acts: list[Act] = [
        Pause(received + timedelta(hours=1)),
        Extend(received + timedelta(hours=2), 5),
        Stop(received - timedelta(hours=1)),
        Stop(received + timedelta(hours=3)),
        Stop(received + timedelta(hours=4)),
    ]
    found = set_deadline(received, date(2026, 2, 8), _calendar(set()), BOGOTA, Policy(), acts)
    assert found.overdue_at == datetime(2026, 2, 9, tzinfo=BOGOTA)
    assert list(found.days()) == []
    assert found.rejected == {0: "date_set", 1: "date_set", 2: "before_receipt", 4: "stopped"}
    assert (found.stopped_at, found.on_time) == (acts[3].at, True)


def test_no_guess_beyond_the_calendar_nor_without_an_offset() -> None:
    calendar = _calendar(set())
    with pytest.raises(OutOfCalendar):
        deadline(datetime(1999, 12, 1, tzinfo=UTC), Term("business_days", 5), calendar, BOGOTA, Policy())
    for term in (Term("months", 12_000), Term("calendar_days", 30_000), Term("business_days", 30_000)):
        with pytest.raises(OutOfCalendar):
            deadline(datetime(2030, 1, 1, tzinfo=UTC), term, calendar, BOGOTA, Policy())
    with pytest.raises(ValueError, match="offset"):
        deadline(datetime(2026, 1, 1), Term("business_days", 5), calendar, BOGOTA, Policy())
    with pytest.raises(ValueError, match="offset"):
        deadline(datetime(2026, 1, 1, tzinfo=UTC), FIFTEEN, calendar, BOGOTA, Policy(), [Pause(datetime(2026, 1, 2))])


@pytest.mark.parametrize("wrong", [{"n": 0}, {"n": -1}, {"n": 10**9}, {"unit": "weeks"}, {"copies_within": 0}])
def test_a_term_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Term(**{"unit": "business_days", "n": 5, **wrong})


# The words

LAW = words.Basis("Ley 1755 de 2015, art. 14 inc. 1", "legal")


def test_the_summary_says_where_the_count_stands_and_what_it_left_out() -> None:
    calendar = _calendar({date(2026, 6, 8)})
    received = datetime(2026, 5, 29, 20, tzinfo=BOGOTA)
    found = deadline(received, FIFTEEN, calendar, BOGOTA, Policy())
    left_out = (
        "Días que no cuentan: 30–31 de mayo, fin de semana; 6–7 de junio, fin de semana; "
        "8 de junio, Corpus Christi (Ley 51 de 1983); 13–14 de junio, fin de semana; 20–21 de junio, fin de semana."
    )
    for today, stands in (
        (
            date(2026, 5, 29),
            "15 días hábiles, desde el 1 de junio de 2026; vence el 22 de junio de 2026, al final del día.",
        ),
        (date(2026, 6, 10), "Día 7 de 15; vence el 22 de junio de 2026, al final del día."),
        (date(2026, 6, 23), "Venció el 22 de junio de 2026."),
    ):
        assert words.summary(found, LAW, today, BOGOTA, "es") == f"{stands} {left_out}"
    english = words.summary(found, LAW, date(2026, 6, 10), BOGOTA, "en")
    assert english.startswith(
        "Day 7 of 15; due on June 22, 2026, at the end of the day. Days that do not count: May 30"
    )


def test_the_lines_tell_every_step_and_every_day() -> None:
    calendar = _calendar({date(2026, 6, 8)})
    received = datetime(2026, 5, 29, 20, tzinfo=BOGOTA)
    acts: list[Act] = [
        Pause(datetime(2026, 6, 3, 9, tzinfo=BOGOTA)),
        Extend(datetime(2026, 6, 4, 9, tzinfo=BOGOTA), 5),
        Resume(datetime(2026, 6, 4, 12, tzinfo=BOGOTA)),
        Extend(datetime(2026, 6, 5, 9, tzinfo=BOGOTA), 2),
    ]
    policy = Policy("roll_after_hours", ask_within=1, complete_within=1)
    found = deadline(received, Term("business_days", 5, 3, 5), calendar, BOGOTA, policy, acts)
    assert words.lines(found, LAW, received, BOGOTA, "es", acts) == [
        "Se recibió el viernes 29 de mayo de 2026 a las 20:00.",
        "Llegó después de la hora de recibo: cuenta como recibida el lunes 1 de junio de 2026.",
        "Término: 5 días hábiles (Ley 1755 de 2015, art. 14 inc. 1).",
        "Se prorrogó en 2 días hábiles: en total, 7 días hábiles.",
        "Los días se cuentan desde el martes 2 de junio de 2026; los que no son hábiles no cuentan.",
        "martes 2 de junio de 2026: día 1 de 7.",
        "miércoles 3 de junio de 2026: día 2 de 7.",
        "jueves 4 de junio de 2026: no se cuenta, en pausa desde el 3 de junio de 2026, cuando se pidió completar la solicitud.",
        "viernes 5 de junio de 2026: día 3 de 7.",
        "sábado 6 de junio de 2026: no se cuenta, fin de semana.",
        "domingo 7 de junio de 2026: no se cuenta, fin de semana.",
        "lunes 8 de junio de 2026: no se cuenta, Corpus Christi (Ley 51 de 1983).",
        "martes 9 de junio de 2026: día 4 de 7.",
        "miércoles 10 de junio de 2026: día 5 de 7.",
        "jueves 11 de junio de 2026: día 6 de 7.",
        "viernes 12 de junio de 2026: día 7 de 7.",
        "Se pidió completar cuando ya habían pasado los días para pedirlo.",
        "Plazo de quien hizo la solicitud para completarla: hasta el viernes 3 de julio de 2026.",
        "No cambió la cuenta la prórroga del jueves 4 de junio de 2026: no se prorroga mientras está en pausa.",
        "Vence el viernes 12 de junio de 2026, al final del día.",
        "Si vence sin respuesta, lo pedido se entrega a más tardar el miércoles 17 de junio de 2026.",
    ]


def test_a_paused_clock_has_words_but_no_date_and_says_which_day_it_was_asked_on() -> None:
    calendar = _calendar(set())
    received = datetime(2026, 6, 1, 10, tzinfo=BOGOTA)
    acts = [Pause(datetime(2026, 6, 8, 9, tzinfo=BOGOTA))]  # the fifth day of five
    found = deadline(received, Term("business_days", 5), calendar, BOGOTA, Policy(), acts)
    said = words.lines(found, LAW, received, BOGOTA, "es", acts)
    asked = "El lunes 8 de junio de 2026 era el último día cuando se pidió completar: no se cuenta, y queda un día para responder después."
    assert asked in said
    assert said[-1].endswith("mientras tanto no hay fecha; queda por contar: 1 día hábil.")
    assert not [line for line in said if "Vence" in line]
    assert words.summary(found, LAW, date(2026, 6, 20), BOGOTA, "es").startswith(
        "En pausa desde el lunes 8 de junio de 2026"
    )


def test_a_term_of_months_is_told_step_by_step_to_its_date() -> None:
    received = datetime(2026, 3, 20, 10, tzinfo=BOGOTA)
    acts: list[Act] = [
        Pause(datetime(2026, 3, 26, 10, tzinfo=BOGOTA)),
        Resume(datetime(2026, 3, 29, 10, tzinfo=BOGOTA)),
    ]
    found = deadline(received, Term("months", 2), _calendar(set()), BOGOTA, Policy(), acts)
    paused = "Se pidió completar el jueves 26 de marzo de 2026 y la pausa duró hasta el domingo 29 de marzo de 2026: "
    paused += "ese tiempo se suma, y el término va hasta el sábado 23 de mayo de 2026."
    assert words.lines(found, None, received, BOGOTA, "es", acts)[1:] == [
        "Plazo: 2 meses.",
        "2 meses desde el viernes 20 de marzo de 2026: el miércoles 20 de mayo de 2026.",
        paused,
        "El sábado 23 de mayo de 2026 no es hábil, fin de semana: el término pasa al día hábil siguiente.",
        "Vence el lunes 25 de mayo de 2026, al final del día.",
    ]


@given(received=receipts, term=months | months | terms, calendar=calendars, policy=policies, acts=ANY_ACT)
def test_the_steps_of_a_term_of_months_lead_to_its_date(
    received: datetime, term: Term, calendar: Calendar, policy: Policy, acts: list[Any]
) -> None:
    found = deadline(received, term, calendar, BOGOTA, policy, _dated(received, acts))
    assume(found.nominal_date and found.due_date)
    assert found.nominal_date
    assert found.due_date == found.calendar.open_from([found.nominal_date, *found.months_end()][-1])


def test_what_is_over_is_told_as_over() -> None:
    received, asked = datetime(2026, 2, 2, 10, tzinfo=BOGOTA), datetime(2026, 2, 5, 10, tzinfo=BOGOTA)
    answered = Stop(datetime(2026, 2, 9, 10, tzinfo=BOGOTA))

    def end(*acts: Act) -> list[str]:
        found = deadline(received, FIFTEEN, _calendar(set()), BOGOTA, Policy(), acts)
        return words.lines(found, LAW, received, BOGOTA, "es", acts)[-2:]

    notified = "La respuesta se notificó el lunes 9 de febrero de 2026, a tiempo."
    assert end(answered) == ["Vencía el lunes 23 de febrero de 2026, al final del día.", notified]
    resting = "Estaba en pausa desde el jueves 5 de febrero de 2026, cuando se pidió completar la solicitud."
    assert end(Pause(asked), answered) == [resting, notified]
    assert end(Transfer(asked))[-1] == "El jueves 5 de febrero de 2026 se trasladó a la autoridad que debe responder."


@given(
    received=receipts, term=terms, calendar=calendars, policy=policies, acts=ANY_ACT, lang=st.sampled_from(["es", "en"])
)
@settings(max_examples=50)
def test_there_are_words_for_everything(
    received: datetime, term: Term, calendar: Calendar, policy: Policy, acts: list[Any], lang: str
) -> None:
    dated = _dated(received, acts)
    found = deadline(received, term, calendar, BOGOTA, policy, dated)
    said = words.lines(found, LAW, received, BOGOTA, lang, dated)
    said.append(words.summary(found, LAW, received.date() + timedelta(days=9), BOGOTA, lang))
    assert not [line for line in said if "words." in line or "{" in line or "None" in line]
