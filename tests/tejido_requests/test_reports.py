"""Figures, the periodic report and open data, against a slow count of what a random town did."""

import csv
import hashlib
import io
import itertools
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from statistics import fmean, median
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pypdfium2  # type: ignore[import-untyped]
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tejido_requests.app import create_app
from tejido_requests.audit import service as audit
from tejido_requests.calendars import service as calendars
from tejido_requests.clocks import service as clocks
from tejido_requests.db import database, tx
from tejido_requests.desk import completion, extensions, family, service
from tejido_requests.documents import Chart
from tejido_requests.documents.typesetting import Words
from tejido_requests.intake.schemas import Petitioner
from tejido_requests.intake.service import Filing, Place, file
from tejido_requests.models import CalendarVersion, ClosureRecord, Rating, ServiceRequest
from tejido_requests.reports import opendata, papers
from tejido_requests.reports.schemas import Figures, Group
from tejido_requests.settings import jurisdiction
from tejido_shared import clock
from tejido_shared.db import Database
from tejido_shared.refusals import Refused
from tejido_shared.testing import Issuer

ZONE = ZoneInfo("America/Bogota")
BANDS = [(0, 5), (6, 15), (16, 30), (31, None)]
PERIODS = [
    (date(2026, 2, 1), date(2026, 3, 31)),
    (date(2026, 4, 1), date(2026, 4, 30)),
    (date(2026, 5, 1), date(2026, 6, 14)),
    (date(2026, 1, 1), date(2026, 12, 31)),
]
ASKED: list[tuple[str, list[str]]] = [
    ("received", ["type"]),
    ("received", ["office", "month"]),
    ("closed", ["channel", "area"]),
    ("closed", ["month"]),
]


@pytest.fixture
def api(databases: dict[str, Database]) -> Iterator[TestClient]:
    for kept in (opendata.REQUESTS, opendata.FIGURES):
        kept.forget()
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def auditor(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("auditoria")


def _at(month: int, day: int, hour: int = 10) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=ZONE)


def _filing(**changes: Any) -> Filing:
    blank: dict[str, Any] = dict.fromkeys(
        ("reasons", "organization_id", "project_id", "received_at", "due_date", "filed_by", "received_by")
    )
    plain = {"subject": "Hay un bache", "petitioner": Petitioner(name="Ana Niño"), "attachments": [], "language": "es"}
    return Filing(**{**blank, **plain, "channel": "web", "verbal": False, "request_type": None, **changes})


def _file(at: datetime, **changes: Any) -> UUID:
    with clock.moved_to(at), tx() as session:
        return file(session, _filing(**changes)).id


def _answer(request_id: UUID, at: datetime, kind: str = "answer") -> None:
    with clock.moved_to(at), tx() as session:
        request = session.get_one(ServiceRequest, request_id)
        service.answer(session, request, "Se hará.", "f", kind=kind)
        service.record_notification(session, request, clock.now(), "Firma", "f")


def _get(api: TestClient, path: str, who: dict[str, str] | None = None, **params: Any) -> dict[str, Any]:
    answer = api.get(f"/v1/{path}", params=params, headers=who)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


# The random town and its diary


@dataclass(frozen=True)
class State:
    type: str
    office: str
    channel: str
    area: str | None
    status: str
    closed_at: datetime | None
    overdue_at: datetime | None
    on_time: bool | None
    extended_by: int | None
    priority: bool
    reopens_id: UUID | None
    first_answer_at: datetime | None
    answer_kind: str | None
    copies: int | None
    received_on: date
    calendar_version: int


COLUMNS = (
    *(ServiceRequest.request_type, ServiceRequest.office, ServiceRequest.channel, ServiceRequest.area),
    *(ServiceRequest.status, ServiceRequest.closed_at, ServiceRequest.overdue_at, ServiceRequest.on_time),
    *(ServiceRequest.extended_by, ServiceRequest.priority, ServiceRequest.reopens_id, ServiceRequest.first_answer_at),
    *(ServiceRequest.answer_kind, ServiceRequest.term_copies_within, ServiceRequest.effective_receipt_date),
    ServiceRequest.calendar_version,
)


