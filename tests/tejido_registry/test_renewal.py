"""What the calendar does to organizations: axes, reminders, inactivity, and what is told of it."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from tejido_projects.app import create_app as create_projects
from tejido_projects.events import HANDLERS
from tejido_registry import axes
from tejido_registry.app import create_app
from tejido_registry.db import tx
from tejido_registry.models import Application, HistoryEntry, Organization, Reminder
from tejido_registry.renewal import dates, service, tasks
from tejido_registry.settings import jurisdiction
from tejido_registry.standing.rules import Dated, Paper
from tejido_shared import clock, seam
from tejido_shared.db import Database
from tejido_shared.inbox import receive
from tejido_shared.personal import unseal
from tejido_shared.testing import Issuer

REGISTER = jurisdiction().registration
ZONE = jurisdiction().zone
ENTERED = date(2026, 11, 28)
BOARD_UNTIL = date(2027, 3, 31)
FILING_DUE = date(2027, 11, 28)


def at(day: date, hour: int = 12, minute: int = 0) -> datetime:
    """An instant of a local day."""
    return datetime.combine(day, time(hour, minute), ZONE).astimezone(UTC)


def turn(day: date, hour: int = 12, minute: int = 0) -> None:
    with clock.moved_to(at(day, hour, minute)):
        assert not tasks.turn()


@pytest.mark.parametrize(
    ("left", "told"),
    [(91, None), (90, 90), (89, 90), (61, 90), (60, 60), (31, 60), (30, 30), (8, 30), (7, 7), (0, 7), (-1, None)],
)
def test_the_nearest_reminder(left: int, told: int | None) -> None:
    assert axes.reminder(ENTERED + timedelta(days=left), ENTERED, (90, 60, 30, 7)) == told


@settings(deadline=None)
@given(
    st.sampled_from(["registered", "suspended", "inactive", "draft"]),
    st.lists(st.tuples(st.integers(-900, 900), st.integers(0, 900)), max_size=3),
    st.none() | st.integers(-900, 900),
    st.none() | st.integers(-900, 900),
    st.booleans(),
)
def test_the_calendar_never_comes_twice_to_a_day_nor_too_late(
    status: str, mandates: list[tuple[int, int]], paper: int | None, filing: int | None, pending: bool
) -> None:
    def day(n: int) -> date:
        return ENTERED + timedelta(days=n)

    known = Dated(
        registration=status,
        legal=None,
        organization_type="community_action_board",
        grade=1,
        terms=tuple(axes.Term(day(start), day(start + length)) for start, length in mandates),
        papers=() if paper is None else (Paper("statute", day(paper)),),
        filing_due_on=None if filing is None else day(filing),
        filing_pending=pending,
    )
    on = ENTERED
    for _ in range(40):
        following = dates.due_on(known, on, REGISTER)
        assert following is None or following > on
        office = axes.in_office(known.terms, on, 90)
        for ahead in range(1, min(((following or day(1000)) - on).days, 300)):
            later = on + timedelta(days=ahead)
            assert axes.in_office(known.terms, later, 90) == office
            for until in (office.until, known.filing_due_on):
                if until is not None:
                    before, after = (axes.reminder(until, one, (90, 60, 30, 7)) for one in (on, later))
                    assert after in (None, before)
        if following is None:
            break
        on = following


@pytest.mark.parametrize(
    ("entered", "due"),
    [
        (date(2028, 2, 29), date(2029, 2, 28)),
        (date(2027, 2, 28), date(2028, 2, 28)),
        (date(2026, 12, 31), date(2027, 12, 31)),
    ],
)
def test_twelve_months(entered: date, due: date) -> None:
    assert dates.next_filing(entered, REGISTER) == due


@pytest.fixture
def api(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def registrar(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("registro", sub="registradora-1")


def _organization(
    api: TestClient, registrar: dict[str, str], name: str = "Junta La Peña", until: date = BOARD_UNTIL
) -> UUID:
    body = {
        "name": name,
        "organization_type": "community_action_board",
        "legal_status": "incorporated",
        "address": "Calle 1",
        "contacts": [{"name": "Ana Niño", "email": "junta@example.org"}],
    }
    board = {
        "starts_on": "2024-04-01",
        "ends_on": until.isoformat(),
        "members": [{"post": "Presidenta", "signs": True, "person": {"name": "Ana Niño"}}],
    }
    with clock.moved_to(at(ENTERED)):
        made = api.post("/v1/organizations", json=body, headers=registrar)
        assert made.status_code == 201, made.text
        path = f"/v1/organizations/{made.json()['id']}"
        assert api.post(f"{path}/boards", json=board, headers=registrar).status_code == 201
    return UUID(made.json()["id"])


def _stored(key: UUID) -> Organization:
    with tx() as session:
        return session.get_one(Organization, key)


def _events(kind: str, subscriber: str = "notifications") -> list[dict[str, Any]]:
    with tx() as session:
        found = session.scalars(
            sa.select(seam.outbox.c.envelope).where(seam.outbox.c.subscriber == subscriber).order_by(seam.outbox.c.id)
        )
        return [envelope for envelope in found if envelope["type"] == f"registry.{kind}"]


def _told() -> list[tuple[str, str, int]]:
    return [(one["data"]["kind"], one["occurred_at"][:10], one["data"]["days"]) for one in _events("renewal_due")]


def _file(key: UUID, status: str, day: date) -> None:
    """An annual filing of the organization in this state of its procedure."""
    with clock.moved_to(at(day)), tx() as session:
        organization = session.get_one(Organization, key, with_for_update=True)
        application = session.scalar(sa.select(Application).where(Application.status == "in_review"))
        if application is None:
            application = Application(
                organization_id=key,
                kind="annual_filing",
                period=day.year,
                number=f"TRA-{day.year}-1",
                submitted_at=clock.now(),
                submitted_by="representante-1",
                on_behalf=False,
                due_on=day,
            )
            session.add(application)
        application.status = status
        if status == "accepted":
            application.decided_at = clock.now()
            session.flush()
            service.filed(session, organization, day.year, "registradora-2")


def test_reminders_are_told_exactly_on_their_days_and_once(api: TestClient, registrar: dict[str, str]) -> None:
    key = _organization(api, registrar)
    for ahead in range(130):
        turn(ENTERED + timedelta(days=ahead))
        turn(ENTERED + timedelta(days=ahead), hour=18)
    assert _told() == [("mandate", (BOARD_UNTIL - timedelta(days=n)).isoformat(), n) for n in (90, 60, 30, 7)]
    data = _events("renewal_due")[0]["data"]
    assert (data["due_on"], data["grace_until"], data["organization_id"]) == ("2027-03-31", None, str(key))
    assert unseal(data["recipient_email"]) == "junta@example.org"
    assert "junta@" not in str(_events("renewal_due"))
    for ahead in range(130, 366):
        turn(ENTERED + timedelta(days=ahead))
    filings = [(when, days) for kind, when, days in _told() if kind == "filing"]
    assert filings == [((FILING_DUE - timedelta(days=n)).isoformat(), n) for n in (90, 60, 30, 7)]
    assert _events("renewal_due")[-1]["data"]["grace_until"] == "2028-01-27"
    with tx() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Reminder)) == 8


def test_after_a_month_asleep_only_the_nearest_is_told(api: TestClient, registrar: dict[str, str]) -> None:
    _organization(api, registrar)
    turn(BOARD_UNTIL - timedelta(days=95))
    turn(BOARD_UNTIL - timedelta(days=20))
    turn(BOARD_UNTIL - timedelta(days=19))
    assert [(kind, days) for kind, _, days in _told()] == [("mandate", 20)]
    # An officer's change on the day does not swallow what the calendar has still to tell.
    with clock.moved_to(at(BOARD_UNTIL - timedelta(days=7), hour=0, minute=1)):
        [organization] = api.get("/v1/organizations", headers=registrar).json()["items"]
        body = {"fields": ["contact"], "method": "phone", "result": "confirmed"}
        path = f"/v1/organizations/{organization['id']}/verifications"
        assert api.post(path, json=body, headers=registrar).status_code == 201
    turn(BOARD_UNTIL - timedelta(days=7))
    assert [days for _, _, days in _told()] == [20, 7]


def test_no_reminder_for_a_mandate_that_somebody_follows(api: TestClient, registrar: dict[str, str]) -> None:
    key = _organization(api, registrar)
    follows = {
        "starts_on": "2027-04-01",
        "ends_on": "2031-03-31",
        "members": [{"post": "Presidente", "signs": True, "person": {"name": "Luis"}}],
    }
    with clock.moved_to(at(ENTERED)):
        assert api.post(f"/v1/organizations/{key}/boards", json=follows, headers=registrar).status_code == 201
    for ahead in range(0, 130, 5):
        turn(ENTERED + timedelta(days=ahead))
    assert _told() == []
    assert (_stored(key).mandate_status, _stored(key).mandate_until) == ("current", date(2031, 3, 31))


def test_a_mandate_expires_by_the_calendar_and_the_projects_service_refuses(
    api: TestClient, registrar: dict[str, str], databases: dict[str, Database], issuer: Issuer
) -> None:
    key = _organization(api, registrar)
    officer = issuer.headers("funcionario:gerencia-proyectos", sub="funcionaria-1")
    body = {"organization_id": str(key), "title": "Huerta", "need": "Lote", "place": "Calle 3"}

    def hear() -> None:
        letters = [{"envelope": one, "sent": 1} for one in _events("organization_changed", "projects")]
        receive(databases["projects"], HANDLERS, letters)

    with TestClient(create_projects(), raise_server_exceptions=False) as projects:

        def present(day: date) -> Any:
            with clock.moved_to(at(day)):
                return projects.post("/v1/projects", json=body, headers=officer)

        hear()
        assert present(ENTERED).status_code == 201
        turn(date(2026, 12, 31))
        assert _stored(key).mandate_status == "expiring"
        turn(BOARD_UNTIL, hour=23, minute=59)
        assert _stored(key).mandate_status == "expiring"
        before = _stored(key).version
        turn(BOARD_UNTIL + timedelta(days=1), hour=0, minute=1)
        organization = _stored(key)
        assert (organization.mandate_status, organization.mandate_until) == ("expired", BOARD_UNTIL)
        assert organization.version == before + 1
        last = _events("organization_changed", "projects")[-1]
        assert last["subject_version"] == organization.version
        assert (last["data"]["mandate_status"], last["data"]["status"]) == ("expired", "registered")
        standing = {one["purpose"]: one["reasons"] for one in last["data"]["standing"]}
        assert standing["apply"] == ["mandate_expired"]
        assert standing["be_listed"] == []
        hear()
        refused = present(BOARD_UNTIL + timedelta(days=1))
        assert (refused.status_code, "venció" in refused.json()["detail"]) == (409, True)
        renewed: dict[str, Any] = {"starts_on": "2027-04-01", "ends_on": "2028-03-31"}
        renewed |= {"members": [{"post": "Presidente", "signs": True, "person": {"name": "Luis"}}]}
        with clock.moved_to(at(date(2027, 4, 2))):
            assert api.post(f"/v1/organizations/{key}/boards", json=renewed, headers=registrar).status_code == 201
        hear()
        assert present(date(2027, 4, 2)).status_code == 201


def test_a_missed_filing_makes_inactive_after_its_grace_and_filing_brings_back(
    api: TestClient, registrar: dict[str, str]
) -> None:
    key = _organization(api, registrar, until=date(2033, 1, 1))
    last_of_grace = FILING_DUE + timedelta(days=60)
    turn(last_of_grace, hour=23, minute=59)
    assert _stored(key).registration_status == "registered"
    turn(last_of_grace + timedelta(days=1), hour=0, minute=1)
    assert _stored(key).registration_status == "inactive"
    turn(last_of_grace + timedelta(days=1))
    [moved] = _events("status_changed")
    assert (moved["data"]["before"], moved["data"]["after"]) == ("registered", "inactive")
    standing = {one["purpose"]: one["reasons"] for one in _events("organization_changed")[-1]["data"]["standing"]}
    assert standing["apply"] == ["registration_inactive", "filing_overdue"]
    assert standing["be_listed"] == []
    back = last_of_grace + timedelta(days=10)
    _file(key, "in_review", back)
    _file(key, "accepted", back)
    organization = _stored(key)
    assert (organization.registration_status, organization.filing_due_on) == ("registered", date(2029, 2, 6))
    assert _events("organization_changed")[-1]["data"]["status"] == "registered"
    assert {one["purpose"]: one["reasons"] for one in _events("organization_changed")[-1]["data"]["standing"]}[
        "apply"
    ] == []
    with tx() as session:
        kinds = session.scalars(sa.select(HistoryEntry.kind).order_by(HistoryEntry.at, HistoryEntry.id)).all()
    assert kinds[-3:] == ["status_changed", "filed", "status_changed"]


def test_no_calendar_moves_who_filed_in_time_or_is_suspended(api: TestClient, registrar: dict[str, str]) -> None:
    waits = _organization(api, registrar, "Espera", until=date(2033, 1, 1))
    suspended = _organization(api, registrar, "Suspendida", until=date(2033, 1, 1))
    _file(waits, "in_review", FILING_DUE)
    with tx() as session:
        session.get_one(Organization, suspended).registration_status = "suspended"
    late = FILING_DUE + timedelta(days=61)
    for ahead in range(3):
        turn(late + timedelta(days=ahead))
    assert _stored(waits).registration_status == "registered"
    assert _stored(waits).standing["apply"] == []
    assert _stored(suspended).registration_status == "suspended"
    with tx() as session:
        session.get_one(Organization, suspended).registration_status = "registered"
        session.scalars(sa.select(Application)).one().status = "rejected"
    turn(late + timedelta(days=3))
    assert _stored(suspended).registration_status == _stored(waits).registration_status == "inactive"


def test_who_was_there_before_the_rule_has_the_whole_term(api: TestClient, registrar: dict[str, str]) -> None:
    key = _organization(api, registrar)
    with tx() as session:
        organization = session.get_one(Organization, key)
        organization.filing_due_on, organization.standing, organization.axes_due_on = None, {}, ENTERED
    turn(date(2028, 2, 29))
    organization = _stored(key)
    assert (organization.filing_due_on, organization.registration_status) == (date(2029, 2, 28), "registered")
    assert organization.standing["apply"] == ["mandate_expired"]


_KILLED = """
import os, signal
from datetime import datetime
from tejido_registry.renewal import queries, service, tasks
from tejido_shared import clock

