"""The pure core against the worked cases, and what must hold for any date."""

import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tejido_requests.deadlines import (
    Calendar,
    Closed,
    Deadline,
    OutOfCalendar,
    Policy,
    Term,
    deadline,
    effective_receipt_date,
    months_after,
    set_deadline,
)

BOGOTA = ZoneInfo("America/Bogota")
CLOSED = Closed("Corpus Christi", "Ley 51 de 1983")


def _calendar(days: set[date], weekdays: str = "1111100") -> Calendar:
    return Calendar(weekdays, dict.fromkeys(days, CLOSED))


def _as_in_the_cases(found: Deadline, term: dict[str, Any], after_due: bool) -> dict[str, Any]:
    """A deadline in the shape of the worked cases."""
    fields: dict[str, Any] = {"rejected_events": list(found.rejected_events)}
    name = {"business_days": "term_days", "calendar_days": "term_calendar_days", "months": "term_months"}[term["unit"]]
    fields[name] = term["n"]
    for key in ("effective_receipt_date", "first_counted_day", "nominal_date", "due_date", "due_soon_from"):
        if getattr(found, key) is not None:
            fields[key] = getattr(found, key).isoformat()
    fields["overdue_at"] = found.overdue_at.isoformat()
    if after_due and found.deliver_copies_by:
        fields["deliver_copies_by"] = found.deliver_copies_by.isoformat()
    return fields


def test_every_worked_case_without_events(handouts: Path) -> None:
    cases = json.loads((handouts / "vectors" / "deadlines.json").read_text())
    calendars = {
        name: {date.fromisoformat(day) for day in calendar["closed"]} for name, calendar in cases["calendars"].items()
    }
    checked = 0
    for case in cases["vectors"]:
        if case["events"]:
            continue
        policy = case["policy"]
        term = cases["terms"][case["rule"]]
        copies = 3 if case["rule"] == "co.info" else None
        extra = {date.fromisoformat(day) for day in case.get("extra_closures", [])}
        found = deadline(
            datetime.fromisoformat(case["received_at"]),
            Term(term["unit"], term["n"], copies),
            _calendar(calendars[case["calendar"]] | extra, policy["weekdays"]),
            ZoneInfo(case["timezone"]),
            Policy(
                policy["receipt_rule"],
                time.fromisoformat(policy["cutoff"]),
                policy["overdue"],
                time.fromisoformat(policy["office_close"]),
            ),
        )
        assert _as_in_the_cases(found, term, after_due=copies is not None) == case["expected"], case["id"]
        checked += 1
    assert checked == 50


def _by_walking(received: date, n: int, calendar: Calendar) -> date:
    """The obvious count: walk the days one by one."""
    day = received
    while n:
        day += timedelta(days=1)
        if calendar.is_open(day):
            n -= 1
    return day


days = st.dates(date(2019, 1, 1), date(2032, 12, 31))
weeks = st.text("01", min_size=7, max_size=7).filter(lambda week: "1" in week)


@given(received=days, n=st.integers(1, 90), closed=st.sets(days, max_size=60), week=weeks)
def test_business_days_as_walked(received: date, n: int, closed: set[date], week: str) -> None:
    calendar = _calendar(closed, week)
    found = deadline(datetime.combine(received, time(9), BOGOTA), Term("business_days", n), calendar, BOGOTA, Policy())
    assert found.due_date == _by_walking(received, n, calendar)
    counted = [day for day in found.days() if day.ordinal]
    assert [day.ordinal for day in counted] == list(range(1, n + 1))
    assert all(day.closed or calendar.weekdays[day.day.weekday()] == "0" for day in found.days() if not day.ordinal)
    assert found.remaining(received) == n


@given(
    instant=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), hours=st.integers(-12, 14), n=st.integers(1, 40)
)
def test_the_offset_an_instant_is_written_in_does_not_matter(instant: datetime, hours: int, n: int) -> None:
    in_utc = instant.replace(tzinfo=UTC)
    elsewhere = in_utc.astimezone(timezone(timedelta(hours=hours)))
    calendar = _calendar({date(2026, 6, 8)})
    term = Term("business_days", n)
    assert deadline(in_utc, term, calendar, BOGOTA, Policy()) == deadline(elsewhere, term, calendar, BOGOTA, Policy())


@given(received=days, n=st.integers(1, 40), closed=st.sets(days, max_size=30), added=days)
def test_a_closure_more_never_brings_a_date_forward(received: date, n: int, closed: set[date], added: date) -> None:
    instant = datetime.combine(received, time(12), BOGOTA)
    before, after = (
        deadline(instant, Term("business_days", n), _calendar(some), BOGOTA, Policy())
        for some in (closed, closed | {added})
    )
    assert after.due_date >= before.due_date


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


def test_a_set_date_is_not_counted() -> None:
    found = set_deadline(datetime(2026, 2, 6, 20, tzinfo=BOGOTA), date(2026, 2, 8), _calendar(set()), BOGOTA, Policy())
    assert found.overdue_at == datetime(2026, 2, 9, tzinfo=BOGOTA)
    assert list(found.days()) == []


@pytest.mark.parametrize("week", ["0000000", "111110", "1111102"])
def test_a_calendar_on_which_no_term_would_end_is_refused(week: str) -> None:
    with pytest.raises(ValueError, match="weekdays"):
        Calendar(week, {})


def test_no_guess_beyond_the_calendar_nor_without_an_offset() -> None:
    calendar = _calendar(set())
    with pytest.raises(OutOfCalendar):
        deadline(datetime(1999, 12, 1, tzinfo=UTC), Term("business_days", 5), calendar, BOGOTA, Policy())
    with pytest.raises(ValueError, match="offset"):
        deadline(datetime(2026, 1, 1), Term("business_days", 5), calendar, BOGOTA, Policy())