@dataclass
class Town:
    """Acts at random, and writes down after each how every request stands: the past is then read here, and nowhere worked out."""

    random: random.Random
    diary: dict[UUID, list[tuple[datetime, State]]] = field(default_factory=lambda: defaultdict(list))
    stars: dict[UUID, tuple[datetime, int]] = field(default_factory=dict)
    acts: Counter[str] = field(default_factory=Counter)

    def write(self) -> None:
        with tx() as session:
            for request_id, *values in session.execute(sa.select(ServiceRequest.id, *COLUMNS)):
                state, pages = State(*values), self.diary[request_id]
                if not pages or pages[-1][1] != state:
                    pages.append((clock.now(), state))

    def step(self, at: datetime) -> None:
        with clock.moved_to(at):
            if not self.diary or self.random.random() < 0.28:
                self.file()
            else:
                ways = self.ways()
                rare = ("withdrawn", "merged", "split", "refused", "completed")
                (name,) = self.random.choices(list(ways), [1 if way in rare else 3 for way in ways])
                act = ways[name]
                try:
                    with tx() as session:
                        act(session)
                    self.acts[name] += 1
                except Refused:
                    pass
            self.write()

    def file(self) -> None:
        pack, pick = jurisdiction(), self.random.choice
        kinds = ["general_interest_petition", "information", "copies", "consultation", "complaint", "suggestion"]
        with tx() as session:
            file(
                session,
                _filing(
                    request_type=pick(kinds),
                    channel=pick(["web", "counter", "letter"]),
                    office=pick([office.code for office in pack.offices[:3]]),
                    place=Place(area=pick([None, *(area.code for area in pack.areas[:5])])),
                    priority=self.random.random() < 0.1,
                    priority_reason="Salud",
                ),
            )

    def one(self, session: Any, *statuses: str) -> ServiceRequest:
        found = session.scalars(
            sa.select(ServiceRequest).where(ServiceRequest.status.in_(statuses)).order_by(ServiceRequest.number)
        ).all()
        if not found:
            raise Refused
        return self.random.choice(found)  # type: ignore[no-any-return]

    def ways(self) -> dict[str, Callable[[Any], object]]:
        def on(act: Callable[..., object], *more: Any, of: tuple[str, ...] = ("received",), **named: Any) -> Any:
            return lambda session: act(session, self.one(session, *of), *more, **named)

        def notify(session: Any) -> None:
            request = self.one(session, "answered")
            service.record_notification(session, request, clock.now(), "Firma", "f")

        def rate(session: Any) -> None:
            request = self.one(session, "notified")
            if request.id in self.stars:
                raise Refused
            self.stars[request.id] = clock.now(), self.random.randint(1, 5)
            session.add(Rating(request_id=request.id, at=self.stars[request.id][0], stars=self.stars[request.id][1]))

        def withdraw(session: Any) -> None:
            request = self.one(session, "paused")
            if request.citizen_due_date and request.citizen_due_date >= clock.now().date():
                waiting = sa.select(ServiceRequest).where(ServiceRequest.citizen_due_date < clock.now().date())
                request = session.scalars(waiting).first() or request
            completion.decide_withdrawal(session, request, "No completó", "f", withdraw=True)

        def merge(session: Any) -> None:
            first = self.one(session, "received")
            second = self.one(session, "received")
            if first is second:
                raise Refused
            family.merge(session, [first, second], "Lo mismo", "f", different_types=True)

        def retype(session: Any) -> None:
            kind = self.random.choice(["information", "consultation", "general_interest_petition"])
            request = self.one(session, "received", "paused")
            service.retype(session, request, kind, "Otro tipo", None, "f", by_supervisor=True)

        def move(session: Any) -> None:
            office = self.random.choice([office.code for office in jurisdiction().offices[:3]])
            service.move_to_office(session, self.one(session, "received", "paused", "answered"), office, "f")

        parts = [family.Part("Una parte"), family.Part("Otra parte")]
        return {
            "answered": on(service.answer, "Se hará.", "f"),
            "refused": on(service.answer, "No.", "f", kind="refusal"),
            "partial": on(service.answer_in_part, "Una parte.", "f"),
            "notified": notify,
            "notified again": notify,
            "rated": rate,
            "asked": on(completion.ask_for_completion, "La dirección", None, "f"),
            "completed": on(completion.complete, "Calle 1", None, None, of=("paused",)),
            "withdrawn": on(completion.withdraw, None, None, None, "Firma"),
            "tacit": withdraw,
            "extended": on(extensions.extend, "Hace falta", "f", added=5, evidence="Firma"),
            "retyped": retype,
            "moved": move,
            "transferred": on(service.transfer, "Otra", "No es nuestra", "Oficio", None, "f"),
            "split": on(family.split, parts, "Son dos", "f"),
            "merged": merge,
            "reopened": on(family.reopen, "No responde", "f", of=("notified",)),
        }

    def declare_closure(self, at: datetime, first: date, last: date) -> None:
        """As a confirmed change does: a new version, and every open request dated anew."""
        with clock.moved_to(at):
            with tx() as session:
                old = calendars.in_force(session)
                session.add(CalendarVersion(number=old + 1, at=at, fingerprint="x"))
                session.flush()
                closure = {"starts_on": first, "ends_on": last, "name": "Día cívico", "act": "Decreto 1"}
                session.add(
                    ClosureRecord(
                        **closure, since=old + 1, scope="municipality", suspends_terms=True, open_for_filing=False
                    )
                )
            with tx() as session:
                for request in session.scalars(sa.select(ServiceRequest).where(ServiceRequest.closed_at.is_(None))):
                    audit.record(session, request, "calendar_changed", clock.now(), None, calendar_version=old + 1)
                    request.calendar_version = old + 1
                    session.flush()
                    history = clocks.histories(session, [request.id])[request.id]
                    clocks.settle(session, request, history, clock.now())
            self.write()


