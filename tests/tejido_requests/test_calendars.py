"""Closures as records: versions, changes with their preview, re-dating, proposals, iCalendar."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from threading import Event, Thread
from typing import Any
from uuid import UUID, uuid4

import icalendar
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tejido_requests.audit import service as audit
from tejido_requests.calendars import ical, proposals, queries, redating, service, tasks
from tejido_requests.clocks import service as clocks
from tejido_requests.db import tx
from tejido_requests.desk import completion, family
from tejido_requests.desk import service as desk
from tejido_requests.intake import service as intake
from tejido_requests.models import CalendarChange, ClosureRecord, HistoryEntry, ServiceRequest
from tejido_requests.settings import jurisdiction
from tejido_shared import clock, outbox, seam
from tejido_shared.personal import unseal
from tejido_shared.refusals import Refused
from tejido_shared.testing import Issuer

MONDAY = datetime(2026, 9, 7, 15, tzinfo=UTC)
"""10:00 in Bogotá."""
CLOSED = "2026-09-15"  # a Tuesday in the span of what is filed that Monday
PAUSED, EXTENDED, RETYPED, ANSWERED, QUIET = "paused", "extended", "retyped", "answered", "quiet"


@pytest.fixture
def keeper(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("supervision", sub="supervisora-1")


@pytest.fixture(autouse=True)
def at_ten() -> Iterator[None]:
    with clock.moved_to(MONDAY):
        yield


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redating, "BATCH", 3)


def _file(api: TestClient, **changes: Any) -> UUID:
    body = {"subject": "Hay un bache", "petitioner": {"name": "Ana Niño", "email": "ana@example.org"}}
    answer = api.post("/v1/service-requests", json=body | changes)
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["id"])


def _closure(day: str = CLOSED, **changes: Any) -> dict[str, Any]:
    return {
        "starts_on": day,
        "ends_on": day,
        "name": "Día cívico",
        "act": "Decreto 77 de 2026",
        "scope": "municipality",
        "suspends_terms": True,
        "open_for_filing": True,
    } | changes


def _draft(api: TestClient, keeper: dict[str, str], *closures: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = api.post("/v1/calendar/changes", json={"declare": list(closures)} | more, headers=keeper)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def _confirm(api: TestClient, keeper: dict[str, str], change: dict[str, Any]) -> dict[str, Any]:
    answer = api.post(f"/v1/calendar/changes/{change['id']}/confirm", json={}, headers=keeper)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def _declare(api: TestClient, keeper: dict[str, str], *closures: dict[str, Any], **more: Any) -> dict[str, Any]:
    change = _confirm(api, keeper, _draft(api, keeper, *closures, **more))
    tasks.redate()
    return dict(api.get(f"/v1/calendar/changes/{change['id']}", headers=keeper).json())


def _withdraw(api: TestClient, keeper: dict[str, str], *days: str) -> dict[str, Any]:
    listed = api.get("/v1/calendar/closures?scope=municipality").json()["items"]
    gone = [{"closure": c["id"], "act": "Decreto 80 de 2026"} for c in listed if c["starts_on"] in (days or [CLOSED])]
    return _declare(api, keeper, withdraw=gone)


def _rows() -> dict[UUID, ServiceRequest]:
    with tx() as session:
        return {row.id: row for row in session.scalars(sa.select(ServiceRequest))}


def _one(request_id: UUID) -> ServiceRequest:
    with tx() as session:
        return session.get_one(ServiceRequest, request_id)


def _changes(request_id: UUID) -> list[dict[str, Any]]:
    with tx() as session:
        entries = session.scalars(
            sa.select(HistoryEntry.details)
            .where(HistoryEntry.request_id == request_id, HistoryEntry.kind == "calendar_changed")
            .order_by(HistoryEntry.at)
        )
        return list(entries)


def _told() -> list[dict[str, Any]]:
    with tx() as session:
        envelopes = session.scalars(sa.select(seam.outbox.c.envelope).order_by(seam.outbox.c.id))
        return [sent["data"] for sent in envelopes if sent["type"] == "requests.due_date_moved"]


def _check_all() -> None:
    """Every row says what the pure function says of its history, counted with the calendar in force wherever that makes a difference."""
    with tx() as session:
        newest = service.in_force(session)
        for request in session.scalars(sa.select(ServiceRequest).where(ServiceRequest.status.in_(clocks.OPEN))):
            told = clocks.histories(session, [request.id])[request.id]
            found = clocks.clocks(session, request, told)
            answer = found[0].deadline
            stored = request.due_date, request.overdue_at, request.due_soon_from, request.days_left
            assert stored == (answer.due_date, answer.overdue_at, answer.due_soon_from, answer.days_left)
            by_newest = [*told, clocks.History(clock.now() + timedelta(days=1), "calendar_changed", {}, newest)]
            again = clocks.answer_deadline(session, request, by_newest)
            assert request.due_date == again.due_date, "dated by another calendar than the one in force"
            assert request.days_left == again.days_left
            assert list(answer.days()) == list(again.days()), "told by another calendar than the one in force"


def _act(request_id: UUID, kind: str, details: dict[str, Any] | None = None, **changes: Any) -> None:
    """A legal act, recorded as the desk does."""
    with tx() as session:
        request = session.get_one(ServiceRequest, request_id, with_for_update=True)
        for name, value in changes.items():
            setattr(request, name, value)
        version = desk.calendar_now(session, request)
        audit.record(session, request, kind, clock.now(), "funcionaria-1", details, calendar_version=version)
        desk.settle(session, request)


def _desk(api: TestClient) -> dict[str, UUID]:
    """One request of each kind, filed on Monday, with what has happened by Tuesday."""
    found = {kind: _file(api) for kind in (QUIET, PAUSED, EXTENDED, RETYPED, ANSWERED)}
    with clock.moved_to(MONDAY + timedelta(days=1)):
        _act(found[PAUSED], "asked_to_complete", status="paused")
        _act(found[EXTENDED], "extended", {"added": 5})
        term = {"unit": "business_days", "n": 10, "copies_within": 3, "extension_max_added": 10}
        before = {"unit": "business_days", "n": 15, "copies_within": None, "extension_max_added": 15}
        types = {"from": _one(found[RETYPED]).request_type, "to": "information"}
        with tx() as session:
            request = session.get_one(ServiceRequest, found[RETYPED])
            request.term_n, request.term_copies_within, request.term_extension_max = 10, 3, 10
        _act(found[RETYPED], "retyped", {"term": term, "term_before": before, "by_supervisor": False} | types)
        with tx() as session:
            desk.answer(session, session.get_one(ServiceRequest, found[ANSWERED], with_for_update=True), "Sí", "f-1")
    return found


def test_bug_3_a_holiday_added_later_moves_open_requests(api: TestClient, keeper: dict[str, str]) -> None:
    """Row 3 of the table of bugs: recompute open clocks, log old and new, notify."""
    request_id = _file(api)
    before = _one(request_id)
    change = _draft(api, keeper, _closure())
    assert (change["preview"]["moved"], change["preview"]["by_days"]) == (1, {"1": 1})
    assert _one(request_id).due_date == before.due_date, "a draft moves nothing"
    done = _confirm(api, keeper, change)
    assert (done["status"], done["calendar_version"]) == ("confirmed", 2)
    tasks.redate()
    shown = api.get(f"/v1/calendar/changes/{change['id']}", headers=keeper).json()
    assert (shown["status"], shown["seen"], shown["moved"]) == ("done", 1, 1)
    after = _one(request_id)
    assert (before.due_date, after.due_date) == (date(2026, 9, 28), date(2026, 9, 29))
    assert after.overdue_at == datetime(2026, 9, 30, 5, tzinfo=UTC)
    assert (after.clock_version, after.calendar_version, after.version) == (2, 2, before.version + 1)
    (entry,) = _changes(request_id)
    assert entry["old"] == "2026-09-28"
    assert entry["new"] == "2026-09-29"
    assert entry["act"] == "Día cívico (Decreto 77 de 2026)"
    (told,) = _told()
    assert (told["cause"], told["old_due_date"], told["new_due_date"]) == ("closure", "2026-09-28", "2026-09-29")
    assert (unseal(told["recipient_name"]), unseal(told["recipient_email"])) == ("Ana Niño", "ana@example.org")
    _check_all()


def test_every_kind_of_clock_moves_as_the_pure_function_says(api: TestClient, keeper: dict[str, str]) -> None:
    found = _desk(api)
    before = _rows()
    with clock.moved_to(MONDAY + timedelta(days=2)):
        change = _draft(api, keeper, _closure(), _closure("2026-09-22"))
        _confirm(api, keeper, change)
        tasks.redate()
        after = _rows()
        _check_all()
    moved = {kind for kind, id_ in found.items() if before[id_].due_date != after[id_].due_date}
    assert moved == {QUIET, EXTENDED, RETYPED, ANSWERED}
    assert change["preview"]["moved"] == len(moved)
    assert after[found[PAUSED]].version == before[found[PAUSED]].version, "what does not move is not touched"
    assert after[found[PAUSED]].calendar_version == 1
    for kind in moved:
        assert len(_changes(found[kind])) == 1
        assert after[found[kind]].clock_version == before[found[kind]].clock_version + 1
        assert after[found[kind]].alarm_at is not None
    retyped = after[found[RETYPED]]
    assert retyped.due_date == date(2026, 9, 23)
    with clock.moved_to(MONDAY + timedelta(days=9)):
        _act(found[PAUSED], "completed", status="received")
        _check_all()


def test_withdrawing_moves_back_and_the_citizen_is_not_told(api: TestClient, keeper: dict[str, str]) -> None:
    found = _desk(api)
    before = {id_: row.due_date for id_, row in _rows().items()}
    with clock.moved_to(MONDAY + timedelta(days=2)):
        _declare(api, keeper, _closure())
        told = len(_told())
        assert told == 4
    with clock.moved_to(MONDAY + timedelta(days=3)):
        change = _withdraw(api, keeper)
        assert (change["preview"]["earlier"], change["preview"]["later"]) == (4, 0)
        assert {id_: row.due_date for id_, row in _rows().items()} == before
        assert len(_told()) == told
        _check_all()
    assert [entry["act"] for entry in _changes(found[QUIET])] == [
        "Día cívico (Decreto 77 de 2026)",
        "Día cívico (Decreto 80 de 2026)",
    ]
    listed = api.get("/v1/calendar/closures?scope=municipality").json()["items"]
    assert listed == []
    (old,) = api.get("/v1/calendar/closures?scope=municipality&version=2").json()["items"]
    assert (old["since"], old["until"]) == (2, 3)


def test_a_closure_swapped_for_another_day_is_told_anew(api: TestClient, keeper: dict[str, str]) -> None:
    """The date stays; a count that names a withdrawn decree could not be defended."""
    _declare(api, keeper, _closure())
    found = _desk(api)
    other = _file(api, request_type="information")
    (closure,) = api.get("/v1/calendar/closures?scope=municipality").json()["items"]
    before, mails = _rows(), len(_told())
    with clock.moved_to(MONDAY + timedelta(days=2)):
        gone = [{"closure": closure["id"], "act": "Decreto 80 de 2026"}]
        swapped = _closure("2026-09-16", act="Decreto 81 de 2026", except_types=["information"])
        change = _declare(api, keeper, swapped, withdraw=gone)
        _check_all()
        after = _rows()
    seen = change["preview"]
    # `information` moves, for to it the 16th stays open: the one filed as such and the one retyped to it.
    assert (seen["looked_at"], seen["moved"], seen["recounted"]) == (6, 2, 3)
    assert (change["status"], change["seen"], change["moved"], change["left"]) == ("done", 6, 2, [])
    moved, same = {other, found[RETYPED]}, {found[kind] for kind in (QUIET, EXTENDED, ANSWERED)}
    for id_ in same:
        (entry,) = _changes(id_)
        assert entry["old"] == entry["new"] == str(before[id_].due_date)
        assert entry["act"] == "Día cívico (Decreto 81 de 2026); Día cívico (Decreto 80 de 2026)"
        assert "days_left" not in entry
        assert (after[id_].due_date, after[id_].clock_version) == (before[id_].due_date, before[id_].clock_version)
        assert (after[id_].calendar_version, after[id_].version) == (3, before[id_].version + 1)
    assert {id_ for id_ in after if after[id_].due_date != before[id_].due_date} == moved
    assert after[found[PAUSED]].version == before[found[PAUSED]].version, "it rests since before"
    assert len(_told()) == mails
    with tx() as session:
        request = session.get_one(ServiceRequest, found[QUIET])
        counted = clocks.answer_deadline(session, request, clocks.histories(session, [request.id])[request.id])
    named = [day.closed.act for day in counted.days() if day.closed]
    assert named == ["Decreto 81 de 2026"]


def test_an_act_that_was_written_wrongly_is_told_anew(api: TestClient, keeper: dict[str, str]) -> None:
    """The same day by another act, and a Saturday, which does not count anyway but was told with its act."""
    _declare(api, keeper, _closure(ends_on="2026-09-19"))
    request_id = _file(api)
    (closure,) = api.get("/v1/calendar/closures?scope=municipality").json()["items"]
    gone = [{"closure": closure["id"], "act": "Error de escritura"}]
    right = _closure(ends_on="2026-09-18", act="Decreto 78 de 2026")
    change = _declare(api, keeper, right, withdraw=gone)
    assert (change["moved"], change["preview"]["recounted"], len(_changes(request_id))) == (0, 1, 1)
    _check_all()


def test_what_a_closed_office_alone_does(api: TestClient, keeper: dict[str, str]) -> None:
    request_id = _file(api)
    version = _one(request_id).version
    change = _declare(api, keeper, _closure(suspends_terms=False))
    assert (change["status"], change["preview"]["looked_at"], change["moved"]) == ("done", 0, 0)
    assert (_one(request_id).version, _changes(request_id)) == (version, [])
    day = api.get(f"/v1/calendar/days/{CLOSED}").json()
    assert (day["open"], day["closures"][0]["applies"]) == (True, False)
    silent = {name: value for name, value in _closure().items() if name != "suspends_terms"}
    refused = api.post("/v1/calendar/changes", json={"declare": [silent]}, headers=keeper)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "body.declare.0.suspends_terms")


def test_exceptions_by_type(api: TestClient, keeper: dict[str, str]) -> None:
    general, other = _file(api), _file(api, request_type="information")
    change = _declare(api, keeper, _closure(except_types=["information"]))
    assert (change["preview"]["looked_at"], change["moved"]) == (1, 1)
    assert (len(_changes(general)), len(_changes(other))) == (1, 0)
    for code, open_ in (("information", True), (_one(general).request_type, False)):
        day = api.get(f"/v1/calendar/days/{CLOSED}?type={code}").json()
        assert day["open"] is open_
    assert "Decreto 77" in day["why"]
    _check_all()


def test_ley_2578_a_day_is_explained(api: TestClient) -> None:
    day = api.get("/v1/calendar/days/2026-07-13", headers={"Accept-Language": "es"}).json()
    assert not day["open"]
    assert "Ley 2578" in day["why"]
    assert api.get("/v1/calendar/days/2026-07-12").json()["works"] is False
    assert api.get("/v1/calendar/days/2040-07-12").json()["warnings"] == ["year_not_confirmed"]
    assert api.get("/v1/calendar/days/2026-07-13?type=nada").status_code == 422
    assert api.get("/v1/calendar/closures?version=9").status_code == 422


def test_the_act_named_is_the_one_that_moved_it(api: TestClient, keeper: dict[str, str]) -> None:
    general, other = _file(api), _file(api, request_type="information")
    both = (_closure(), _closure("2026-09-16", act="Circular 9", suspends_terms=False))
    excepted = _closure("2026-09-17", act="Decreto 5", except_types=["information"])
    _declare(api, keeper, *both, excepted)
    assert _changes(other)[0]["act"] == "Día cívico (Decreto 77 de 2026)"
    assert _changes(general)[0]["act"] == "Día cívico (Decreto 77 de 2026); Día cívico (Decreto 5)"
    assert sorted(told["act"] for told in _told()) == sorted(_changes(id_)[0]["act"] for id_ in (general, other))


def test_a_date_that_an_authority_set_does_not_move(api: TestClient, keeper: dict[str, str], officer: Any) -> None:
    _file(api)
    body = {"subject": "Oficio", "request_type": "oversight_request", "due_date": "2026-09-28", "channel": "mail"}
    answer = api.post("/v1/service-requests", json=body, headers=officer)
    assert answer.status_code == 201, answer.text
    before = _one(UUID(answer.json()["id"]))
    change = _declare(api, keeper, _closure(), _closure("2026-09-28"))
    assert (change["preview"]["looked_at"], change["moved"]) == (1, 1)
    after = _one(before.id)
    assert (after.due_date, after.overdue_at, after.version) == (before.due_date, before.overdue_at, before.version)


def test_what_two_drafts_withdraw_is_withdrawn_once(api: TestClient, keeper: dict[str, str]) -> None:
    """The second would say that the version between still had it."""
    _declare(api, keeper, _closure())
    (closure,) = api.get("/v1/calendar/closures?scope=municipality").json()["items"]
    gone = [{"closure": closure["id"], "act": "Decreto 80 de 2026"}]
    first, second = _draft(api, keeper, withdraw=gone), _draft(api, keeper, _closure("2026-09-16"), withdraw=gone)
    _confirm(api, keeper, first)
    tasks.redate()
    again = api.post(f"/v1/calendar/changes/{second['id']}/preview", headers=keeper)
    assert (again.status_code, again.json()["errors"][0]["field"]) == (422, "body.withdraw.0.closure")
    assert api.post(f"/v1/calendar/changes/{second['id']}/confirm", json={}, headers=keeper).status_code == 409
    assert api.get("/v1/calendar/closures?scope=municipality&version=3").json()["items"] == []


def test_types_without_exceptions_share_one_calendar(api: TestClient) -> None:
    """Each holds a century of days, some 2 MB, for every version that history names."""
    codes = [kind.code for kind in jurisdiction().request_types]
    with tx() as session:
        service.in_force(session)
        assert len({id(queries.calendar(session, 1, code)) for code in codes}) < len(codes) / 2


def test_closed_requests_stay_as_they_were(api: TestClient, keeper: dict[str, str]) -> None:
    found = _desk(api)
    with clock.moved_to(MONDAY + timedelta(days=2)):
        with tx() as session:
            request = session.get_one(ServiceRequest, found[ANSWERED], with_for_update=True)
            desk.record_notification(session, request, clock.now(), "Acta 1", "f-1")
        closed = _one(found[ANSWERED])
        _declare(api, keeper, _closure())
        after = _one(found[ANSWERED])
    assert (after.version, after.due_date, after.on_time) == (closed.version, closed.due_date, True)
    assert _changes(found[ANSWERED]) == []


def test_a_withdrawn_closure_may_make_a_request_late_at_once(api: TestClient, keeper: dict[str, str]) -> None:
    _declare(api, keeper, _closure())
    request_id = _file(api)
    with clock.moved_to(datetime(2026, 9, 29, 15, tzinfo=UTC)):  # its last day while that Tuesday is closed
        listed = api.get("/v1/calendar/closures?scope=municipality").json()["items"]
        gone = [{"closure": listed[0]["id"], "act": "Decreto 80 de 2026"}]
        change = _draft(api, keeper, withdraw=gone)
        assert (change["preview"]["earlier"], change["preview"]["overdue_at_once"]) == (1, 1)
        _confirm(api, keeper, change)
        tasks.redate()
        request = _one(request_id)
        assert request.overdue_at is not None
        assert request.overdue_at <= clock.now()
        assert request.alarm_at is not None
        assert request.alarm_at <= clock.now(), "the sweep announces it now"


def test_a_paused_request_and_what_the_citizen_has_left(api: TestClient, keeper: dict[str, str]) -> None:
    found = _desk(api)
    paused = _one(found[PAUSED])
    assert paused.citizen_due_date is not None
    with clock.moved_to(MONDAY + timedelta(days=2)):
        _declare(api, keeper, _closure(paused.citizen_due_date.isoformat()))
        _check_all()
    after = _one(found[PAUSED])
    assert after.citizen_due_date is not None
    assert after.citizen_due_date > paused.citizen_due_date
    (entry,) = _changes(found[PAUSED])
    assert (entry["old"], entry["new"]) == (paused.citizen_due_date.isoformat(), after.citizen_due_date.isoformat())
    assert entry["days_left"] == [paused.days_left, after.days_left]
    with clock.moved_to(MONDAY + timedelta(days=3)):  # a day before the pause, known only later
        _declare(api, keeper, _closure("2026-09-08"))
        _check_all()
    assert _one(found[PAUSED]).days_left == (paused.days_left or 0) + 1


def _asked_again() -> list[dict[str, Any]]:
    with tx() as session:
        envelopes = session.scalars(sa.select(seam.outbox.c.envelope).order_by(seam.outbox.c.id))
        return [sent["data"] for sent in envelopes if sent["type"] == "requests.completion_asked"]


def test_what_a_citizen_was_told_to_complete_by_is_never_brought_forward(
    api: TestClient, keeper: dict[str, str]
) -> None:
    request_id = _file(api)
    with clock.moved_to(MONDAY + timedelta(days=1)), tx() as session:
        request = session.get_one(ServiceRequest, request_id, with_for_update=True)
        completion.ask_for_completion(session, request, "La cédula", None, "f-1")
        told = request.citizen_due_date
    assert told is not None
    assert len(_asked_again()) == 1
    with clock.moved_to(MONDAY + timedelta(days=2)):
        _declare(api, keeper, _closure(told.isoformat()))
    later = _one(request_id).citizen_due_date
    assert later == told + timedelta(days=1)
    again = _asked_again()[-1]
    assert again["complete_until"] == later.isoformat()
    assert (unseal(again["what"]), unseal(again["recipient_email"])) == ("La cédula", "ana@example.org")
    assert _told() == [], "the answer's date rests"
    before = _one(request_id)
    with clock.moved_to(MONDAY + timedelta(days=3)):
        change = _withdraw(api, keeper, told.isoformat())
    assert (change["status"], change["moved"], change["preview"]["moved"], change["preview"]["kept"]) == (
        "done",
        0,
        0,
        1,
    )
    after = _one(request_id)
    assert (after.citizen_due_date, after.version, len(_asked_again())) == (later, before.version, 2)
    with clock.moved_to(MONDAY + timedelta(days=9)), tx() as session:
        request = session.get_one(ServiceRequest, request_id, with_for_update=True)
        completion.complete(session, request, "Va la cédula", None, None)
    assert _one(request_id).calendar_version == 3
    _check_all()


def test_those_whose_request_was_merged_are_told_too(api: TestClient, keeper: dict[str, str]) -> None:
    kept, other, third = (
        _file(api, petitioner={"name": name, "email": f"{name}@example.org"}) for name in ("ana", "eva", "sol")
    )
    with clock.moved_to(MONDAY + timedelta(hours=1)), tx() as session:
        for survivor, merged in ((other, third), (kept, other)):
            both = [session.get_one(ServiceRequest, id_, with_for_update=True) for id_ in (survivor, merged)]
            family.merge(session, both, "Repetida", "f-1", different_types=False)
    with clock.moved_to(MONDAY + timedelta(days=2)):
        change = _declare(api, keeper, _closure())
        assert (change["moved"], len(_changes(other))) == (1, 0)
        told = {unseal(one["recipient_email"]): one for one in _told()}
        assert len(told) == len(_told()) == 3
        numbers = {id_: row.number for id_, row in _rows().items()}
        for name, id_ in (("ana", kept), ("eva", other), ("sol", third)):
            one = told[f"{name}@example.org"]
            assert (one["request_id"], one["number"]) == (str(id_), numbers[id_])
            assert (one["old_due_date"], one["new_due_date"]) == ("2026-09-28", "2026-09-29")
        _withdraw(api, keeper)
        assert len(_told()) == 3


class _KilledError(BaseException):
    pass


def _state() -> Any:
    names = ("due_date", "overdue_at", "due_soon_from", "alarm_at", "clock_version", "calendar_version", "version")
    with tx() as session:
        rows = session.execute(
            sa.select(*(getattr(ServiceRequest, name) for name in names)).order_by(ServiceRequest.number)
        )
        return [tuple(row) for row in rows]


def test_killed_in_the_middle_and_resumed_gives_the_same(
    api: TestClient, keeper: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        _desk(api)
    with clock.moved_to(MONDAY + timedelta(days=2)):
        change = _draft(api, keeper, _closure())
        _confirm(api, keeper, change)
        written, real = 0, outbox.emit_all

        def killed(session: Any, events: Any) -> None:
            nonlocal written
            written += 1
            real(session, events)
            if written in (2, 4):
                raise _KilledError  # all is written, nothing is committed

        monkeypatch.setattr(redating, "emit_all", killed)
        for _ in range(2):
            with pytest.raises(_KilledError):
                tasks.redate()
        shown = api.get(f"/v1/calendar/changes/{change['id']}", headers=keeper).json()
        assert shown["status"] == "confirmed"
        assert 0 < shown["seen"] < 15
        tasks.redate()
        shown = api.get(f"/v1/calendar/changes/{change['id']}", headers=keeper).json()
        assert (shown["status"], shown["moved"]) == ("done", 12)
        assert shown["preview"]["moved"] == 12
        _check_all()
        assert all(len(_changes(id_)) == (row.status != "paused") for id_, row in _rows().items())
        assert len(_told()) == 12


def test_one_that_cannot_be_counted_holds_up_no_other(
    api: TestClient, keeper: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [_desk(api) for _ in range(3)]
    broken = {found[1][EXTENDED], found[2][QUIET]}
    real_clocks, real_groups = clocks.clocks, redating.Groups.dated

    def acted(session: Any, request: Any, history: Any) -> Any:
        if getattr(request, "id", None) in broken:
            raise LookupError("no such term")
        return real_clocks(session, request, history)

    def quiet(self: Any, row: Any, version: int | None = None) -> Any:
        if getattr(row, "id", None) in broken:
            raise LookupError("no such term")
        return real_groups(self, row, version)

    monkeypatch.setattr(clocks, "clocks", acted)
    monkeypatch.setattr(redating.Groups, "dated", quiet)
    with clock.moved_to(MONDAY + timedelta(days=2)):
        before = _rows()
        change = _draft(api, keeper, _closure())
        assert (change["preview"]["not_counted"], change["preview"]["moved"]) == (1, 11), (
            "quiet ones are counted together"
        )
        _confirm(api, keeper, change)
        path = f"/v1/calendar/changes/{change['id']}"
        monkeypatch.setattr(redating, "MOST_LEFT", 1)
        with pytest.raises(RuntimeError):
            tasks.redate()
        monkeypatch.setattr(redating, "MOST_LEFT", 2)
        assert api.get(path, headers=keeper).json()["status"] == "confirmed"
        tasks.redate()
        shown = api.get(path, headers=keeper).json()
        assert (shown["status"], shown["seen"], shown["moved"]) == ("incomplete", 15, 10)
        assert (set(shown["left"]), shown["done_at"]) == ({str(id_) for id_ in broken}, None)
        assert all(_rows()[id_].version == before[id_].version for id_ in broken)
        listed = api.get("/v1/calendar/changes?status=incomplete", headers=keeper).json()["items"]
        assert [one["id"] for one in listed] == [change["id"]]
        _declare(api, keeper, _closure("2026-10-30"))  # the calendar goes on
        broken.discard(found[2][QUIET])
        tasks.redate_left()
        shown = api.get(path, headers=keeper).json()
        assert (shown["status"], shown["left"]) == ("incomplete", [str(found[1][EXTENDED])])
        broken.clear()
        tasks.redate_left()
        shown = api.get(path, headers=keeper).json()
        assert (shown["status"], shown["moved"], shown["left"]) == ("done", 12, [])
        assert len(_told()) == 12
        _check_all()


def test_two_workers_at_once(api: TestClient, keeper: dict[str, str]) -> None:
    for _ in range(4):
        _desk(api)
    with clock.moved_to(MONDAY + timedelta(days=2)):
        change = _draft(api, keeper, _closure())
        _confirm(api, keeper, change)
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda _: tasks.redate(), range(6)))
        shown = api.get(f"/v1/calendar/changes/{change['id']}", headers=keeper).json()
        assert (shown["status"], shown["moved"]) == ("done", 16)
        assert all(len(_changes(id_)) == (row.status != "paused") for id_, row in _rows().items())
        _check_all()


def test_a_request_somebody_is_working_on_is_not_lost(api: TestClient, keeper: dict[str, str]) -> None:
    held, other = _file(api), _file(api)
    change = _confirm(api, keeper, _draft(api, keeper, _closure()))
    with tx() as session:
        session.get_one(ServiceRequest, held, with_for_update=True)
        tasks.redate()  # in other connections; the row is ours
        shown = api.get(f"/v1/calendar/changes/{change['id']}", headers=keeper).json()
        assert (shown["status"], shown["moved"]) == ("confirmed", 1)
    busy = api.post("/v1/calendar/changes", json={"declare": [_closure("2026-09-16")]}, headers=keeper)
    assert (busy.status_code, busy.json()["type"]) == (409, "urn:tejido:problem:redating_running")
    tasks.redate()
    shown = api.get(f"/v1/calendar/changes/{change['id']}", headers=keeper).json()
    assert (shown["status"], shown["moved"]) == ("done", 2)
    assert [len(_changes(id_)) for id_ in (held, other)] == [1, 1]
    _check_all()


def test_an_act_between_the_switch_and_the_re_dating(api: TestClient, keeper: dict[str, str]) -> None:
    request_id = _file(api)
    before = _one(request_id).due_date
    _confirm(api, keeper, _draft(api, keeper, _closure()))
    with clock.moved_to(MONDAY + timedelta(minutes=1)):
        _act(request_id, "extended", {"added": 5})  # counted with the new calendar by itself
        extended = _one(request_id).due_date
        tasks.redate()
        assert _one(request_id).due_date == extended
        (entry,) = _changes(request_id)
        assert date.fromisoformat(entry["new"]) > date.fromisoformat(entry["old"])
        assert date.fromisoformat(entry["new"]) == extended
        _check_all()
    assert before is not None


@pytest.mark.parametrize("what", ["filing", "act"])
def test_the_switch_waits_for_whoever_counts(api: TestClient, keeper: dict[str, str], what: str) -> None:
    """What counted with the old calendar and is not committed yet would be seen by no re-dating."""
    other = _file(api)
    change = _draft(api, keeper, _closure())
    done = Event()

    def switch() -> None:
        _confirm(api, keeper, change)
        tasks.redate()
        done.set()

    switching = Thread(target=switch)
    with tx() as session:
        if what == "filing":
            filing = intake.Filing(
                *("Otro bache", None, None, [], None, None, None, "es", "web", False, None, None, None, None)
            )
            request = intake.file(session, filing)
        else:
            request = session.get_one(ServiceRequest, other, with_for_update=True)
            version = desk.calendar_now(session, request)
            audit.record(session, request, "extended", clock.now(), "f-1", {"added": 5}, calendar_version=version)
            desk.settle(session, request)
        switching.start()
        assert not done.wait(0.6), "the switch did not wait"
    switching.join()
    tasks.redate()
    assert _one(request.id).calendar_version == 2
    assert len(_changes(request.id)) == 1
    _check_all()


def test_no_filing_and_no_act_slips_through_the_switch(api: TestClient, keeper: dict[str, str]) -> None:
    """People file and officers act without pause while the calendar changes under them, again and again."""
    open_requests = [_file(api) for _ in range(12)]
    over, failures = Event(), []

    def file_without_pause() -> int:
        done = 0
        while not over.is_set():
            try:
                _file(api)
                done += 1
            except AssertionError as error:
                failures.append(str(error))
        return done

    def act_without_pause(mine: Sequence[UUID]) -> int:
        done = 0
        while not over.is_set():
            id_ = mine[done % len(mine)]
            kind, status = (
                ("asked_to_complete", "paused") if _one(id_).status == "received" else ("completed", "received")
            )
            _act(id_, kind, status=status)
            done += 1
        return done

    stop = Event()

    def work() -> None:
        while not stop.is_set():
            tasks.redate()
            stop.wait(0.02)

    worker = Thread(target=work)
    worker.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            filing = [pool.submit(file_without_pause) for _ in range(2)]
            acting = [pool.submit(act_without_pause, open_requests[place::2]) for place in range(2)]
            try:
                for day in ("2026-09-15", "2026-09-16", "2026-09-17"):
                    change = _draft_when_free(api, keeper, day)
                    _confirm(api, keeper, change)
            finally:
                over.set()
            filed = sum(future.result() for future in filing)
            acted = sum(future.result() for future in acting)
    finally:
        stop.set()
        worker.join()
    tasks.redate()
    assert not failures
    assert filed > 5
    assert acted > 5
    with tx() as session:
        assert service.in_force(session) == 4
        left = session.scalar(sa.select(sa.func.count()).where(CalendarChange.status == "confirmed"))
    assert left == 0
    _check_all()


def _draft_when_free(api: TestClient, keeper: dict[str, str], day: str) -> dict[str, Any]:
    for _ in range(400):
        answer = api.post("/v1/calendar/changes", json={"declare": [_closure(day)]}, headers=keeper)
        if answer.status_code == 201:
            return dict(answer.json())
        assert answer.json()["type"].endswith("redating_running"), answer.text
        Event().wait(0.05)
    raise AssertionError("the re-dating does not end")


def test_the_switch_gives_way_to_a_desk_that_does_not_pause(
    api: TestClient, keeper: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "LOCK_WAIT_MS", 50)
    monkeypatch.setattr(service, "LOCK_REST", 0.01)
    change = _draft(api, keeper, _closure())
    with tx() as session:
        queries.in_force(session)  # somebody counts and does not end
        refused = api.post(f"/v1/calendar/changes/{change['id']}/confirm", json={}, headers=keeper)
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:tejido:problem:calendar_busy")
    _confirm(api, keeper, change)


def test_a_preview_of_another_version_is_not_confirmed(api: TestClient, keeper: dict[str, str]) -> None:
    first, second = _draft(api, keeper, _closure()), _draft(api, keeper, _closure("2026-09-16"))
    _confirm(api, keeper, first)
    tasks.redate()
    path = f"/v1/calendar/changes/{second['id']}"
    english = {**keeper, "Accept-Language": "en"}
    refused = api.post(f"{path}/confirm", json={}, headers=english)
    assert (refused.status_code, refused.json()["title"]) == (409, "The preview no longer holds")
    assert api.post(f"{path}/confirm", json={}, headers=keeper).json()["title"] == "La vista previa ya no vale"
    again = api.post(f"{path}/preview", headers=keeper)
    assert again.json()["based_on"] == 2
    stale = api.post(f"{path}/confirm", json={}, headers={**keeper, "If-Match": '"1"'})
    assert stale.status_code == 412
    done = api.post(f"{path}/confirm", json={"note": "Acta 3"}, headers={**keeper, "If-Match": again.headers["ETag"]})
    assert done.status_code == 200
    versions = api.get("/v1/calendar/versions", headers=keeper).json()["items"]
    assert [(found["number"], found["author"], found["note"]) for found in versions] == [
        (3, "supervisora-1", "Acta 3"),
        (2, "supervisora-1", "Decreto 77 de 2026"),
        (1, None, ""),
    ]
    assert versions[2]["fingerprint"] == jurisdiction().calendar_version
    assert api.post(f"{path}/drop", headers=keeper).json()["type"].endswith("change_not_draft")


def test_what_a_colleague_added_is_not_confirmed_unseen(
    api: TestClient, keeper: dict[str, str], issuer: Issuer
) -> None:
    colleague = issuer.headers("supervision", sub="supervisora-2")
    draft = _draft(api, keeper, _closure())
    path = f"/v1/calendar/changes/{draft['id']}"
    read = api.get(path, headers=keeper).headers["ETag"]
    (line, *_) = api.post("/v1/calendar/proposals", json={"year": 2029}, headers=colleague).json()["pending"]
    said = {"act": "Ley 51 de 1983", "suspends_terms": True, "open_for_filing": True, "change": draft["id"]}
    accepted = api.post(f"/v1/calendar/proposals/{line['id']}/accept", json=said, headers=colleague).json()
    assert (accepted["preview"], len(accepted["declared"])) == (None, 2)
    refused = api.post(f"{path}/confirm", json={}, headers=keeper)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:tejido:problem:preview_outdated")
    api.post(f"{path}/preview", headers=colleague)
    blind = api.post(f"{path}/confirm", json={}, headers=keeper)
    assert blind.status_code == 428, "the new preview was shown to the colleague"
    assert api.post(f"{path}/confirm", json={}, headers={**keeper, "If-Match": read}).status_code == 412
    now_read = api.get(path, headers=keeper).headers["ETag"]
    assert api.post(f"{path}/confirm", json={}, headers={**keeper, "If-Match": now_read}).status_code == 200


def test_what_is_refused_and_who_may(api: TestClient, keeper: dict[str, str], issuer: Issuer) -> None:
    officer = issuer.headers("funcionario:atencion-ciudadania")
    assert api.post("/v1/calendar/changes", json={"declare": [_closure()]}, headers=officer).status_code == 403
    assert api.post("/v1/calendar/changes", json={"declare": [_closure()]}).status_code == 401
    assert api.post("/v1/calendar/import", content=b"").status_code == 401
    assert api.get("/v1/calendar/proposals?year=99999999999", headers=keeper).status_code == 422
    for body, field in (
        ({}, "body.declare"),
        ({"declare": [_closure(ends_on="2026-09-01")]}, "body.declare.0.ends_on"),
        ({"declare": [_closure(ends_on="2028-09-01")]}, "body.declare.0.ends_on"),
        ({"declare": [_closure("1990-01-01")]}, "body.declare.0.starts_on"),
        ({"declare": [_closure(except_types=["nada"])]}, "body.declare.0.except_types"),
        ({"declare": [_closure(), _closure()]}, "body.declare.1"),
        ({"withdraw": [{"closure": str(uuid4()), "act": "x"}]}, "body.withdraw.0.closure"),
    ):
        reasons = set()
        for language in ("es", "en"):
            headers = {**keeper, "Accept-Language": language}
            answer = api.post("/v1/calendar/changes", json=body, headers=headers)
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
            reasons.add(answer.json()["errors"][0]["reason"])
        assert len(reasons) == 2
        assert not any("_" in reason for reason in reasons)
    key = {**keeper, "Idempotency-Key": "uno"}
    twice = [api.post("/v1/calendar/changes", json={"declare": [_closure()]}, headers=key).json() for _ in range(2)]
    assert twice[0] == twice[1]
    assert len(api.get("/v1/calendar/changes", headers=keeper).json()["items"]) == 1


# Proposals


def test_the_library_proposes_and_a_person_decides(api: TestClient, keeper: dict[str, str]) -> None:
    made = api.post("/v1/calendar/proposals", json={"year": 2029}, headers=keeper).json()
    assert len(made["pending"]) >= 18
    assert {line["source"].split()[0] for line in made["pending"]} == {"holidays"}
    assert made["not_in_library"] == []
    assert api.post("/v1/calendar/proposals", json={"year": 2029}, headers=keeper).json() == made
    known = api.post("/v1/calendar/proposals", json={"year": 2026}, headers=keeper).json()
    assert known["pending"] == []
    assert "Día Cívico" in str(known["not_in_library"]), "the library does not know it, whatever the calendar says"
    refused = api.post("/v1/calendar/years/2029/confirm", headers=keeper)
    assert refused.json()["type"].endswith("proposals_pending")
    first, second, *others = made["pending"]
    bare = api.post(f"/v1/calendar/proposals/{first['id']}/accept", json={"act": "Ley 51"}, headers=keeper)
    assert bare.status_code == 422, "suspends_terms has no default"
    said = {"act": "Ley 51 de 1983", "suspends_terms": True, "open_for_filing": True}
    draft = api.post(f"/v1/calendar/proposals/{first['id']}/accept", json=said, headers=keeper).json()
    assert draft["status"] == "draft"
    both = api.post(
        f"/v1/calendar/proposals/{second['id']}/accept", json=said | {"change": draft["id"]}, headers=keeper
    ).json()
    assert (both["id"], len(both["declared"])) == (draft["id"], 2)
    for line in others:
        path = f"/v1/calendar/proposals/{line['id']}/reject"
        assert api.post(path, json={"reason": "No rige aquí"}, headers=keeper).json()["status"] == "rejected"
    assert api.post(path, json={"reason": "x"}, headers=keeper).json()["type"].endswith("proposal_decided")
    assert api.get("/v1/calendar/closures?from=2029-01-01").json()["items"] == [], "nothing is live"
    dropped = api.post(f"/v1/calendar/changes/{draft['id']}/drop", headers=keeper).json()
    assert dropped["status"] == "dropped"
    listed = api.get("/v1/calendar/proposals?status=pending", headers=keeper).json()["items"]
    assert {line["id"] for line in listed} == {first["id"], second["id"]}
    draft = api.post(f"/v1/calendar/proposals/{first['id']}/accept", json=said, headers=keeper).json()
    draft = api.post(
        f"/v1/calendar/proposals/{second['id']}/accept", json=said | {"change": draft["id"]}, headers=keeper
    ).json()
    assert draft["preview"] is None
    api.post(f"/v1/calendar/changes/{draft['id']}/preview", headers=keeper)
    _confirm(api, keeper, draft)
    assert len(api.get("/v1/calendar/closures?from=2029-01-01").json()["items"]) == 2
    assert api.post("/v1/calendar/years/2029/confirm", headers=keeper).json()["confirmed_by"] == "supervisora-1"
    assert 2029 in [found["year"] for found in api.get("/v1/calendar/years").json()]


def test_another_version_of_the_library_does_not_propose_again(
    api: TestClient, keeper: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = api.post("/v1/calendar/proposals", json={"year": 2029}, headers=keeper).json()
    monkeypatch.setattr(proposals, "version", lambda _: "0.999")
    assert api.post("/v1/calendar/proposals", json={"year": 2029}, headers=keeper).json() == made


def test_the_subdivision_is_the_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    pack = jurisdiction().model_copy(update={"code": "ar-tucuman", "country": "AR"})
    monkeypatch.setattr(proposals, "jurisdiction", lambda: pack)
    lines = {line.starts_on: line for line in proposals.of_library(2026)}
    assert lines[date(2026, 9, 24)].scope == "province"
    assert lines[date(2026, 5, 25)].scope == "country"
    with pytest.raises(Refused):
        proposals.of_library(2026, "ZZ")


def test_a_pack_with_other_closures_proposes_them(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with tx() as session:
        service.in_force(session)
        assert proposals.from_pack(session) == 0
    pack = jurisdiction()
    added = pack.closures[0].model_copy(update={"starts_on": date(2030, 1, 1), "ends_on": date(2030, 1, 2)})
    other = type(pack).model_construct(**{**vars(pack), "closures": (*pack.closures, added)})
    other.__dict__.pop("calendar_version", None)
    monkeypatch.setattr(proposals, "jurisdiction", lambda: other)
    with tx() as session:
        assert [proposals.from_pack(session), proposals.from_pack(session)] == [1, 0]


def test_a_year_nobody_confirmed_warns(api: TestClient, keeper: dict[str, str]) -> None:
    assert api.get("/v1/calendar/warnings", headers=keeper).json() == []
    last = max(jurisdiction().confirmed_years)
    with clock.moved_to(datetime(last, 11, 1, tzinfo=UTC)):
        headers = {**keeper, "Accept-Language": "es"}
        (warning,) = api.get("/v1/calendar/warnings", headers=headers).json()
        assert (warning["code"], warning["years"]) == ("year_not_confirmed", [last + 1])
        assert str(last + 1) in warning["text"]
    request = _one(_file(api))
    with tx() as session:
        told = clocks.histories(session, [request.id])[request.id]
        counted = clocks.answer_deadline(session, request, told)
        assert queries.warnings(session, counted) == []
        late = counted._replace(due_date=date(last + 1, 1, 5))
        for asked in (session, session.connection()):
            assert queries.warnings(asked, late) == [queries.not_confirmed([last + 1])]


# iCalendar


def test_the_calendar_goes_out_and_comes_back(api: TestClient, keeper: dict[str, str]) -> None:
    _declare(api, keeper, _closure(ends_on="2026-09-16", except_types=["information"]))
    answer = api.get("/v1/calendar.ics")
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    parsed = icalendar.Calendar.from_ical(answer.content)
    events = parsed.walk("VEVENT")
    with tx() as session:
        assert len(events) == session.scalar(sa.select(sa.func.count()).select_from(ClosureRecord))
    (ours,) = [event for event in events if event["summary"] == "Día cívico"]
    assert (ours.decoded("dtstart"), ours.decoded("dtend")) == (date(2026, 9, 15), date(2026, 9, 17))
    assert str(ours["x-tejido-act"]) == "Decreto 77 de 2026"
    assert str(ours["x-tejido-suspends-terms"]) == "TRUE"
    assert str(ours["x-tejido-except-types"]) == "information"
    assert "Decreto 77 de 2026" in str(ours["description"])
    headers = {**keeper, "Content-Type": "text/calendar"}
    back = api.post("/v1/calendar/import", content=answer.content, headers=headers)
    assert back.json() == {"read": len({(e.decoded("dtstart"), str(e["summary"])) for e in events}), "proposed": 0}
    assert (
        len(icalendar.Calendar.from_ical(api.get("/v1/calendar.ics?version=1").content).walk("VEVENT"))
        == len(events) - 1
    )


def _ics(*events: str) -> bytes:
    body = "".join(f"BEGIN:VEVENT\r\n{event}\r\nEND:VEVENT\r\n" for event in events)
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{body}END:VCALENDAR\r\n".encode()


def test_events_become_proposals(api: TestClient, keeper: dict[str, str]) -> None:
    zone = (
        "BEGIN:VTIMEZONE\r\nTZID:America/New_York\r\nBEGIN:DAYLIGHT\r\nDTSTART:20070311T020000\r\n"
        "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU\r\nTZOFFSETFROM:-0500\r\nTZOFFSETTO:-0400\r\nEND:DAYLIGHT\r\n"
        "BEGIN:STANDARD\r\nDTSTART:20071104T020000\r\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU\r\n"
        "TZOFFSETFROM:-0400\r\nTZOFFSETTO:-0500\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT"
    )
    data = _ics(
        "DTSTART;VALUE=DATE:20260915\r\nDTEND;VALUE=DATE:20260917\r\nSUMMARY:Dos días",
        "DTSTART;VALUE=DATE:20200220\r\nRRULE:FREQ=YEARLY;COUNT=12\r\nEXDATE;VALUE=DATE:20270220\r\nSUMMARY:Cada año",
        "DTSTART;TZID=America/New_York:20261101T000000\r\nDURATION:P1D\r\nSUMMARY:Cambio de\r\n  hora",
        "DTSTART:20260923T020000Z\r\nDTEND:20260923T040000Z\r\nSUMMARY:De noche aún es martes 22",
        "DTSTART;VALUE=DATE:20260918\r\nSTATUS:CANCELLED\r\nSUMMARY:Cancelado",
        "DTSTART;VALUE=DATE:20261012\r\nSUMMARY:Ya está cerrado",
    ).replace(b"BEGIN:VEVENT", zone.encode(), 1)
    answer = api.post("/v1/calendar/import", files={"file": ("x.ics", data, "text/calendar")}, headers=keeper)
    assert answer.status_code == 200, answer.text
    listed = api.get("/v1/calendar/proposals?source=icalendar&limit=100", headers=keeper).json()["items"]
    found = {(line["starts_on"], line["ends_on"], line["name"]) for line in listed}
    yearly = {(f"{year}-02-20", f"{year}-02-20", "Cada año") for year in (*range(2020, 2027), 2028, 2029)}
    assert found == {
        ("2026-09-15", "2026-09-16", "Dos días"),
        ("2026-11-01", "2026-11-01", "Cambio de hora"),
        ("2026-09-22", "2026-09-22", "De noche aún es martes 22"),
        *yearly,
    }
    assert answer.json() == {"read": len(found) + 1, "proposed": len(found)}


@pytest.mark.parametrize(
    ("data", "line", "code"),
    [
        (b"", 0, "ics_empty"),
        (b"hola", 1, "ics_broken"),
        (b"BEGIN:VCALENDAR\r\nsin dos puntos\r\nEND:VCALENDAR\r\n", 2, "ics_broken"),
        (b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:x\r\n", 2, "ics_not_ended"),
        (b"BEGIN:VCALENDAR\r\nEND:VEVENT\r\n", 2, "ics_broken"),
        (b"BEGIN:VCALENDAR\r\nX:\xff\r\nEND:VCALENDAR\r\n", 2, "ics_not_utf8"),
        (_ics("SUMMARY:x"), 4, "ics_no_date"),
        (_ics("DTSTART;VALUE=DATE:20260101"), 4, "ics_no_name"),
        (_ics("DTSTART;VALUE=DATE:20261301\r\nSUMMARY:x"), 4, "ics_broken_property"),
        (_ics("DTSTART;VALUE=DATE:20260105\r\nDTEND;VALUE=DATE:20260101\r\nSUMMARY:x"), 4, "ics_backwards"),
        (_ics("DTSTART;VALUE=DATE:20260105\r\nDTEND;VALUE=DATE:20290101\r\nSUMMARY:x"), 4, "ics_too_long"),
        (_ics("DTSTART;VALUE=DATE:20260105\r\nRRULE:FREQ=SECONDLY\r\nSUMMARY:x"), 4, "ics_rule"),
        (_ics("DTSTART;VALUE=DATE:20260105\r\nRRULE:FREQ=YEARLY;BYDAY=99MO\r\nSUMMARY:x"), 4, "ics_rule"),
        (_ics("DTSTART;VALUE=DATE:20260105\r\nRRULE;VALUE=PERIOD:20260105T000000Z/PT1H\r\nSUMMARY:x"), 4, "ics_rule"),
        (_ics("DTSTART:P1D\r\nSUMMARY:x"), 4, "ics_no_date"),
        (_ics("DTSTART;VALUE=DATE:20260105\r\nRDATE:P1D\r\nSUMMARY:x"), 4, "ics_broken_property"),
        (_ics("DTSTART;VALUE=DATE:20260105\r\nRECURRENCE-ID:x\r\nSUMMARY:x"), 4, "ics_broken_property"),
        (_ics("DTSTART;VALUE=DATE:20260105\r\nRDATE:00010101T000000Z\r\nSUMMARY:x"), 4, "ics_out_of_calendar"),
        (_ics("DTSTART;VALUE=DATE:20260105\r\nSUMMARY:x\r\nSUMMARY:y"), 4, "ics_broken_property"),
        (_ics("DTSTART;VALUE=DATE:17760704\r\nSUMMARY:x"), 4, "ics_out_of_calendar"),
        (_ics("DTSTART;VALUE=DATE:20200105\r\nRRULE:FREQ=DAILY\r\nSUMMARY:x"), 4, "ics_too_many"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(
    api: TestClient, keeper: dict[str, str], data: bytes, line: int, code: str
) -> None:
    reasons = []
    for language, word in (("es", "ínea"), ("en", "ine")):
        headers = {**keeper, "Content-Type": "text/calendar", "Accept-Language": language}
        answer = api.post("/v1/calendar/import", content=data, headers=headers)
        assert answer.status_code == 422, answer.text
        (error,) = answer.json()["errors"]
        assert error["code"] == code
        if line and code != "ics_too_many":
            assert f"{word} {line}" in error["reason"]
        reasons.append(error["reason"])
    assert reasons[0] != reasons[1]
    assert api.get("/v1/calendar/proposals", headers=keeper).json()["items"] == []


def test_a_rule_is_followed_no_further_than_it_may() -> None:
    (line, *others) = ical.read(_ics("DTSTART;VALUE=DATE:20260101\r\nRRULE:FREQ=YEARLY\r\nSUMMARY:x"))
    assert line.starts_on == date(2026, 1, 1)
    assert [other.starts_on.year for other in others] == [2027, 2028, 2029]
    until = ical.read(_ics("DTSTART;VALUE=DATE:20260101\r\nRRULE:FREQ=MONTHLY;UNTIL=20260301T000000Z\r\nSUMMARY:x"))
    assert [found.starts_on.month for found in until] == [1, 2]


def test_a_rule_without_days_is_searched_once_and_no_more() -> None:
    """To the end of time takes a second or more; a file holds thousands of events."""
    never = "DTSTART;VALUE=DATE:20260105\r\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30\r\nSUMMARY:x"
    with pytest.raises(Refused) as refused:
        ical.read(_ics(*[never] * 1000))
    assert (refused.value.fields, refused.value.params["line"]) == ([("file", "ics_rule")], 4)


def test_an_occurrence_of_its_own_takes_the_place_of_the_rules() -> None:
    yearly = "UID:a\r\nDTSTART;VALUE=DATE:19981012\r\nRRULE:FREQ=YEARLY;UNTIL=20021012\r\nSUMMARY:x"
    moved = "UID:a\r\nRECURRENCE-ID;VALUE=DATE:20011012\r\nDTSTART;VALUE=DATE:20011018\r\nSUMMARY:x"
    cancelled = (
        "UID:a\r\nRECURRENCE-ID;VALUE=DATE:20001012\r\nSTATUS:CANCELLED\r\nDTSTART;VALUE=DATE:20001012\r\nSUMMARY:x"
    )
    found = ical.read(_ics(yearly, moved, cancelled, "DTSTART;VALUE=DATE:20260924\r\nCATEGORIES:province\r\nSUMMARY:y"))
    assert [(line.starts_on, line.scope) for line in found] == [
        (date(2002, 10, 12), "municipality"),
        (date(2001, 10, 18), "municipality"),
        (date(2026, 9, 24), "province"),
    ]
