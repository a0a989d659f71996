"""Mistakes that other systems made with deadlines, one test for each; those of alarms on stored requests, the others on the pure core."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tejido_requests.clocks import service as clocks
from tejido_requests.clocks import tasks, words
from tejido_requests.db import tx
from tejido_requests.models import Announcement, CalendarVersion, ClosureRecord, ServiceRequest, StoppedClock
from tejido_shared import clock, seam
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
    set_deadline,
)
from tejido_shared.ids import new_id

BOGOTA = ZoneInfo("America/Bogota")
TUCUMAN = ZoneInfo("America/Argentina/Tucuman")
LEY_51 = "Ley 51 de 1983"
COLOMBIA = Calendar(
    "1111100",
    {
        date(2026, 3, 23): Closed("Día de San José", LEY_51),
        date(2026, 4, 2): Closed("Jueves Santo", LEY_51),
        date(2026, 4, 3): Closed("Viernes Santo", LEY_51),
        date(2026, 5, 1): Closed("Día del Trabajo", LEY_51),
        date(2026, 5, 18): Closed("Ascensión del Señor", LEY_51),
        date(2026, 6, 8): Closed("Corpus Christi", LEY_51),
        date(2026, 6, 15): Closed("Sagrado Corazón", LEY_51),
    },
)
LOCAL_DAYS = dict.fromkeys([date(2026, 3, 31), date(2026, 4, 1)], Closed("Suspensión de términos", "Decreto 1 de 2026"))
ARGENTINA = Calendar(
    "1111100", dict.fromkeys([date(2025, 12, 8), date(2025, 12, 25), date(2026, 1, 1)], Closed("Feriado", "Ley 27.399"))
)
ASUETOS = dict.fromkeys(
    [date(2025, 12, 24), date(2025, 12, 26), date(2025, 12, 31), date(2026, 1, 2)],
    Closed("Asueto", "Decreto 1 de 2025"),
)
INFORMATION = Term("business_days", 10, 3, 10)
GENERAL = Term("business_days", 15, None, 15)
OPINION = Term("business_days", 30, None, 30)
LAW = words.Basis("Ley 1755 de 2015, art. 14 inc. 1", "legal")


def _at(month: int, day: int, hour: int = 10, minute: int = 0, *, year: int = 2026) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=BOGOTA)


def _count(
    received: datetime, term: Term = GENERAL, *acts: Act, calendar: Calendar = COLOMBIA, policy: Policy = Policy()
) -> Deadline:
    return deadline(received, term, calendar, BOGOTA, policy, acts)


def test_bug_01_weekday_taken_in_utc() -> None:
    friday_evening = _at(3, 6, 19, 30)
    for written in (friday_evening, friday_evening.astimezone(UTC)):
        found = _count(written, calendar=Calendar("1111100", {}))
        assert found.due_date == date(2026, 3, 27)
        assert found.effective_receipt_date == date(2026, 3, 6)


def test_bug_02_no_holidays() -> None:
    assert _count(_at(4, 1), Term("business_days", 1)).due_date == date(2026, 4, 6)
    assert _count(_at(4, 2), Term("business_days", 1)).due_date == date(2026, 4, 6)


def test_bug_03_holiday_added_later_does_not_move_open_requests() -> None:
    act = ClosuresAdded(_at(3, 27), LOCAL_DAYS)
    assert _count(_at(3, 20)).due_date == date(2026, 4, 15)
    assert _count(_at(3, 20), GENERAL, act).due_date == date(2026, 4, 17)
    assert _count(_at(3, 20), GENERAL, CalendarChanged(_at(3, 27), COLOMBIA.closing(LOCAL_DAYS))) == _count(
        _at(3, 20), calendar=COLOMBIA.closing(LOCAL_DAYS)
    )


def test_bug_04_holiday_list_bought_as_is() -> None:
    received = datetime(2025, 12, 12, 10, tzinfo=TUCUMAN)
    bought, confirmed = (
        deadline(received, Term("business_days", 10), calendar, TUCUMAN, Policy()).due_date
        for calendar in (ARGENTINA, ARGENTINA.closing(ASUETOS))
    )
    assert (bought, confirmed) == (date(2025, 12, 29), date(2026, 1, 5))


def test_bug_05_closure_by_decree_differs_by_kind_of_procedure() -> None:
    petitions, excepted = COLOMBIA.closing(LOCAL_DAYS), COLOMBIA
    assert _count(_at(3, 20), calendar=petitions).due_date == date(2026, 4, 17)
    assert _count(_at(3, 20), calendar=excepted).due_date == date(2026, 4, 15)
    # What is received on a closed day is received that day, and told so.
    assert _count(_at(3, 31), calendar=petitions).effective_receipt_date == date(2026, 3, 31)
    why = {one.day: one.closed for one in _count(_at(3, 20), calendar=petitions).days()}
    assert why[date(2026, 3, 31)] == Closed("Suspensión de términos", "Decreto 1 de 2026")


def test_bug_06_pause_lost_when_the_type_changes() -> None:
    paused: list[Act] = [Pause(_at(2, 5)), Resume(_at(2, 12))]
    opinion = _count(_at(2, 2), OPINION, *paused)
    assert _count(_at(2, 2), GENERAL, *paused, Retype(_at(2, 16), OPINION)).due_date == opinion.due_date
    assert _count(_at(2, 2), GENERAL, Retype(_at(2, 3), OPINION), *paused).due_date == opinion.due_date
    assert opinion.due_date != _count(_at(2, 2), OPINION).due_date
    still = _count(_at(2, 2), GENERAL, Pause(_at(2, 5)), Retype(_at(2, 9), OPINION))
    assert (still.due_date, still.days_left) == (None, 27)


def test_bug_07_pause_in_another_unit_than_the_term() -> None:
    # A weekend of pause is no working day of it, however many hours it lasted.
    weekend: list[Act] = [Pause(_at(2, 7)), Resume(_at(2, 8, 23))]
    assert _count(_at(2, 2), GENERAL, *weekend).due_date == _count(_at(2, 2)).due_date
    # Minutes on either side of midnight are a day; hours within one are none.
    assert _count(_at(2, 2), GENERAL, Pause(_at(2, 5, 23, 59)), Resume(_at(2, 6, 0, 1))).due_date == date(2026, 2, 24)
    assert _count(_at(2, 2), GENERAL, Pause(_at(2, 5, 0, 1)), Resume(_at(2, 5, 23, 59))).due_date == date(2026, 2, 23)
    for unit, due in (("calendar_days", date(2026, 2, 14)), ("months", date(2027, 1, 4))):
        term = Term(unit, 10 if unit == "calendar_days" else 11)  # type: ignore[arg-type]
        assert _count(_at(2, 2), term, *weekend[:1], Resume(_at(2, 9))).due_date == due


def test_bug_08_breach_while_paused() -> None:
    found = _count(_at(2, 2), GENERAL, Pause(_at(2, 5)))
    assert (found.due_date, found.overdue_at, found.due_soon_from, found.days_left) == (None, None, None, 12)
    assert found.remaining(date(2026, 12, 31)) == 12
    assert "Venció" not in words.summary(found, LAW, date(2026, 12, 31), BOGOTA, "es")
    # An answer while waiting is on time, months later too.
    assert _count(_at(2, 2), GENERAL, Pause(_at(2, 5)), Stop(_at(7, 1))).on_time is True


def test_bug_09_two_pauses_or_two_resumes_the_same_day_counted_twice() -> None:
    once = _count(_at(2, 2), GENERAL, Pause(_at(2, 5)), Resume(_at(2, 10)))
    same_day: list[Act] = [Pause(_at(2, 5, 8)), Resume(_at(2, 5, 9)), Pause(_at(2, 5, 10)), Resume(_at(2, 10))]
    assert _count(_at(2, 2), GENERAL, *same_day).due_date == once.due_date == date(2026, 2, 26)
    again: list[Act] = [Pause(_at(2, 5)), Resume(_at(2, 10, 9)), Pause(_at(2, 10, 10)), Resume(_at(2, 10, 11))]
    assert _count(_at(2, 2), GENERAL, *again).due_date == once.due_date
    doubled: list[Act] = [Pause(_at(2, 5)), Pause(_at(2, 6)), Resume(_at(2, 10)), Resume(_at(2, 11))]
    found = _count(_at(2, 2), GENERAL, *doubled)
    assert (found.due_date, found.rejected) == (once.due_date, {1: "already_paused", 3: "not_paused"})


def test_bug_10_time_closed_counted_after_reopening() -> None:
    first = _count(_at(2, 2), GENERAL, Stop(_at(2, 10)))
    assert (first.stopped_at, first.on_time) == (_at(2, 10), True)
    # What is disputed has a clock of its own, from the dispute; the first one's outcome stays.
    second = _count(_at(3, 2))
    assert second.due_date == date(2026, 3, 24)
    assert (
        _count(_at(2, 2), GENERAL, Stop(_at(2, 10)), Pause(_at(3, 2)), Resume(_at(3, 5)))._replace(rejected={}) == first
    )


def test_bug_11_extension_applied_to_a_rounded_date() -> None:
    one, two = Term("months", 1, None, 1), Term("months", 2)
    # One month ends on Saturday 11 April and rolls to Monday 13; two months are counted from the receipt, not from there.
    extended = _count(_at(3, 11), one, Extend(_at(4, 10), 1))
    assert _count(_at(3, 11), one).due_date == date(2026, 4, 13)
    assert extended.due_date == _count(_at(3, 11), two).due_date == date(2026, 5, 11)
    assert _count(_at(1, 31), one, Extend(_at(2, 20), 1)).nominal_date == date(2026, 3, 31)


def test_bug_12_a_comment_brings_escalation_forward() -> None:
    plain = _count(_at(2, 2))
    for day in range(3, 20):
        touched = _count(_at(2, 2), GENERAL, Transfer(_at(2, day), internal=True))
        assert touched == plain


def test_bug_13_clock_runs_on_after_closing() -> None:
    for end in (Stop(_at(2, 10)), Transfer(_at(2, 6))):
        found = _count(_at(2, 2), GENERAL, end, Pause(_at(2, 11)), Extend(_at(2, 12), 5), Retype(_at(2, 13), OPINION))
        assert (found.stopped_at, found.on_time) == (end.at, True)
        assert found.due_date == _count(_at(2, 2)).due_date
        assert found.rejected == dict.fromkeys((1, 2, 3), "stopped")
        assert "Venció" not in words.summary(found, LAW, date(2026, 12, 31), BOGOTA, "es")


def test_bug_14_history_rewritten() -> None:
    late = _count(_at(2, 2), GENERAL, Stop(_at(2, 24)))
    assert late.on_time is False
    closing = {date(2026, 2, day): Closed("Día cívico", "Decreto 2 de 2026") for day in (9, 10, 11)}
    afterwards: list[Act] = [ClosuresAdded(_at(3, 1), closing), CalendarChanged(_at(3, 2), COLOMBIA.closing(closing))]
    assert _count(_at(2, 2), GENERAL, Stop(_at(2, 24)), *afterwards) == late


def test_bug_15_overdue_flag_left_after_the_date_moved() -> None:
    today = date(2026, 2, 24)
    assert _count(_at(2, 2)).remaining(today) == -1
    moved = _count(_at(2, 2), GENERAL, ClosuresAdded(_at(2, 24), {date(2026, 2, 23): Closed("Duelo", "Decreto 3")}))
    assert (moved.due_date, moved.remaining(today)) == (today, 0)
    assert moved.overdue_at
    assert moved.overdue_at > _at(2, 24, 23, 59)
    assert words.summary(moved, LAW, today, BOGOTA, "es").startswith("Día 15 de 15; vence el 24 de febrero de 2026")


def test_bug_16_escalation_lost_its_hour() -> None:
    at_close = _count(_at(2, 2), policy=Policy(overdue="office_close", office_close=time(16, 30)))
    assert at_close.overdue_at == _at(2, 23, 16, 30)
    assert (
        words.lines(at_close, LAW, _at(2, 2), BOGOTA, "es")[-1] == "Vence el lunes 23 de febrero de 2026, a las 16:30."
    )
    stop = Stop(_at(2, 23, 16, 30))
    assert (
        _count(_at(2, 2), GENERAL, stop, policy=Policy(overdue="office_close", office_close=time(16, 30))).on_time
        is False
    )
    assert _count(_at(2, 2), GENERAL, stop).on_time is True
    # Days ahead of the due date are working days, across Holy Week too.
    assert _count(_at(3, 24), Term("business_days", 10)).due_soon_from == date(2026, 4, 6)


# Stored requests: received by letter on Monday 2 March 2026, so due on Tuesday 24 March; Monday 23 March is closed.


@pytest.fixture
def filed(api: TestClient, officer: dict[str, str]) -> Callable[[], str]:
    def file() -> str:
        body = {"subject": "Un bache", "channel": "letter", "received_at": _at(3, 2).isoformat()}
        answer = api.post("/v1/service-requests", json=body | {"petitioner": {"name": "Ana"}}, headers=officer)
        return str(answer.json()["id"])

    return file


def _clocks(request: str) -> list[clocks.Clock]:
    with tx() as session:
        row = session.get_one(ServiceRequest, UUID(request))
        return clocks.clocks(session, row, clocks.histories(session, [row.id])[row.id])


def _told() -> list[dict[str, Any]]:
    """What the staff was told, in order."""
    kinds = "requests.reminder", "requests.became_overdue"
    with tx() as session:
        query = sa.select(seam.outbox.c.envelope).order_by(seam.outbox.c.id)
        said = session.scalars(query.where(seam.outbox.c.envelope["type"].astext.in_(kinds))).all()
    return [envelope["data"] for envelope in said]


def _close(day: date, *, suspends_terms: bool) -> None:
    with tx() as session:
        session.add(CalendarVersion(number=2, at=clock.now(), fingerprint="x"))
        session.flush()
        closed = {"starts_on": day, "ends_on": day, "name": "Cierre", "act": "Decreto 1", "scope": "municipality"}
        session.add(ClosureRecord(id=new_id(), since=2, suspends_terms=suspends_terms, open_for_filing=True, **closed))


def test_bug_16_reminders_keep_the_hour_the_offices_open(filed: Callable[[], str]) -> None:
    with clock.moved_to(_at(3, 2, 12)):
        ahead = [one for one in clocks.thresholds(_clocks(filed())) if one.clock == "answer"]
    assert [(one.name, one.at) for one in ahead] == [
        ("due_soon", _at(3, 16, 7)),
        ("+0", _at(3, 24, 7)),
        ("overdue", _at(3, 25, 0)),
        ("+1", _at(3, 25, 7)),
        ("+3", _at(3, 27, 7)),
        ("+5", _at(3, 31, 7)),
    ]
    # From the officer to the head, and at last to the authority.
    assert [one.to for one in ahead] == [
        *(("assignee",), ("assignee", "head"), (), ("assignee",), ("authority",), ("authority",))
    ]


def test_bug_17_nobody_is_told_at_night_nor_while_the_offices_are_closed(filed: Callable[[], str]) -> None:
    with clock.moved_to(_at(3, 2, 12)):
        filed()
        _close(date(2026, 3, 24), suspends_terms=False)
        known = filed()
        due = {one.name: one.at for one in clocks.thresholds(_clocks(known)) if one.clock == "answer"}
    assert _clocks(known)[0].deadline.due_date == date(2026, 3, 24)  # the office is closed, and the term runs on
    assert due["+0"] == _at(3, 20, 7)
    for hour in range(24 * 40):
        with clock.moved_to(_at(3, 2) + timedelta(hours=hour)):
            tasks.announce()
    said = [datetime.fromisoformat(one["send_from"]).astimezone(BOGOTA) for one in _told()]
    assert len(said) > 15
    for at in said:
        assert COLOMBIA.is_open(at.date()), at
        assert at.date() != date(2026, 3, 24)
        assert time(7) <= at.time() < time(16, 30), at


def test_more_time_for_the_citizen_is_a_new_date_and_announced_as_one(
    api: TestClient, officer: dict[str, str], filed: Callable[[], str]
) -> None:
    def lapsed() -> int:
        return [(one.get("clock"), one.get("threshold")) for one in _told()].count(("citizen_completion", "overdue"))

    with clock.moved_to(_at(3, 6)):
        path = f"/v1/service-requests/{filed()}/completion-requests"
        assert api.post(path, json={"what": "Falta la dirección"}, headers=officer).status_code == 200
    with clock.moved_to(_at(4, 8)):
        tasks.announce()
        assert lapsed() == 1
        # They had asked for it in time; it is entered only now.
        more = {"reasons": "Pidió más tiempo", "at": _at(4, 6).isoformat()}
        answer = api.post(f"{path}/extension", json=more, headers=officer)
        assert answer.status_code == 200, answer.text
        tasks.announce()
        assert lapsed() == 1
    with clock.moved_to(_at(5, 7)):
        tasks.announce()
        tasks.announce()
        assert lapsed() == 2


def test_outcomes_say_whether_it_was_asked_and_handed_over_in_time(
    api: TestClient, officer: dict[str, str], filed: Callable[[], str]
) -> None:
    def outcomes(request: str) -> dict[str, str]:
        with tx() as session:
            rows = session.scalars(sa.select(StoppedClock).where(StoppedClock.request_id == UUID(request))).all()
            assert {(row.terms_version != "", row.calendar_version) for row in rows} == {(True, 1)}
            return {row.clock: row.outcome for row in rows}

    with clock.moved_to(_at(3, 2, 12)):
        one, two = filed(), filed()
    for day, request, outcome in ((16, one, "on_time"), (17, two, "late")):
        with clock.moved_to(_at(3, day)):
            path = f"/v1/service-requests/{request}"
            api.post(f"{path}/completion-requests", json={"what": "Falta la dirección"}, headers=officer)
            assert outcomes(request)["completion_window"] == outcome
    for day, outcome in ((13, "void"), (18, "on_time"), (30, "late")):  # due on the 16th, copies three open days later
        with clock.moved_to(_at(3, 2, 12)):
            body = {"subject": "Copias", "request_type": "copies", "channel": "letter", "petitioner": {"name": "Ana"}}
            copies = api.post("/v1/service-requests", json=body, headers=officer).json()["id"]
        with clock.moved_to(_at(3, day)):
            api.post(f"/v1/service-requests/{copies}/answer", json={"text": "Van."}, headers=officer)
        with clock.moved_to(_at(3, day, 11)):
            proof = {"notified_at": _at(3, day, 10, 30).isoformat(), "evidence": "Guía 1"}
            answer = api.post(f"/v1/service-requests/{copies}/notification", json=proof, headers=officer)
            assert answer.status_code in (200, 201), answer.text
        assert outcomes(copies)["copies"] == outcome


def test_a_pause_of_the_last_day_is_dated_that_day(
    api: TestClient, officer: dict[str, str], filed: Callable[[], str]
) -> None:
    with clock.moved_to(_at(3, 24)):
        request = filed()
        body = {"what": "Falta la dirección"}
        api.post(f"/v1/service-requests/{request}/completion-requests", json=body, headers=officer)
        seen = api.get(f"/v1/service-requests/{request}", headers=officer).json()
    assert (seen["clock"]["paused_since"], seen["clock"]["days_left"]) == ("2026-03-24", 1)


def test_bug_17_dates_on_closed_days() -> None:
    chance = random.Random(17)
    for _ in range(2000):
        received = _at(1, 1) + timedelta(hours=chance.randrange(24 * 180))
        found = _count(received, Term("business_days", chance.randint(1, 40)))
        assert found.due_soon_from
        assert found.due_date
        assert COLOMBIA.is_open(found.due_soon_from)
        assert COLOMBIA.is_open(found.due_date)
        assert found.due_soon_from < found.due_date


def test_bug_18_which_message_counts_as_a_response() -> None:
    said: list[Act] = [
        Pause(_at(2, 5)),
        Resume(_at(2, 5, 12)),
        Extend(_at(2, 6), 5),
        Transfer(_at(2, 9), internal=True),
    ]
    assert _count(_at(2, 2), GENERAL, *said).stopped_at is None
    assert _count(_at(2, 2), GENERAL, *said, Stop(_at(2, 16))).stopped_at == _at(2, 16)


def test_bug_19_a_date_set_by_hand_is_moved_or_frozen_silently() -> None:
    acts: list[Act] = [
        Pause(_at(2, 5)),
        Resume(_at(2, 9)),
        Extend(_at(2, 9, 12), 5),
        ClosuresAdded(_at(2, 9), LOCAL_DAYS),
    ]
    found = set_deadline(_at(2, 2), date(2026, 2, 14), COLOMBIA, BOGOTA, Policy(), acts)
    assert found.due_date == date(2026, 2, 14)
    assert found.rejected == dict.fromkeys((0, 1, 2), "date_set")


@pytest.mark.parametrize("week", ["1000000", "0001000", "0000011", "1010100", "0111111"])
def test_bug_20_partial_weeks(week: str) -> None:
    calendar = Calendar(week, COLOMBIA.closures)
    for n in range(1, 25):
        day, left = date(2026, 3, 18), n
        while left:
            day += timedelta(days=1)
            left -= week[day.weekday()] == "1" and day not in COLOMBIA.closures
        assert _count(_at(3, 18), Term("business_days", n), calendar=calendar).due_date == day


@pytest.mark.parametrize("week", ["0000000", "", "111110", "11111000", "1111102", "si"])
def test_bug_21_a_calendar_with_no_working_day(week: str) -> None:
    with pytest.raises(ValueError, match="weekdays"):
        Calendar(week, {})
    whole_century = {date(2000, 1, 1) + timedelta(days=n): Closed("Receso", "Decreto 4") for n in range(36_890)}
    with pytest.raises(OutOfCalendar):
        _count(_at(2, 2), calendar=Calendar("1111111", whole_century))


def test_bug_22_a_year_without_holidays_is_counted_as_if_it_had_none() -> None:
    with pytest.raises(OutOfCalendar):
        _count(datetime(2100, 12, 20, tzinfo=UTC))
    with pytest.raises(OutOfCalendar):
        _count(datetime(1999, 12, 20, tzinfo=UTC))


def test_bug_23_told_it_is_late_by_a_law_that_was_extended_or_does_not_apply() -> None:
    today = date(2026, 3, 2)
    assert words.summary(_count(_at(2, 2)), LAW, today, BOGOTA, "es").startswith("Venció")
    extended = words.summary(_count(_at(2, 2), GENERAL, Extend(_at(2, 20), 10)), LAW, today, BOGOTA, "es")
    assert extended.startswith("Día 20 de 25; vence el 9 de marzo de 2026")
    promise = words.Basis("Compromiso de servicio del municipio", "service_commitment")
    for language, never in (("es", ("Ley", "legal", "Término")), ("en", ("Law", "legal", "Term:"))):
        said = words.lines(_count(_at(2, 2)), promise, _at(2, 2), BOGOTA, language)
        assert not [line for line in said if any(word in line for word in never)]
    assert any(
        "no un término de ley" in line for line in words.lines(_count(_at(2, 2)), promise, _at(2, 2), BOGOTA, "es")
    )
    by_court = set_deadline(_at(2, 2), date(2026, 2, 14), COLOMBIA, BOGOTA, Policy())
    assert "La fecha la fijó la autoridad que pide; no se cuenta." in words.lines(
        by_court, None, _at(2, 2), BOGOTA, "es"
    )


def test_bug_24_duplicate_alerts(filed: Callable[[], str]) -> None:
    with clock.moved_to(_at(3, 2, 12)):
        request = filed()
    for day in range(2, 32):
        with clock.moved_to(_at(3, day, 12)), ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: tasks.announce(), range(4)))
            with tx() as session:  # as if each of them had been interrupted
                session.execute(sa.update(ServiceRequest).values(alarm_at=_at(3, 2)))
    told = [(one.get("clock", "answer"), one.get("threshold", "overdue")) for one in _told()]
    assert len(told) == len(set(told))
    assert {("answer", name) for name in ("due_soon", "+0", "overdue", "+1", "+3", "+5")} <= set(told)
    with tx() as session:
        rows = session.scalars(sa.select(Announcement).where(Announcement.request_id == UUID(request))).all()
    assert len({(row.clock, row.threshold, row.clock_version) for row in rows}) == len(rows) == len(told)


def test_bug_24_the_order_of_what_happened_changes_no_alarm() -> None:
    # The instants that alerts go by are the same however often and in whatever order the facts are read.
    acts: list[Act] = [
        Pause(_at(2, 5)),
        Resume(_at(2, 9)),
        Extend(_at(2, 10), 5),
        ClosuresAdded(_at(2, 11), LOCAL_DAYS),
    ]
    found = _count(_at(2, 2), GENERAL, *acts)
    for seed in range(20):
        shuffled = random.Random(seed).sample(acts, len(acts))
        assert _count(_at(2, 2), GENERAL, *shuffled) == found


def test_bug_25_daylight_saving() -> None:
    santiago, every_day = ZoneInfo("America/Santiago"), Calendar("1111111", {})
    # Saturday 5 September 2026 ends at 24:00, which clocks show as 01:00: there is no midnight.
    received = datetime(2026, 9, 2, 12, tzinfo=santiago)
    found = deadline(received, Term("business_days", 3), every_day, santiago, Policy())
    assert found.due_date == date(2026, 9, 5)
    assert found.overdue_at
    assert found.overdue_at.astimezone(UTC) == datetime(2026, 9, 6, 4, tzinfo=UTC)
    for second, on_time in ((-1, True), (0, False)):
        stop = Stop(datetime(2026, 9, 6, 4, tzinfo=UTC) + timedelta(seconds=second))
        assert deadline(received, Term("business_days", 3), every_day, santiago, Policy(), [stop]).on_time is on_time
    # On Saturday 4 April 2026 the hour from 23:00 comes twice: acts go by the instant, not by the wall clock.
    asked = datetime(2026, 4, 4, 23, 40, tzinfo=santiago)
    completed = datetime(2026, 4, 4, 23, 10, tzinfo=santiago, fold=1)
    twice = datetime(2026, 4, 1, 12, tzinfo=santiago)
    for written_in in (santiago, UTC):
        acts: list[Act] = [Pause(asked.astimezone(written_in)), Resume(completed.astimezone(written_in))]
        assert deadline(twice, GENERAL, every_day, santiago, Policy(), acts).rejected == {}
    # A term over the change has as many days as any other.
    assert deadline(twice, Term("calendar_days", 10), every_day, santiago, Policy()).due_date == date(2026, 4, 11)


@pytest.mark.parametrize(
    ("received", "n", "due", "with_local_days"),
    [
        (_at(3, 20), 10, date(2026, 4, 8), date(2026, 4, 10)),
        (_at(3, 20), 15, date(2026, 4, 15), date(2026, 4, 17)),
        (_at(3, 20), 30, date(2026, 5, 7), date(2026, 5, 11)),
        (_at(3, 21), 15, date(2026, 4, 15), date(2026, 4, 17)),
        (_at(3, 27), 15, date(2026, 4, 21), date(2026, 4, 23)),
    ],
)
def test_golden_cases_of_bogota(received: datetime, n: int, due: date, with_local_days: date) -> None:
    term = Term("business_days", n)
    assert _count(received, term).due_date == due
    assert _count(received, term, ClosuresAdded(_at(3, 27), LOCAL_DAYS)).due_date == with_local_days
    withdrawn = ClosuresRemoved(_at(3, 28), frozenset(LOCAL_DAYS))
    assert _count(received, term, ClosuresAdded(_at(3, 27), LOCAL_DAYS), withdrawn).due_date == due


@pytest.mark.parametrize(
    ("day", "due", "with_asuetos"),
    [(12, date(2025, 12, 29), date(2026, 1, 5)), (19, date(2026, 1, 6), date(2026, 1, 12))],
)
def test_golden_cases_of_tucuman(day: int, due: date, with_asuetos: date) -> None:
    received, term = datetime(2025, 12, day, 10, tzinfo=TUCUMAN), Term("business_days", 10)
    declared = ClosuresAdded(datetime(2025, 12, 22, 10, tzinfo=TUCUMAN), ASUETOS)
    assert deadline(received, term, ARGENTINA, TUCUMAN, Policy()).due_date == due
    assert deadline(received, term, ARGENTINA, TUCUMAN, Policy(), [declared]).due_date == with_asuetos


def test_the_thirteenth_of_july_is_closed_since_ley_2578_of_2026() -> None:
    law = ClosuresAdded(_at(6, 1), {date(2026, 7, 13): Closed("Virgen de Chiquinquirá", "Ley 2578 de 2026")})
    before, after = _count(_at(7, 1)), _count(_at(7, 1), GENERAL, law)
    assert (before.due_date, after.due_date) == (date(2026, 7, 22), date(2026, 7, 23))