# The slow count


def _closed_days() -> dict[tuple[int, str], set[date]]:
    with tx() as session:
        closures = session.scalars(sa.select(ClosureRecord)).all()
        versions = session.scalars(sa.select(CalendarVersion.number)).all()
    found = {}
    for version in versions:
        for kind in jurisdiction().request_types:
            days: set[date] = set()
            for closure in closures:
                if closure.since <= version and closure.suspends_terms and kind.code not in closure.except_types:
                    span = (closure.ends_on - closure.starts_on).days
                    days |= {closure.starts_on + timedelta(days=n) for n in range(span + 1)}
            found[version, kind.code] = days
    return found


def _slow(
    town: Town, first: date, last: date, of: str, by: Sequence[str], now: datetime, offices: set[str] | None = None
) -> dict[tuple[Any, ...], dict[str, Any]]:
    since = datetime.combine(first, time(), ZONE)
    until = datetime.combine(last + timedelta(days=1), time(), ZONE)
    as_of = min(until, now)
    last_day = (as_of - timedelta(microseconds=1)).astimezone(ZONE).date()
    closed_days = _closed_days()
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for request_id, pages in town.diary.items():
        known = [state for instant, state in pages if instant < until]
        if not known:
            continue
        state, newest, entered = known[-1], pages[-1][1], pages[0][0]
        if state.closed_at is not None and state.closed_at < since:
            continue
        if offices is not None and state.office not in offices:
            continue

        def days(day: date, state: State = state, newest: State = newest) -> int:
            shut, count, at = closed_days[newest.calendar_version, newest.type], 0, state.received_on
            while at < day:
                at += timedelta(days=1)
                count += at.weekday() < 5 and at not in shut
            return count

        is_open, new = state.closed_at is None, entered >= since
        final = state.status == "notified"
        paused = state.status == "paused"
        overdue = is_open and not paused and state.overdue_at is not None and state.overdue_at <= as_of
        first_at = state.first_answer_at
        if first_at is not None and of == "closed" and first_at < since:
            first_at = None
        rated_at, stars = town.stars.get(request_id, (until, 0))
        month = entered if of == "received" else state.closed_at
        dimensions = {
            **{name: getattr(state, name) for name in ("type", "office", "channel", "area")},
            "month": month and month.astimezone(ZONE).strftime("%Y-%m"),
        }
        fact: dict[str, Any] = {
            "wanted": new or of == "closed",
            "new": new,
            "state": state,
            "open": is_open,
            "final": final,
            "paused": paused,
            "overdue": overdue,
            "silence": state.copies is not None
            and state.overdue_at is not None
            and since <= state.overdue_at <= as_of
            and (is_open or (state.closed_at is not None and state.closed_at >= state.overdue_at)),
            "first_days": None if first_at is None else days(first_at.astimezone(ZONE).date()),
            "final_days": days(state.closed_at.astimezone(ZONE).date()) if final and state.closed_at else None,
            "age": days(last_day),
            "stars": stars if rated_at < until and (of == "received" or rated_at >= since) else None,
        }
        groups[tuple(dimensions[name] for name in by)].append(fact)
    if not by and not groups:
        groups[()] = []
    return {key: _count(facts, "month" in by) for key, facts in groups.items()}