service.BATCH, remember, batches = 2, queries.remember, []

def remember_until_killed(session, reminders):
    batches.append(1)
    told = remember(session, reminders)
    if len(batches) == 2:
        session.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    return told

queries.remember = remember_until_killed
with clock.moved_to(datetime.fromisoformat("{instant}")):
    tasks.turn()
"""


def test_killed_half_way_and_run_again_it_is_the_same(api: TestClient, registrar: dict[str, str]) -> None:
    keys = [_organization(api, registrar, f"Junta {n}") for n in range(7)]
    day = BOARD_UNTIL - timedelta(days=60)
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED.format(instant=at(day).isoformat())], check=False, capture_output=True
    )
    assert killed.returncode == -9, killed.stderr
    assert len(_told()) == 2
    turn(day)
    told = _events("renewal_due")
    assert sorted(one["data"]["organization_id"] for one in told) == sorted(map(str, keys))
    assert {one["data"]["days"] for one in told} == {60}
    assert {_stored(key).mandate_status for key in keys} == {"expiring"}
    changed = [one["data"]["mandate_status"] for one in _events("organization_changed")]
    assert changed.count("expiring") == 7


def test_two_calendars_at_once_tell_each_thing_once(api: TestClient, registrar: dict[str, str]) -> None:
    for n in range(12):
        _organization(api, registrar, f"Junta {n}")
    with clock.moved_to(at(BOARD_UNTIL - timedelta(days=30))):

        def some(_: int) -> int:
            done = 0
            while True:
                with tx() as session:
                    found = service.turn(session, BOARD_UNTIL - timedelta(days=30), 2)
                done += found
                if not found:
                    return done

        with ThreadPoolExecutor(3) as pool:
            assert sum(pool.map(some, range(3))) == 12
    assert len(_told()) == 12