def _count(facts: list[dict[str, Any]], by_month: bool) -> dict[str, Any]:
    mine = [fact for fact in facts if fact["wanted"]]

    def number(condition: Callable[[dict[str, Any]], Any], among: list[dict[str, Any]] = mine) -> int:
        return sum(bool(condition(fact)) for fact in among)

    def spread(name: str) -> tuple[float | None, float | None]:
        values = [fact[name] for fact in mine if fact[name] is not None]
        return (fmean(values), float(median(values))) if values else (None, None)

    on_time = number(lambda f: f["final"] and f["state"].on_time)
    late = number(lambda f: f["final"] and not f["state"].on_time)
    overdue = number(lambda f: f["overdue"])
    first, final = spread("first_days"), spread("final_days")
    stars = [fact["stars"] for fact in mine if fact["stars"] is not None]
    ages = [(fact["age"], fact["overdue"]) for fact in facts if fact["open"]]
    pile = Counter((max(start for start, _ in BANDS if start <= age), late) for age, late in ages)
    ended = Counter(fact["state"].status for fact in mine)
    backlog = {
        "open_at_start": number(lambda f: not f["new"], facts),
        "closed": number(lambda f: not f["open"], facts),
        "open_at_end": number(lambda f: f["open"], facts),
    }
    return {
        "received": number(lambda f: f["new"], facts),
        "on_time": on_time,
        "late": late,
        "open": number(lambda f: f["open"] and not f["overdue"] and not f["paused"]),
        "overdue": overdue,
        "paused": number(lambda f: f["paused"]),
        **{name: ended[name] for name in ("withdrawn", "transferred", "split", "merged")},
        "extended": number(lambda f: f["state"].extended_by),
        "priority": number(lambda f: f["state"].priority),
        "disputes": number(lambda f: f["state"].reopens_id),
        "denied": number(lambda f: f["final"] and f["state"].answer_kind == "refusal"),
        "accepted_by_silence": number(lambda f: f["silence"]),
        "on_time_rate": on_time / (on_time + late + overdue) if on_time + late + overdue else None,
        "first_answer_days": first[0],
        "first_answer_median": first[1],
        "final_answer_days": final[0],
        "final_answer_median": final[1],
        "ratings": len(stars),
        "stars": fmean(stars) if stars else None,
        **(dict.fromkeys(backlog) if by_month else backlog),
        "ageing": [
            {"from_days": start, "to_days": end, "open": pile[start, False], "overdue": pile[start, True]}
            for start, end in BANDS
        ],
    }


def _same(found: dict[str, Any], expected: dict[str, Any], where: Any) -> None:
    assert {name: found[name] for name in expected} == {
        name: pytest.approx(value) if isinstance(value, float) else value for name, value in expected.items()
    }, where


def _check(api: TestClient, town: Town, who: dict[str, str], first: date, last: date) -> list[dict[str, Any]]:
    """Every figure of a period against the slow count, at the moment the clock shows. Returns the answers."""
    answers = []
    for of, by in ASKED:
        found = _get(api, "reports/figures", who, **{"from": first, "to": last, "of": of, "by": by})
        answers.append(found)
        now = datetime.fromisoformat(found["as_of"])
        _same(found["total"], _slow(town, first, last, of, [], now)[()], (first, of))
        names = [name for name in ("type", "office", "channel", "area", "month") if name in by]
        slow = _slow(town, first, last, of, names, now)
        if "month" in by and of == "received":
            slow = {key: figures for key, figures in slow.items() if figures["received"]}
        if "month" in by and of == "closed":
            slow = {key: figures | {"on_time_rate": None} for key, figures in slow.items()}
        groups = {tuple(group[name] for name in names): group for group in found["groups"]}
        assert groups.keys() == slow.keys()
        for key, figures in slow.items():
            _same(groups[key], figures, (first, of, key))
        total = found["total"]
        assert total["open_at_start"] + total["received"] - total["closed"] == total["open_at_end"]
    return answers


@pytest.mark.parametrize("seed", [1, 2])
def test_every_figure_is_what_a_slow_count_of_a_random_town_gives_and_stays_so(
    api: TestClient, auditor: dict[str, str], issuer: Issuer, seed: int
) -> None:
    town = Town(random.Random(seed))
    instant, kept = _at(2, 2, 8), {}
    declared = False
    while instant < _at(7, 20):
        town.step(instant)
        instant += timedelta(minutes=town.random.randint(20, 640))
        if not declared and instant > _at(4, 10):
            town.declare_closure(instant, date(2026, 4, 20), date(2026, 4, 22))
            declared = True
        for period in PERIODS:
            if period not in kept and instant > datetime.combine(period[1] + timedelta(days=1), time(1), ZONE):
                with clock.moved_to(instant):
                    kept[period] = _check(api, town, auditor, *period)
    assert len(kept) == 3
    assert len(town.diary) > 150
    assert all(town.acts[name] for name in town.ways()), town.acts
    with clock.moved_to(instant):
        for period in PERIODS:
            answers = _check(api, town, auditor, *period)
            assert kept.get(period, answers) == answers
        office = jurisdiction().offices[1].code
        mine = _get(
            api,
            "reports/figures",
            issuer.headers(f"funcionario:{office}"),
            **{"from": "2026-04-01", "to": "2026-04-30"},
        )
        assert mine["offices"] == [office]
        assert mine["total"]["received"] > 0
        slow = _slow(town, *PERIODS[1], "received", [], datetime.fromisoformat(mine["as_of"]), {office})
        _same(mine["total"], slow[()], office)
        _check_pqrsd(api, town, auditor)


def _check_pqrsd(api: TestClient, town: Town, who: dict[str, str]) -> None:
    first, last = PERIODS[1]
    report = _get(api, "reports/pqrsd", who, **{"from": first, "to": last})
    slow = _slow(town, first, last, "closed", ["type"], datetime.fromisoformat(report["as_of"]))
    for group in report["by_type"]:
        _same(group, slow[group["type"],], group["type"])
    for name in ("office", "channel", "area"):
        assert sum(group["received"] for group in report[f"by_{name}"]) == report["total"]["received"]
    asked = [figures for (kind,), figures in slow.items() if kind in ("information", "copies")]
    information = report["information"]
    assert information["types"] == ["information", "copies"]
    for name in ("received", "transferred", "denied"):
        assert information[name] == sum(figures[name] for figures in asked)
    answered = [(f["final_answer_days"], f["on_time"] + f["late"]) for f in asked if f["on_time"] + f["late"]]
    average = sum(days * n for days, n in answered) / sum(n for _, n in answered) if answered else None
    assert information["response_days"] == pytest.approx(average)
    acts = report["acts"]
    since, until = datetime.combine(first, time(), ZONE), datetime.combine(last + timedelta(days=1), time(), ZONE)
    ended = Counter(
        pages[-1][1].status
        for pages in town.diary.values()
        if (at := pages[-1][1].closed_at) is not None and since <= at < until
    )
    assert (acts["transfers"], acts["withdrawals"]) == (ended["transferred"], ended["withdrawn"])
    extensions = sum(
        since <= later[0] < until
        for pages in town.diary.values()
        for before, later in itertools.pairwise(pages)
        if (before[1].extended_by or 0) < (later[1].extended_by or 0)
    )
    assert acts["extensions"] >= extensions > 0
    assert 0 <= acts["transfers_on_time"] <= acts["transfers"]
    assert 0 <= acts["tacit_withdrawals"] <= acts["withdrawals"]


# By hand


def test_the_rate_is_not_flattered_by_what_nobody_answers(api: TestClient, auditor: dict[str, str]) -> None:
    period = {"from": "2026-03-01", "to": "2026-03-31"}
    assert _get(api, "reports/figures", auditor, **period)["total"]["on_time_rate"] is None
    late = _file(_at(3, 2))  # due on Tuesday 24 March
    assert _get(api, "reports/figures", auditor, **period)["total"]["on_time_rate"] == 0.0
    answered = _file(_at(3, 4))
    _answer(answered, _at(3, 11))
    total = _get(api, "reports/figures", auditor, **period)["total"]
    assert (total["on_time"], total["overdue"], total["on_time_rate"]) == (1, 1, 0.5)
    assert (total["final_answer_days"], total["final_answer_median"]) == (5, 5)
    _answer(late, _at(4, 6))
    assert _get(api, "reports/figures", auditor, **period)["total"] == total
    april = {"from": "2026-04-01", "to": "2026-04-30"}
    assert _get(api, "reports/figures", auditor, **april)["total"]["received"] == 0
    closed = _get(api, "reports/figures", auditor, **april, of="closed")["total"]
    assert (closed["received"], closed["late"], closed["on_time_rate"]) == (0, 1, 0.0)
    assert (closed["open_at_start"], closed["closed"], closed["open_at_end"]) == (1, 1, 0)


def test_silence_grants_and_the_days_of_acts_are_counted(api: TestClient, auditor: dict[str, str]) -> None:
    _file(_at(3, 2), request_type="copies")  # ten days: due on Monday 16 March
    refused = _file(_at(3, 2), request_type="information")
    _answer(refused, _at(3, 9), kind="refusal")
    moved = _file(_at(3, 3), request_type="information")
    extended = _file(_at(3, 3))
    tacit = _file(_at(2, 2))
    with clock.moved_to(_at(2, 4)), tx() as session:
        completion.ask_for_completion(session, session.get_one(ServiceRequest, tacit), "La dirección", None, "f")
    with clock.moved_to(_at(3, 16)), tx() as session:
        completion.decide_withdrawal(session, session.get_one(ServiceRequest, tacit), "No completó", "f", withdraw=True)
        service.transfer(session, session.get_one(ServiceRequest, moved), "Otra", "No nos toca", "Oficio", None, "f")
        extensions.extend(
            session, session.get_one(ServiceRequest, extended), "Hace falta", "f", added=8, evidence="Firma"
        )
    report = _get(api, "reports/pqrsd", auditor, **{"from": "2026-03-01", "to": "2026-03-31"})
    assert report["acts"] == {
        "extensions": 1,
        "extension_days": 8,
        "transfers": 1,
        "transfers_on_time": 0,
        "accepted_by_silence": 1,
        "withdrawals": 1,
        "tacit_withdrawals": 1,
    }
    assert report["information"] == {
        "types": ["information", "copies"],
        "received": 3,
        "transferred": 1,
        "denied": 1,
        "response_days": 5,
    }


def test_who_may_ask(api: TestClient, issuer: Issuer) -> None:
    offices = [office.code for office in jurisdiction().offices[:2]]
    for office in offices:
        _file(_at(3, 2), office=office)
    period = {"from": "2026-03-01", "to": "2026-03-31"}
    for group, seen in (
        *((f"funcionario:{offices[0]}", 1), (f"jefatura:{offices[1]}", 1), ("supervision", 2), ("auditoria", 2)),
        *(("administracion", 2), ("funcionario:otra", 0)),
    ):
        for path in ("figures", "pqrsd"):
            assert _get(api, f"reports/{path}", issuer.headers(group), **period)["total"]["received"] == seen, group
    for path in ("figures", "figures.csv", "pqrsd", "pqrsd.pdf"):
        assert api.get(f"/v1/reports/{path}", params=period).status_code == 401
        assert api.get(f"/v1/reports/{path}", params=period, headers=issuer.headers("ciudadania")).status_code == 403


def test_a_period_must_be_one(api: TestClient, auditor: dict[str, str]) -> None:
    for params, code in (
        ({"from": "2026-03-02", "to": "2026-03-01"}, "period_backwards"),
        ({"from": "1999-01-01", "to": "2026-03-01"}, None),
        ({"from": "2026-01-01", "to": "9999-12-31"}, None),
        ({"from": "2026-03-01", "to": "2026-03-02", "by": "petitioner"}, None),
        ({"from": "2026-03-01"}, None),
    ):
        answer = api.get("/v1/reports/figures", params=params, headers=auditor)
        assert answer.status_code == 422
        assert code in (None, answer.json()["errors"][0]["code"])
        assert not answer.json()["errors"][0]["reason"].startswith("field.")


@contextmanager
def _statements() -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        seen.append(statement)

    sa.event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(database.engine, "before_cursor_execute", note)


def test_no_more_statements_for_more_requests(api: TestClient, auditor: dict[str, str]) -> None:
    def counts() -> list[int]:
        found = []
        for path in ("reports/figures", "reports/pqrsd"):
            with _statements() as seen:
                _get(api, path, auditor, **{"from": "2026-03-01", "to": "2026-03-31"})
            found.append(len(seen))
            assert not [each for each in seen if "FROM calendar_version" in each and "service_request" in each]
        with _statements() as seen:
            opendata.FIGURES.forget()
            _get(api, "open-data/figures.json", year=2026)
        return [*found, len(seen)]

    _file(_at(3, 2))
    counts()
    before = counts()
    for n in range(30):
        request_id = _file(_at(3, 2 + n % 20), office=jurisdiction().offices[n % 3].code)
        with clock.moved_to(_at(4, 6 + n % 3)), tx() as session:
            office = jurisdiction().offices[(n + 1) % 3].code
            service.move_to_office(session, session.get_one(ServiceRequest, request_id), office, "f")
    assert counts() == before
    assert max(before) <= 7


def test_the_figures_as_csv_are_the_figures(api: TestClient, auditor: dict[str, str]) -> None:
    _answer(_file(_at(3, 2)), _at(3, 9))
    _file(_at(3, 3), request_type="copies")
    period = {"from": "2026-03-01", "to": "2026-03-31", "by": ["type", "month"]}
    found = _get(api, "reports/figures", auditor, **period)
    text = api.get("/v1/reports/figures.csv", params=period, headers=auditor).content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["type"], row["month"]) for row in rows] == [
        ("copies", "2026-03"),
        ("general_interest_petition", "2026-03"),
        ("*", "*"),
    ]
    for row, group in zip(rows, [*found["groups"], found["total"]], strict=True):
        assert int(row["received"]) == group["received"]
        assert row["on_time_rate"] == ("" if group["on_time_rate"] is None else str(group["on_time_rate"]))
        assert int(row["overdue_0_5"]) == group["ageing"][0]["overdue"]


def test_bars_are_as_long_as_what_was_answered_or_is_pending(databases: dict[str, Database]) -> None:
    """What is paused is pending: of the table's columns, all but what was closed otherwise."""
    blank: dict[str, Any] = {name: 0 for name in Figures.model_fields if name != "ageing"}
    groups = [
        Group(**blank | {"on_time": 1, "late": 2, "open": 3, "paused": 4, "overdue": 5}, ageing=[], type=code)
        for code in ("complaint", "claim")
    ]
    section = papers._counts("type", groups, groups[0], {}, Words("es", "CO"))
    chart = section.parts[1]
    assert isinstance(chart, Chart)
    assert [values for _, values in chart.bars] == [(1, 2, 7, 5)] * 2
    assert chart.series == ("A tiempo", "Tarde", "En término o suspendidas", "Vencidas")


def test_the_report_as_pdf(api: TestClient, auditor: dict[str, str], issuer: Issuer) -> None:
    with clock.moved_to(_at(4, 3)):
        _answer(_file(_at(3, 2)), _at(3, 9))
        _file(_at(3, 2), request_type="copies")
    answer = api.get("/v1/reports/pqrsd.pdf", params={"from": "2026-03-01", "to": "2026-03-31"}, headers=auditor)
    assert answer.headers["content-type"] == "application/pdf"
    assert 'filename="pqrsd-2026-03-01-2026-03-31.pdf"' in answer.headers["content-disposition"]
    pages = pypdfium2.PdfDocument(answer.content)
    text = re.sub(r"\s+", " ", " ".join(page.get_textpage().get_text_range() for page in pages))
    for said in (
        *("Del 1 de marzo de 2026 al 31 de marzo de 2026", "50,0", "1 a tiempo de 1 respondidas y 1 vencidas"),
        *("Ley 1712 de 2014", "Ley 1755 de 2015, art. 14 num. 1", "Desistimientos tácitos", "Sin dato"),
        *("Pendientes al final del período", "Mediana a la respuesta final"),
    ):
        assert said in text, said
    assert "document." not in text
    assert "Limitado" not in text
    limited = api.get(
        "/v1/reports/pqrsd.pdf",
        params={"from": "2026-03-01", "to": "2026-03-31"},
        headers=issuer.headers(f"jefatura:{jurisdiction().offices[0].code}"),
    )
    first = pypdfium2.PdfDocument(limited.content)[0].get_textpage().get_text_range()
    assert f"Limitado a: {jurisdiction().offices[0].name}" in re.sub(r"\s+", " ", first)
    english = api.get(
        "/v1/reports/pqrsd.pdf",
        params={"from": "2026-03-01", "to": "2026-03-31"},
        headers=auditor | {"Accept-Language": "en"},
    )
    assert "document." not in "".join(
        page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(english.content)
    )


# Open data


def _rows(api: TestClient, year: int = 2026) -> list[dict[str, str]]:
    opendata.REQUESTS.forget()
    answer = api.get("/v1/open-data/requests.csv", params={"year": year})
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_open_data_holds_no_person(api: TestClient) -> None:
    person = Petitioner(
        name="Zenobia Quitiaquez",
        identification="CC 9184756",
        email="zenobia@example.org",
        phone="3009184756",
        address="Diagonal 77",
        representative_name="Plutarco Samaniego",
    )
    place = Place(address="Transversal 88", area="usaquen", latitude=4.70311, longitude=-74.03322)
    for n in range(12):
        request_id = _file(
            _at(3, 2 + n),
            subject="Fuga en mi apartamento",
            reasons="Vivo sola",
            petitioner=person,
            place=place,
            confidential=n == 0,
            priority=True,
            priority_reason="Embarazo",
        )
        if n % 2:
            _answer(request_id, _at(3, 20))
    body = api.get("/v1/open-data/requests.csv", params={"year": 2026})
    assert body.headers["cache-control"] == "public, max-age=3600"
    with tx() as session:
        requests = session.scalars(sa.select(ServiceRequest)).all()
        secret = {
            *(value for value in vars(person).values() if isinstance(value, str)),
            *("Zenobia", "9184756", "Fuga", "Vivo sola", "Embarazo", "Transversal", "4.703", "-74.03", "Se hará"),
            *(text for r in requests for text in (r.number, r.tracking_code, str(r.id), str(r.id).replace("-", ""))),
            *(r.answer_number for r in requests if r.answer_number),
        }
        ids = {str(r.id): r for r in requests}
    everything = body.content + api.get("/v1/open-data/figures.json", params={"year": 2026}).content
    assert not [value for value in secret if value.encode() in everything]
    rows = list(csv.DictReader(io.StringIO(body.text)))
    assert [row["id"] for row in rows] == sorted(
        hashlib.sha256(f"open data {request_id}".encode()).hexdigest()[:24] for request_id in ids
    )
    assert {row["area"] for row in rows} == {"otros"} or Counter(row["area"] for row in rows)["otros"] >= 5
    assert [row["received_on"] for row in rows] != sorted(row["received_on"] for row in rows)
    assert _rows(api) == rows
    assert _rows(api, 2025) == []
    done = [row for row in rows if row["closed_on"]]
    assert {(row["status"], row["closed_on"], row["on_time"]) for row in done} == {("notified", "2026-03-20", "true")}
    monday = next(row for row in done if row["received_on"] == "2026-03-03")
    assert (monday["business_days"], monday["due_on"]) == ("13", "2026-03-25")


def test_what_is_rare_is_merged(api: TestClient) -> None:
    areas = [area.code for area in jurisdiction().areas]
    for area, count in zip(areas, (9, 6, 5, 2, 1), strict=False):
        for n in range(count):
            _file(_at(3, 2 + n), place=Place(area=area), request_type="complaint" if area == areas[3] else None)
    rows = _rows(api)
    # Two and one are three: the next smallest joins them, or the three could be told.
    assert Counter(row["area"] for row in rows) == {areas[0]: 9, areas[1]: 6, "otros": 8}
    assert Counter(row["type"] for row in rows) == {"otros": 23}
    found = _get(api, "open-data/figures.json", year=2026)
    assert {group["value"]: group["received"] for group in found["by"]["area"]} == Counter(r["area"] for r in rows)
    assert found["total"]["received"] == 23
    assert "ordenar" in found["caveat"]


@pytest.mark.parametrize("seed", range(50))
def test_whatever_the_counts_nothing_rare_is_left(seed: int) -> None:
    rng = random.Random(seed)
    counts = {str(n): rng.choice([1, 2, 3, 4, 5, 6, 50]) for n in range(rng.randint(0, 8))}
    counts |= {"otros": rng.randint(1, 9)} if rng.random() < 0.3 else {}
    apart = opendata.kept_apart(counts)
    assert all(counts[value] >= 5 for value in apart)
    merged = sum(count for value, count in counts.items() if value not in apart)
    assert merged == 0 or merged >= 5 or not apart


def test_strangers_cannot_make_the_database_work(api: TestClient) -> None:
    _file(_at(3, 2))
    for path in ("requests.csv", "figures.json"):
        api.get(f"/v1/open-data/{path}", params={"year": 2026})
        with _statements() as seen:
            assert api.get(f"/v1/open-data/{path}", params={"year": 2026}).status_code == 200
        assert seen == []


def test_the_dictionary_explains_every_column(api: TestClient) -> None:
    for language in ("es", "en"):
        found = api.get("/v1/open-data/dictionary", headers={"Accept-Language": language}).json()
        assert tuple(column["name"] for column in found["columns"]) == opendata.COLUMNS
        assert "open_data." not in str(found)
        assert "export." not in str(found)
    assert "rank" in found["caveats"][0]
    assert {"code": "usaquen", "name": "Usaquén"} in found["values"]["area"]


def test_a_reader_of_the_figures_writes_nothing(databases: dict[str, Database]) -> None:
    from tejido_requests.reports.service import snapshot

    with pytest.raises(sa.exc.DBAPIError, match="read-only"), snapshot() as session:
        session.execute(sa.text("delete from rating"))
