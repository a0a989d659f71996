"""The acts in the life of a request, over HTTP and against the pure function."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tejido_requests.calendars import queries as calendars
from tejido_requests.calendars.tasks import redate
from tejido_requests.clocks import service as clocks
from tejido_requests.clocks import tasks
from tejido_requests.db import database, tx
from tejido_requests.events import HANDLERS
from tejido_requests.models import (
    Announcement,
    CalendarVersion,
    ClosureRecord,
    HistoryEntry,
    ServiceRequest,
    StoppedClock,
)
from tejido_requests.settings import jurisdiction
from tejido_shared import clock, contracts, deadlines, seam
from tejido_shared.contracts import envelope_of
from tejido_shared.ids import new_id
from tejido_shared.inbox import receive
from tejido_shared.personal import unseal
from tejido_shared.testing import Issuer

OFFICE = "atencion-ciudadania"
ZONE = ZoneInfo("America/Bogota")
GENERAL, COPIES, CONSULTATION = "general_interest_petition", "copies", "consultation"
PERSON = {"name": "Ana Niño", "email": "ana@example.org"}


def on(month: int, day: int, hour: int = 10, minute: int = 0) -> datetime:
    """A local instant of 2026."""
    return datetime(2026, month, day, hour, minute, tzinfo=ZONE)


RECEIVED = on(3, 2)  # a Monday; 15 open days from it end on Tuesday 24 March, 10 on Monday 16


class Desk:
    """A desk over HTTP, with what lies in its database."""

    def __init__(self, api: TestClient, issuer: Issuer) -> None:
        self.api = api
        self.who = {
            "officer": issuer.headers(f"funcionario:{OFFICE}", sub="funcionaria-1"),
            "head": issuer.headers(f"jefatura:{OFFICE}", sub="jefa-1"),
            "supervisor": issuer.headers(f"funcionario:{OFFICE}", "supervision", sub="supervisora-1"),
        }
        self.codes: dict[str, tuple[str, str]] = {}

    def file(self, kind: str = GENERAL, at: datetime = RECEIVED, **more: Any) -> str:
        """The id of a request received by letter at that instant."""
        body = {"subject": "Hay un bache", "request_type": kind, "received_at": at.isoformat(), "channel": "letter"}
        path = "/v1/service-requests"
        answer = self.api.post(path, json=body | {"petitioner": PERSON} | more, headers=self.who["officer"])
        assert answer.status_code == 201, answer.text
        made = answer.json()
        self.codes[made["id"]] = made["number"], made["tracking_code"]
        return str(made["id"])

    def post(
        self, request: str, act: str, body: dict[str, Any] | None = None, who: str = "officer", **more: Any
    ) -> Any:
        headers = self.who[who] | more.get("headers", {})
        return self.api.post(f"/v1/service-requests/{request}/{act}", json=body or {}, headers=headers)

    def do(self, request: str, act: str, body: dict[str, Any] | None = None, who: str = "officer") -> dict[str, Any]:
        answer = self.post(request, act, body, who)
        assert answer.status_code in (200, 201), answer.text
        self.check(request)
        return dict(answer.json())

    def refused(self, request: str, act: str, body: dict[str, Any] | None = None, who: str = "officer") -> str:
        """The code of the refusal, after which everything is as it was."""
        before = self.everything(request)
        answer = self.post(request, act, body, who)
        assert answer.status_code in (403, 409, 422), answer.text
        assert self.everything(request) == before
        said = answer.json()
        assert not said["title"].startswith("problem."), said
        assert not said["detail"].startswith("problem."), said
        assert all(not error["reason"].startswith("field.") for error in said["errors"]), said
        return str(said["errors"][0]["code"] if said["errors"] else said["type"].rpartition(":")[2])

    def citizen(self, request: str, act: str, body: dict[str, Any] | None = None) -> Any:
        number, code = self.codes[request]
        path = f"/v1/tracking/{number}/{act}"
        # With a token there is no limit to how often; the code is what opens.
        return self.api.post(path, json=body or {}, headers=self.who["officer"] | {"Tracking-Code": code})

    def tracked(self, request: str) -> dict[str, Any]:
        number, code = self.codes[request]
        headers = self.who["officer"] | {"Tracking-Code": code}
        return dict(self.api.get(f"/v1/tracking/{number}", headers=headers).json())

    def read(self, request: str) -> dict[str, Any]:
        return dict(self.api.get(f"/v1/service-requests/{request}", headers=self.who["officer"]).json())

    def row(self, request: str) -> ServiceRequest:
        with tx() as session:
            return session.get_one(ServiceRequest, UUID(request))

    def everything(self, request: str) -> list[Any]:
        """The row and what hangs on it, as text."""
        with tx() as session:
            found = [
                session.scalars(sa.text(f"select r::text from {table} r where {key} = :id order by 1"), {"id": request})
                for table, key in (
                    *(("service_request", "id"), ("history_entry", "request_id"), ("stopped_clock", "request_id")),
                    *(("draft", "request_id"), ("rating", "request_id")),
                )
            ]
            return [[*rows] for rows in found] + [session.scalar(sa.select(sa.func.count()).select_from(seam.outbox))]

    def kinds(self, request: str) -> list[str]:
        return [entry["kind"] for entry in self.read(request)["history"]]

    def details(self, request: str, kind: str) -> dict[str, Any]:
        with tx() as session:
            mine = sa.select(HistoryEntry.details).where(HistoryEntry.request_id == UUID(request))
            return dict(session.scalars(mine.where(HistoryEntry.kind == kind)).all()[-1])

    def outcomes(self, request: str) -> dict[str, str]:
        with tx() as session:
            rows = session.scalars(sa.select(StoppedClock).where(StoppedClock.request_id == UUID(request)))
            return {row.clock: row.outcome for row in rows}

    def clock_of(self, request: str, kind: str) -> dict[str, Any]:
        return next(found for found in self.read(request)["clocks"] if found["clock"] == kind)

    def events(self, kind: type[contracts.Event]) -> list[tuple[UUID, Any]]:
        """Id and event of those published, in order."""
        with tx() as session:
            query = sa.select(seam.outbox.c.envelope).order_by(seam.outbox.c.id)
            said = session.scalars(query.where(seam.outbox.c.envelope["type"].astext == kind.type)).all()
        return [(UUID(envelope["id"]), kind.model_validate(envelope["data"])) for envelope in said]

    def mail(self, cause: type[contracts.Event], event_id: UUID, about: str, at: datetime, why: str = "") -> None:
        """The mail that told of an event arrived, or failed for a reason."""
        common = {"message_id": uuid4(), "cause_id": event_id, "cause_type": cause.type, "about": UUID(about)}
        event: contracts.Event = (
            contracts.MessageFailed(**common, failed_at=at, reason=why)
            if why
            else contracts.MessageDelivered(**common, delivered_at=at, evidence="250 2.0.0 Ok")
        )
        envelope = envelope_of(
            event, event_id=uuid4(), subject_version=1, occurred_at=at, correlation_id="", traceparent=None
        )
        letter = {"envelope": envelope.model_dump(mode="json"), "sent": 1}
        for _ in range(2):  # an event may arrive often
            assert receive(database, HANDLERS, [letter]) == [envelope.id]

    def pure(self, request: str) -> deadlines.Deadline:
        """The pure function of the stored history, read here and not by the service."""
        pack, row = jurisdiction(), self.row(request)
        with tx() as session:
            mine = sa.select(HistoryEntry).where(HistoryEntry.request_id == row.id)
            told = session.scalars(mine.order_by(HistoryEntry.at, HistoryEntry.id)).all()
            retyped = [entry for entry in told if entry.kind == "retyped"]
            first_type = retyped[0].details["from"] if retyped else row.request_type
            term = clocks.core_term(pack.term(first_type, row.received_at.astimezone(ZONE).date()))
            acts: list[deadlines.Act] = []
            version = 0
            for entry in told:
                if entry.calendar_version is not None:
                    version = max(version, entry.calendar_version)
                    calendar = calendars.calendar(session, version, row.request_type)
                    if entry.kind == "received":
                        start = calendar
                    else:
                        acts.append(deadlines.CalendarChanged(entry.at, calendar))
                made: dict[str, Callable[[datetime, dict[str, Any]], deadlines.Act]] = {
                    "asked_to_complete": lambda at, _: deadlines.Pause(at),
                    "completed": lambda at, _: deadlines.Resume(at),
                    "completion_withdrawn": lambda at, _: deadlines.Resume(at),
                    "extended": lambda at, said: deadlines.Extend(at, said["added"]),
                    "retyped": lambda at, said: deadlines.Retype(
                        at, clocks.core_term(pack.term(said["to"], RECEIVED.date())), said["by_supervisor"]
                    ),
                    "transferred": lambda at, _: deadlines.Transfer(at),
                    **dict.fromkeys(("notified", "withdrawn", "split", "merged"), lambda at, _: deadlines.Stop(at)),
                }
                if entry.kind in made:
                    acts.append(made[entry.kind](entry.at, entry.details))
        return deadlines.deadline(row.received_at, term, start, ZONE, clocks.policy(), acts)

    def check(self, request: str) -> None:
        """What is stored is what the pure function says."""
        row, counted = self.row(request), self.pure(request)
        assert counted.rejected == {}
        assert (row.due_date, row.days_left) == (counted.due_date, counted.days_left)
        assert row.overdue_at == counted.overdue_at
        assert row.due_soon_from == counted.due_soon_from
        assert row.extended_by == (counted.added or None)
        if row.status in ("withdrawn", "split", "merged"):
            assert row.on_time is None
        else:
            assert row.on_time == counted.on_time
        if row.status in ("received", "paused"):
            assert row.status == ("paused" if counted.paused else "received")
        assert (row.closed_at is not None) == (row.status not in ("received", "paused", "answered"))
        assert row.closed_at == counted.stopped_at
        assert (row.paused_at is not None) == (row.status == "paused")
        shown = self.read(request)["clocks"]
        if row.closed_at is not None:
            assert all(found["status"] != "running" for found in shown if found["clock"] != "appeal")
        with tx() as session:
            mine = sa.select(StoppedClock).where(StoppedClock.request_id == row.id)
            kept = {(one.clock, one.started_at): one for one in session.scalars(mine)}
        for found in shown:
            of = kept.get((found["clock"], datetime.fromisoformat(found["started_at"])))
            if of is not None:
                on_time = {"on_time": True, "late": False, "void": None}[of.outcome]
                due = of.due_date.isoformat() if of.due_date else None
                assert (found["on_time"], found["due_date"]) == (on_time, due), found

    def answered_and_notified(self, request: str) -> None:
        self.do(request, "answer", {"text": "Se hará."})
        self.do(request, "notification", {"notified_at": clock.now().isoformat(), "evidence": "Guía 1"})


@pytest.fixture
def desk(api: TestClient, issuer: Issuer) -> Desk:
    return Desk(api, issuer)


ASK = "completion-requests"
ASKED = {"what": "Falta la dirección"}


def test_asking_pauses_and_completing_resumes_with_what_was_left(desk: Desk) -> None:
    with clock.moved_to(on(3, 6)):
        one = desk.file()
        assert desk.do(one, ASK, ASKED)["status"] == "paused"
        row = desk.row(one)
        assert (row.due_date, row.days_left, row.citizen_due_date) == (None, 11, date(2026, 4, 6))
        ((_, told),) = desk.events(contracts.RequestCompletionAsked)
        assert (unseal(told.what), told.complete_until, told.days_left) == (ASKED["what"], date(2026, 4, 6), 11)
        assert told.may_be_extended  # as Ley 1755 de 2015, art. 17 has it
        assert desk.tracked(one)["asked"] == {"what": ASKED["what"], "until": "2026-04-06"}
        assert desk.tracked(one)["clock"]["due_date"] is None
    with clock.moved_to(on(3, 14, 23)):  # Saturday night: no office is open, but the citizen may
        assert desk.citizen(one, "completion", {"text": "Calle 1 # 2-3"}).status_code == 200
        desk.check(one)
    # Frozen from 9 to 14 March: what was the 24th moves by five open days.
    assert desk.row(one).due_date == date(2026, 3, 31)
    (asked,) = desk.read(one)["completions"]
    assert (asked["text"], asked["completed"], asked["late"]) == ("Calle 1 # 2-3", True, False)
    assert desk.tracked(one)["asked"] is None
    assert desk.outcomes(one)["citizen_completion"] == "on_time"


def test_asking_after_the_window_is_admitted_and_flagged(desk: Desk) -> None:
    with clock.moved_to(on(3, 17)):  # the tenth open day was the 16th
        one = desk.file()
        desk.do(one, ASK, ASKED)
        assert desk.read(one)["completions"][0]["late"] is True


def test_an_act_may_be_recorded_later_but_not_out_of_order_or_time(desk: Desk) -> None:
    with clock.moved_to(on(3, 10)):
        one = desk.file()
        for at, code in (
            (on(3, 11), "act_in_future"),
            (on(3, 1), "act_before_receipt"),
        ):
            assert desk.refused(one, ASK, ASKED | {"at": at.isoformat()}) == code
        desk.do(one, ASK, ASKED | {"at": on(3, 5).isoformat(), "evidence": "Guía 7"})
        assert desk.refused(one, "completion", {"at": on(3, 4).isoformat()}) == "act_before_last"
        desk.do(one, "completion", {"at": on(3, 9).isoformat(), "text": "Aquí está", "evidence": "Radicado en papel"})
        assert desk.row(one).due_date == date(2026, 3, 26)


def test_a_pause_on_the_last_day_leaves_one_day(desk: Desk) -> None:
    with clock.moved_to(on(3, 24, 23, 59)):
        one = desk.file()
        desk.do(one, ASK, ASKED)
        assert desk.row(one).days_left == 1
    with clock.moved_to(on(4, 1)):
        desk.do(one, "completion", {"text": "x"})
        assert desk.row(one).due_date == date(2026, 4, 6)  # after Holy Thursday, Good Friday and the weekend
    with clock.moved_to(on(3, 25, 0)):
        late = desk.file()
        assert desk.refused(late, ASK, ASKED) == "pause_overdue"


def test_the_citizens_month_is_extended_once_and_before_it_ends(desk: Desk) -> None:
    more = {"reasons": "Pidió más tiempo"}
    with clock.moved_to(on(3, 6)):
        one, two = desk.file(), desk.file()
        assert desk.refused(one, f"{ASK}/extension", more) == "not_paused"
        desk.do(one, ASK, ASKED)
        desk.do(two, ASK, ASKED)
    with clock.moved_to(on(4, 6, 23)):
        desk.do(one, f"{ASK}/extension", more)
        assert desk.row(one).citizen_due_date == date(2026, 5, 6)
        assert desk.refused(one, f"{ASK}/extension", more) == "completion_extended_already"
    with clock.moved_to(on(4, 7, 0, 1)):
        assert desk.refused(two, f"{ASK}/extension", more) == "completion_lapsed"


def test_tacit_withdrawal_is_proposed_never_automatic_and_decided_by_a_head(desk: Desk) -> None:
    decision = {"withdraw": True, "reasons": "No completó"}
    with clock.moved_to(on(3, 6)):
        one, two = desk.file(), desk.file()
        for each in (one, two):
            desk.do(each, ASK, ASKED)
    with clock.moved_to(on(4, 6, 23)):
        assert desk.refused(one, "withdrawal-decision", decision, "head") == "completion_not_lapsed"
        listed = desk.api.get("/v1/withdrawal-proposals", headers=desk.who["officer"]).json()["items"]
        assert listed == []
    with clock.moved_to(on(6, 30)):  # long after: the sweep has said so, and nothing more
        tasks.announce()
        assert desk.kinds(one)[-1] == "completion_lapsed"
        assert desk.row(one).status == "paused"
        page = desk.api.get("/v1/withdrawal-proposals", params={"limit": 1}, headers=desk.who["officer"]).json()
        more = {"limit": 1, "cursor": page["next"]}
        rest = desk.api.get("/v1/withdrawal-proposals", params=more, headers=desk.who["officer"]).json()
        assert {item["id"] for item in page["items"] + rest["items"]} == {one, two}
        assert desk.post(one, "withdrawal-decision", decision).status_code == 403
        assert desk.do(one, "withdrawal-decision", decision, "head")["status"] == "withdrawn"
        assert desk.outcomes(one) | {"answer": "void", "citizen_completion": "void"} == desk.outcomes(one)
        ((_, told),) = desk.events(contracts.RequestWithdrawn)
        assert told.tacit
        # Dismissed: the office goes on with what it has, and the clock with it.
        desk.do(two, "withdrawal-decision", {"withdraw": False, "reasons": "Basta lo que hay"}, "head")
        assert (desk.row(two).status, desk.row(two).due_date) == ("received", date(2026, 7, 16))
        assert desk.api.get("/v1/withdrawal-proposals", headers=desk.who["officer"]).json()["items"] == []


def test_withdrawal_by_the_citizens_own_wish(desk: Desk) -> None:
    with clock.moved_to(on(3, 6)):
        one, two = desk.file(), desk.file()
        desk.do(one, "withdrawal", {"evidence": "Carta firmada"})
        seen = desk.citizen(two, "withdrawal", {"reasons": "Ya lo taparon"})
        assert seen.json()["status"] == "withdrawn"
        desk.check(two)
        for each in (one, two):
            assert (desk.outcomes(each)["answer"], desk.row(each).alarm_at) == ("void", None)
        assert [told.tacit for _, told in desk.events(contracts.RequestWithdrawn)] == [False, False]


WHY = {"reasons": "Hay que visitar el sitio"}


def test_an_extension_with_evidence_holds_at_once(desk: Desk) -> None:
    with clock.moved_to(on(3, 24, 12)):
        one = desk.file(petitioner={"name": "Luis"})
        assert desk.refused(one, "extensions", WHY | {"added": 5}) == "extension_proof_needed"
        assert desk.refused(one, "extensions", WHY | {"added": 16, "evidence": "Guía"}) == "extension_too_long"
        assert desk.refused(one, "extensions", WHY | {"due_date": "2026-05-30", "evidence": "Guía"}) == "extension_date"
        assert desk.refused(one, "extensions", WHY | {"evidence": "Guía"}) == "added_or_date"
        told_at = on(3, 24, 9).isoformat()
        desk.do(one, "extensions", WHY | {"due_date": "2026-04-10", "evidence": "Guía 9", "told_at": told_at})
        assert desk.row(one).due_date == date(2026, 4, 10)
        assert desk.details(one, "extended")["added"] == 11  # Holy Thursday and Good Friday do not count
        assert desk.details(one, "extended")["from"] == "2026-03-24"
        assert desk.refused(one, "extensions", WHY | {"added": 1, "evidence": "Guía"}) == "extended_already"
    with clock.moved_to(on(3, 25, 0, 0)):
        late = desk.file()
        assert desk.refused(late, "extensions", WHY | {"added": 5, "evidence": "Guía"}) == "extension_overdue"
        # Told in time, entered late: what counts is when the citizen was told.
        desk.do(late, "extensions", WHY | {"added": 5, "evidence": "Guía", "told_at": on(3, 24).isoformat()})


def test_an_extension_by_mail_holds_when_the_mail_has_arrived_in_time(desk: Desk) -> None:
    notice = contracts.RequestExtensionAnnounced
    with clock.moved_to(on(3, 24, 12)):
        in_time, late, bounced, other = (desk.file() for _ in range(4))
        for each in (in_time, late, bounced):
            desk.do(each, "extensions", WHY | {"added": 5})
            assert desk.row(each).due_date == date(2026, 3, 24)  # nothing moves before the proof
        assert desk.refused(late, "extensions", WHY | {"added": 3}) == "extension_pending"
        told = {str(event.request_id): (event_id, event) for event_id, event in desk.events(notice)}
        assert told[in_time][1].new_due_date == date(2026, 3, 31)
        desk.mail(notice, told[in_time][0], other, on(3, 24, 13))  # of another request: nothing
        assert "extended" not in desk.kinds(other)
    with clock.moved_to(on(3, 25, 8)):
        # Delivered in time, heard of after midnight; and delivered after midnight.
        desk.mail(notice, told[in_time][0], in_time, on(3, 24, 23, 59))
        desk.mail(notice, told[late][0], late, on(3, 25, 0))
        desk.mail(notice, told[bounced][0], bounced, on(3, 24, 13), "550 no such user")
        for each in (in_time, late, bounced):
            desk.check(each)
        assert desk.row(in_time).due_date == date(2026, 3, 31)
        assert desk.kinds(in_time).count("extended") == 1
        assert desk.details(late, "extension_failed")["why"] == "extension_overdue"
        assert desk.details(bounced, "extension_failed")["why"] == "not_delivered"
        assert {desk.row(each).due_date for each in (late, bounced)} == {date(2026, 3, 24)}


def test_nothing_is_asked_while_an_announced_extension_awaits_its_proof(desk: Desk) -> None:
    notice = contracts.RequestExtensionAnnounced
    with clock.moved_to(on(3, 6)):
        one, two, three = (desk.file() for _ in range(3))
        for each in (one, two, three):
            desk.do(each, "extensions", WHY | {"added": 5})
            assert desk.refused(each, ASK, ASKED) == "extension_pending_proof"
        told = {str(event.request_id): event_id for event_id, event in desk.events(notice)}
        desk.mail(notice, told[one], one, clock.now())
        desk.mail(notice, told[two], two, clock.now(), "550 no such user")
        desk.do(three, "extensions", WHY | {"added": 5, "evidence": "Guía 1"})
        for each in (one, two, three):
            desk.do(each, ASK, ASKED)


def test_those_merged_into_a_request_are_told_when_its_date_moves(desk: Desk) -> None:
    notice = contracts.RequestExtensionAnnounced
    with clock.moved_to(on(3, 6)):
        first, second, third = (desk.file(at=on(3, day)) for day in (2, 3, 4))
        desk.do(second, "merge", WHY | {"others": [third]})
        desk.do(first, "merge", WHY | {"others": [second]})
        desk.do(first, "extensions", WHY | {"added": 5})
        ((survivors, _),) = desk.events(notice)  # they are told what holds
        desk.mail(notice, survivors, first, clock.now())
        told = {str(event.request_id): (event_id, event) for event_id, event in desk.events(notice)}
        assert set(told) == {first, second, third}
        for _, event in told.values():
            assert (event.due_date, event.new_due_date) == (date(2026, 3, 24), date(2026, 3, 31))
        assert told[third][1].number == desk.codes[third][0]
        desk.mail(notice, told[second][0], second, clock.now())
        desk.mail(notice, told[third][0], third, clock.now(), "550 no such user")
        assert "extended" not in desk.kinds(second)  # no proof but the survivor's moves a clock
        assert desk.kinds(third)[-1] == "message_failed"
        ((_, undelivered),) = desk.events(contracts.RequestMessageUndelivered)
        assert (str(undelivered.request_id), undelivered.due_date) == (third, None)
        assert desk.row(first).due_date == date(2026, 3, 31)
        desk.do(first, "retype", WHY | {"request_type": CONSULTATION})
        moved = {str(event.request_id): event.type_name for _, event in desk.events(contracts.RequestDueDateMoved)}
        assert moved == dict.fromkeys((first, second, third), desk.row(first).type_name)


def test_retyping_counts_the_true_term_from_the_same_receipt(desk: Desk) -> None:
    with clock.moved_to(on(3, 6)):
        one = desk.file()
        assert desk.refused(one, "retype", WHY | {"request_type": GENERAL}) == "same_type"
        assert desk.refused(one, "retype", WHY | {"request_type": "nada"}) == "unknown_request_type"
        assert desk.refused(one, "retype", WHY | {"request_type": "oversight_request"}) == "date_set"
        for code, value, wrong in (
            ("happened_on", "anteayer", "not_a_date"),
            ("against", 3, "not_a_text"),
            ("nada", "", "unknown_field"),
        ):
            body = WHY | {"request_type": "complaint", "answers": {code: value or "x"}}
            assert desk.refused(one, "retype", body) == wrong
        answers = {"period": "2025"}
        desk.do(one, "retype", WHY | {"request_type": COPIES, "answers": answers})
        row = desk.row(one)
        assert (row.due_date, row.first_due_date, row.term_n) == (date(2026, 3, 16), date(2026, 3, 24), 10)
        assert (row.type_name, desk.read(one)["answers"]) == ("Solicitud de copia", answers)
        assert desk.events(contracts.RequestDueDateMoved) == []
        desk.do(one, "retype", WHY | {"request_type": CONSULTATION})
        ((_, told),) = desk.events(contracts.RequestDueDateMoved)
        assert (told.cause, told.old_due_date, told.new_due_date) == (
            "retype",
            date(2026, 3, 16),
            desk.row(one).due_date,
        )
        desk.do(one, "retype", WHY | {"request_type": "corruption_report"})
        assert desk.row(one).confidential


def test_retyping_after_the_due_date_to_a_longer_term_takes_a_supervisor(desk: Desk) -> None:
    with clock.moved_to(on(3, 26)):
        one, two, three = (desk.file() for _ in range(3))
        to = WHY | {"request_type": CONSULTATION}
        assert desk.refused(one, "retype", to) == "retype_overdue"
        desk.do(one, "retype", to, "supervisor")
        desk.do(two, "retype", to, "head")
        assert desk.row(one).due_date == desk.row(two).due_date == date(2026, 4, 16)
        kept = desk.details(one, "retyped")
        assert (kept["due_date_before"], kept["due_date"], kept["by_supervisor"]) == ("2026-03-24", "2026-04-16", True)
        desk.do(three, "retype", WHY | {"request_type": COPIES})  # to a shorter one: overdue all the same
        assert desk.read(three)["overdue"] is True


def test_a_transfer_has_a_clock_of_its_own(desk: Desk) -> None:
    body = WHY | {"authority": "Secretaría de Movilidad", "evidence": "Guía 55"}
    with clock.moved_to(on(3, 9, 23, 59)):  # the fifth open day
        one = desk.file()
        receiver = {"receiver_received_at": on(3, 9, 15).isoformat()}
        assert desk.do(one, "transfers", body | receiver)["status"] == "transferred"
        assert desk.details(one, "transferred")["on_time"] is True
        ((_, told),) = desk.events(contracts.RequestTransferred)
        assert (told.authority, unseal(told.evidence)) == ("Secretaría de Movilidad", "Guía 55")
        assert desk.tracked(one)["transferred_to"] == "Secretaría de Movilidad"
        assert desk.outcomes(one)["transfer"] == "on_time"
    with clock.moved_to(on(3, 10, 0)):
        late = desk.file()
        desk.do(late, "transfers", body)
        assert desk.details(late, "transferred")["on_time"] is False
        assert desk.outcomes(late)["transfer"] == "late"
        spoken = {"subject": "x", "reasons": "y", "petitioner": PERSON | {"identification": "CC 1"}}
        made = desk.api.post("/v1/service-requests/verbal", json=spoken, headers=desk.who["officer"]).json()
        desk.codes[made["id"]] = made["number"], made["tracking_code"]
        desk.do(made["id"], "transfers", body)
        assert desk.details(made["id"], "transferred")["told_at_once"] is True


def test_a_draft_is_approved_by_a_head_who_did_not_write_it(desk: Desk) -> None:
    with clock.moved_to(on(3, 6)):
        one = desk.file()
        draft = desk.do(one, "drafts")
        assert draft["text"].startswith(
            f"En respuesta a su petición {desk.codes[one][0]}, recibida el 2 de marzo de 2026"
        )
        path = f"drafts/{draft['id']}"
        url = f"/v1/service-requests/{one}/{path}"
        changed = desk.api.patch(url, json={"text": "Nuevo"}, headers=desk.who["officer"] | {"If-Match": '"1"'})
        assert changed.json()["text"] == "Nuevo"
        assert desk.refused(one, f"{path}/issue") == "draft_written"
        assert desk.refused(one, f"{path}/approve", who="head") == "draft_written"
        desk.do(one, f"{path}/submit")
        assert desk.post(one, f"{path}/approve").status_code == 403
        assert desk.do(one, f"{path}/return", {"remark": "Falta la norma"}, "head")["remark"] == "Falta la norma"
        desk.do(one, f"{path}/submit")
        assert desk.refused(one, "answer", {"text": "Por fuera"}) == "draft_waits"
        desk.do(one, f"{path}/approve", who="head")
        assert desk.do(one, f"{path}/issue")["status"] == "answered"
        seen = desk.read(one)
        assert (seen["answer"], seen["answer_kind"]) == ("Nuevo", "answer")
        assert {desk.outcomes(one)[target] for target in ("draft", "approval")} == {"on_time"}
        mine = desk.file()
        written = desk.post(mine, "drafts", {"text": "Sí"}, "head")
        own = written.json()
        assert written.headers["ETag"] == f'"{own["version"]}"', "so that it can be changed without reading it again"
        desk.do(mine, f"drafts/{own['id']}/submit", who="head")
        assert desk.refused(mine, f"drafts/{own['id']}/approve", who="head") == "own_draft"
        listed = desk.api.get(f"/v1/service-requests/{mine}/drafts", headers=desk.who["officer"]).json()["items"]
        assert [item["status"] for item in listed] == ["submitted"]


def test_who_changed_a_draft_does_not_approve_it_nor_is_it_issued_under_another_name(desk: Desk) -> None:
    with clock.moved_to(on(3, 6)):
        one = desk.file()
        draft = desk.do(one, "drafts", {"text": "No.", "kind": "refusal", "reasons": "Es reservado"})
        path = f"drafts/{draft['id']}"
        url = f"/v1/service-requests/{one}/{path}"
        changed = desk.api.patch(url, json={"text": "De la jefa"}, headers=desk.who["head"] | {"If-Match": "*"})
        assert changed.json()["author"] == "jefa-1"
        desk.do(one, f"{path}/submit")
        assert desk.refused(one, f"{path}/approve", who="head") == "own_draft"
        desk.do(one, f"{path}/return", {"remark": "Falta la norma"}, "head")
        assert desk.refused(one, "answer", {"text": "No."}) == "draft_waits"
        desk.do(one, "answer", {"text": "Va una parte.", "kind": "partial"})


def test_a_refusal_gives_reasons_and_how_to_appeal(desk: Desk) -> None:
    with clock.moved_to(on(3, 6)):
        one = desk.file()
        assert desk.refused(one, "answer", {"text": "No.", "kind": "refusal"}) == "reasons_needed"
        desk.do(one, "answer", {"text": "No.", "kind": "refusal", "reasons": "Es reservado: Ley 1712, art. 18"})
        ((_, told),) = desk.events(contracts.RequestAnswered)
        assert told.kind == "refusal"
        assert "Ley 1712" in unseal(told.answer)
        assert "10 días hábiles" in told.appeal_until
        assert "Ley 1437 de 2011, art. 76" in told.appeal_until
        assert told.answer_number.startswith("BOG-S-2026-")


def test_an_answer_without_what_was_asked_for_ends_the_wait(desk: Desk) -> None:
    with clock.moved_to(on(3, 6)):
        one = desk.file()
        desk.do(one, ASK, ASKED)
    with clock.moved_to(on(3, 9)):
        desk.do(one, "answer", {"text": "Alcanza con lo que hay."})
        # Or the clock would rest for ever on an answer that is never notified.
        assert desk.row(one).due_date == date(2026, 3, 25)
    with clock.moved_to(on(3, 26)):
        desk.do(one, "notification", {"notified_at": on(3, 26).isoformat(), "evidence": "Guía"})
        assert desk.row(one).on_time is False


def test_a_notification_is_recorded_once_and_late_after_the_due_date(desk: Desk) -> None:
    with clock.moved_to(on(3, 24)):
        one, two = desk.file(), desk.file()
        for each in (one, two):
            desk.do(each, "answer", {"text": "Sí."})
    with clock.moved_to(on(3, 25)):
        at = {True: on(3, 24, 23, 59), False: on(3, 25, 0)}
        for each, on_time in ((one, True), (two, False)):
            assert desk.refused(each, "notification", {"notified_at": on(3, 23).isoformat(), "evidence": "G"}) == (
                "notified_out_of_time"
            )
            desk.do(each, "notification", {"notified_at": at[on_time].isoformat(), "evidence": "G"})
            assert (desk.row(each).on_time, desk.outcomes(each)["answer"]) == (
                on_time,
                "on_time" if on_time else "late",
            )
            again = {"notified_at": at[on_time].isoformat(), "evidence": "G"}
            assert desk.refused(each, "notification", again) == "already_notified"
            event_id, _ = desk.events(contracts.RequestAnswered)[0]
            desk.mail(contracts.RequestAnswered, event_id, each, on(3, 25, 1))
            assert desk.kinds(each).count("notified") == 1


def test_a_mail_that_arrived_is_told_though_another_proof_was_recorded_first(desk: Desk) -> None:
    with clock.moved_to(on(3, 24)):
        one = desk.file()
        desk.do(one, "answer", {"text": "Sí."})
    ((answer, _),) = desk.events(contracts.RequestAnswered)
    with clock.moved_to(on(3, 25)):
        desk.do(one, "notification", {"notified_at": on(3, 25, 8).isoformat(), "evidence": "Guía 1"})
        before = desk.row(one), desk.outcomes(one)
        for _ in range(2):
            desk.mail(contracts.RequestAnswered, answer, one, on(3, 24, 11))
    with tx() as session:
        (told,) = session.scalars(sa.select(HistoryEntry).where(HistoryEntry.kind == "answer_delivered"))
    assert (told.at, told.evidence) == (on(3, 24, 11), "250 2.0.0 Ok")
    row = desk.row(one)
    for name in ("version", "status", "on_time", "notified_at", "notification_evidence", "closed_at"):
        assert getattr(row, name) == getattr(before[0], name)
    assert (row.on_time, desk.outcomes(one)) == (False, before[1])
    assert "También llegó el correo con la respuesta" in [entry["what"] for entry in desk.tracked(one)["history"]]


def test_a_date_that_an_authority_set_is_not_moved_by_acts(desk: Desk, issuer: Issuer) -> None:
    desk.who["officer"] = issuer.headers("funcionario:oficina-juridica")
    with clock.moved_to(on(3, 6)):
        one = desk.file("oversight_request", due_date="2026-03-10")
        for name in ("ask", "extend", "retype"):
            assert desk.refused(one, *ACTS[name]) == "date_set"
        desk.post(one, "answer", {"text": "Sí."})
        desk.post(one, "notification", {"notified_at": clock.now().isoformat(), "evidence": "Guía"})
        assert (desk.row(one).status, desk.row(one).on_time) == ("notified", True)
        before = desk.everything(one)
        said = desk.citizen(one, "dispute", WHY)  # who cannot know the date
        assert (said.status_code, said.json()["title"]) == (409, "Presente su desacuerdo en la oficina")
        assert desk.everything(one) == before
        assert desk.post(one, "reopen", WHY | {"due_date": "2026-03-20"}).json()["due_date"] == "2026-03-20"


PARTS = {
    "children": [
        {"subject": "El bache", "office": "gerencia-proyectos"},
        {"subject": "Copia del contrato", "request_type": COPIES},
    ],
    "reasons": "Son dos asuntos",
}


def test_split_children_keep_the_receipt_and_have_their_own_clocks(desk: Desk) -> None:
    with clock.moved_to(on(3, 11)):
        one = desk.file()
        desk.do(one, ASK, ASKED | {"at": on(3, 5).isoformat(), "evidence": "Guía 7"})
        assert desk.refused(one, "split", PARTS) == "request_paused"
        desk.do(one, "completion", {"text": "x", "at": on(3, 9).isoformat()})
        wrong = {"children": [{"subject": "a"}, {"subject": "b", "office": "nada"}], "reasons": "x"}
        assert desk.refused(one, "split", wrong) == "unknown_office"
        for part, code in (
            ({"request_type": "nada"}, "unknown_request_type"),
            ({"request_type": "oversight_request"}, "due_date_needed"),
        ):
            wrong["children"][1] = {"subject": "b"} | part  # type: ignore[index]
            (error,) = desk.post(one, "split", wrong).json()["errors"]
            named = "request_type" if code.startswith("unknown") else "due_date"
            assert (error["field"], error["code"]) == (f"body.children.1.{named}", code)
        assert desk.do(one, "split", PARTS)["status"] == "split"
        with tx() as session:
            query = sa.select(ServiceRequest).where(ServiceRequest.parent_id == UUID(one)).order_by("number")
            children = session.scalars(query).all()
        assert [child.received_at for child in children] == [RECEIVED, RECEIVED]
        assert [child.office for child in children] == ["gerencia-proyectos", OFFICE]
        # The pause was the citizen's matter and counts for both: 24 and 16 March, two open days later.
        assert [child.due_date for child in children] == [date(2026, 3, 26), date(2026, 3, 18)]
        numbers = [child.number for child in children]
        assert desk.tracked(one)["split_into"] == desk.read(one)["children"] == numbers
        assert desk.outcomes(one)["answer"] == "void"
        child = str(children[1].id)
        desk.codes[child] = children[1].number, desk.codes[one][1]
        assert desk.tracked(child)["status"] == "received"  # the code on the first receipt opens it
        desk.check(child)
        assert desk.refused(child, "split", PARTS) == "split_already"


def test_merged_duplicates_end_and_the_earliest_answers_them_all(desk: Desk) -> None:
    with clock.moved_to(on(3, 11)):
        later, first = desk.file(at=on(3, 4)), desk.file(petitioner={"name": "Eva", "email": "eva@example.org"})
        other = desk.file(COPIES, at=on(3, 5), petitioner={"name": "Sin correo"})
        body = {"reasons": "Es el mismo bache"}
        assert desk.refused(later, "merge", body | {"others": [first, other]}) == "types_differ"
        assert desk.refused(later, "merge", body | {"others": [later]}) == "merge_with_itself"
        assert desk.post(later, "merge", body | {"others": [str(uuid4())]}).status_code == 404
        kept = desk.do(later, "merge", body | {"others": [first, other], "different_types": True})
        assert (kept["id"], kept["due_date"]) == (first, "2026-03-24")
        for each in (first, later, other):
            desk.check(each)
        assert desk.tracked(later)["merged_into"] == desk.codes[first][0]
        assert desk.refused(first, "withdrawal", {"evidence": "Carta"}) == "answers_others"
        done = desk.file()
        desk.do(done, "answer", {"text": "Sí."})
        assert desk.refused(first, "merge", body | {"others": [done]}) == "already_answered"
        assert desk.refused(later, "notification", {"notified_at": on(3, 11).isoformat(), "evidence": "x"}) == (
            "not_answered"
        )
        desk.do(first, "answer", {"text": "Se tapará."})
        assert desk.tracked(later)["answer"] == "Se tapará."
        told = {str(event.request_id): (key, event) for key, event in desk.events(contracts.RequestAnswered)}
        assert set(told) == {done, first, later, other}
        assert told[later][1].answer_id == told[first][1].answer_id
        assert told[later][1].number == desk.codes[later][0]
        before = desk.row(later).version, desk.outcomes(later)
        desk.mail(contracts.RequestAnswered, told[later][0], later, on(3, 11, 11))
        assert desk.kinds(later)[-1] == "merged_notified"
        assert (desk.row(later).version, desk.outcomes(later)) == before
        assert desk.row(first).status == "answered"  # the proof of one is not the proof of another
        by_hand = {"notified_at": clock.now().isoformat(), "evidence": "Cartelera"}
        desk.do(other, "notification", by_hand)
        assert desk.refused(other, "notification", by_hand) == "already_notified"


def test_whoever_was_merged_may_rate_and_dispute_the_answer_too(desk: Desk) -> None:
    with clock.moved_to(on(3, 11)):
        first, middle, last = (desk.file(at=on(3, day)) for day in (2, 3, 4))
        desk.do(last, "merge", {"reasons": "El mismo bache", "others": [middle]})
        desk.do(middle, "merge", {"reasons": "El mismo bache", "others": [first]})
        desk.do(first, "answer", {"text": "Se tapará."})
        assert desk.tracked(last)["answer"] == "Se tapará."
        for act, body in (("dispute", WHY), ("rating", {"stars": 2})):
            assert desk.citizen(last, act, body).json()["type"].endswith("not_notified")
        told = {str(event.request_id): key for key, event in desk.events(contracts.RequestAnswered)}
        desk.mail(contracts.RequestAnswered, told[last], last, clock.now())
        seen = desk.tracked(last)
        assert seen["may_rate"]
        assert seen["notified_at"] is not None
        assert desk.citizen(last, "rating", {"stars": 2}).json()["may_rate"] is False
    with clock.moved_to(on(3, 26)):  # ten open days after the 11th: the 23rd is a holiday
        new = desk.citizen(last, "dispute", WHY).json()
        assert new["status"] == "received"
        assert desk.tracked(last)["reopened_as"] == new["number"]
    with clock.moved_to(on(3, 27)):
        assert desk.citizen(last, "dispute", WHY).json()["type"].endswith("reopened_already")
        assert desk.row(first).status == "answered"


def test_merging_from_both_ends_at_once_ends_in_one_survivor(desk: Desk) -> None:
    with clock.moved_to(on(3, 11)):
        one, two = desk.file(), desk.file()
        pairs = [(one, two), (two, one)] * 4
        with ThreadPoolExecutor(8) as pool:
            codes = list(
                pool.map(lambda p: desk.post(p[0], "merge", {"reasons": "x", "others": [p[1]]}).status_code, pairs)
            )
        assert sorted(codes) == [200] + [409] * 7


def test_links_are_set_and_taken_away(desk: Desk) -> None:
    project = str(uuid4())
    with clock.moved_to(on(3, 11)):
        one = desk.file()
        assert desk.refused(one, "links") == "nothing_to_link"
        desk.do(one, "links", {"project_id": project, "organization_id": project})
        desk.do(one, "links", {"organization_id": None})
        assert (desk.read(one)["project_id"], desk.read(one)["organization_id"]) == (project, None)


def test_an_act_is_done_once_however_often_it_is_sent(desk: Desk) -> None:
    with clock.moved_to(on(3, 11)):
        one = desk.file()
        key = {"Idempotency-Key": str(uuid4())}
        with ThreadPoolExecutor(4) as pool:
            said = list(pool.map(lambda _: desk.post(one, ASK, ASKED, headers=key).json(), range(4)))
        assert all(answer == said[0] for answer in said)
        assert desk.kinds(one).count("asked_to_complete") == 1


# Which act is admitted in which status. All others are refused, with the reason, and change nothing.

EVIDENCE = {"evidence": "Guía 1"}
ACTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "ask": (ASK, ASKED, "officer"),
    "do without": (f"{ASK}/withdrawal", WHY, "officer"),
    "give more time": (f"{ASK}/extension", WHY, "officer"),
    "complete": ("completion", {"text": "x"}, "officer"),
    "decide withdrawal": ("withdrawal-decision", WHY | {"withdraw": True}, "head"),
    "withdraw": ("withdrawal", EVIDENCE, "officer"),
    "extend": ("extensions", WHY | EVIDENCE | {"added": 2}, "officer"),
    "announce extension": ("extensions", WHY | {"added": 2}, "officer"),
    "retype": ("retype", WHY | {"request_type": COPIES}, "officer"),
    "acknowledge": ("acknowledgement", EVIDENCE, "officer"),
    "transfer": ("transfers", WHY | EVIDENCE | {"authority": "Otra"}, "officer"),
    "answer": ("answer", {"text": "x"}, "officer"),
    "answer in part": ("answer", {"text": "x", "kind": "partial"}, "officer"),
    "refuse": ("answer", {"text": "x", "kind": "refusal", "reasons": "y"}, "officer"),
    "draft": ("drafts", {"text": "x"}, "officer"),
    "notify": ("notification", EVIDENCE, "officer"),
    "reopen": ("reopen", WHY, "officer"),
    "split": ("split", PARTS, "officer"),
    "merge": ("merge", WHY, "officer"),
    "link": ("links", {"project_id": str(uuid4())}, "officer"),
    "citizen completes": ("completion", {"text": "x"}, "citizen"),
    "citizen withdraws": ("withdrawal", {}, "citizen"),
    "citizen rates": ("rating", {"stars": 5}, "citizen"),
    "citizen disputes": ("dispute", WHY, "citizen"),
}
_OPEN = {
    *("withdraw", "retype", "transfer", "answer", "answer in part", "refuse", "draft", "merge", "link", "acknowledge"),
    "citizen withdraws",
}
ADMITTED: dict[str, set[str]] = {
    "received": _OPEN | {"ask", "extend", "announce extension", "split"},
    "paused": _OPEN | {"do without", "give more time", "complete", "citizen completes"},
    "answered": {"notify", "link", "acknowledge"},
    "notified": {"reopen", "citizen rates", "citizen disputes"},
    "withdrawn": set(),
    "transferred": set(),
    "split": set(),
    "merged": set(),
}


def _in_status(desk: Desk, status: str) -> str:
    request = desk.file()
    if status in ("answered", "notified"):
        desk.do(request, "answer", {"text": "Sí."})
    match status:
        case "paused":
            desk.do(request, ASK, ASKED)
        case "notified":
            desk.do(request, "notification", EVIDENCE | {"notified_at": clock.now().isoformat()})
        case "withdrawn":
            desk.do(request, "withdrawal", EVIDENCE)
        case "transferred":
            desk.do(request, "transfers", ACTS["transfer"][1])
        case "split":
            desk.do(request, "split", PARTS)
        case "merged":
            first = desk.file(at=RECEIVED - timedelta(hours=1))
            desk.do(request, "merge", WHY | {"others": [first]})
    assert desk.row(request).status == status
    return request


@pytest.mark.parametrize("status", ADMITTED)
def test_every_act_in_every_status(desk: Desk, status: str) -> None:
    with clock.moved_to(on(3, 6)):
        unmoved = _in_status(desk, status)
        for name, (path, body, who) in ACTS.items():
            admitted = name in ADMITTED[status]
            request = _in_status(desk, status) if admitted else unmoved
            if name == "notify":
                body = body | {"notified_at": clock.now().isoformat()}
            if name == "merge":
                body = body | {"others": [desk.file(at=RECEIVED + timedelta(hours=1))]}
            before = desk.everything(request)
            answer = desk.citizen(request, path, body) if who == "citizen" else desk.post(request, path, body, who)
            if admitted:
                assert answer.status_code in (200, 201), (name, answer.text)
                assert desk.everything(request) != before
                desk.check(request)
            else:
                assert answer.status_code == 409, (name, answer.text)
                assert not answer.json()["title"].startswith("problem."), name
                assert desk.everything(request) == before, name


@pytest.mark.parametrize("group", ["funcionario:gerencia-proyectos", "jefatura:gerencia-proyectos"])
@pytest.mark.parametrize("audits", [False, True])
def test_nobody_of_another_office_acts(desk: Desk, issuer: Issuer, group: str, audits: bool) -> None:
    """Not even who may read everything because they audit."""
    desk.who["stranger"] = issuer.headers(group, *["auditoria"] * audits, sub="ajena-1")
    with clock.moved_to(on(3, 6)):
        one, other = desk.file(), desk.file(at=RECEIVED + timedelta(hours=1))
        draft = desk.do(one, "drafts", {"text": "x"})["id"]
        before = desk.everything(one)
        acts = {path: body for path, body, who in ACTS.values() if who != "citizen"}
        acts |= {
            "merge": WHY | {"others": [other]},
            "notification": EVIDENCE | {"notified_at": clock.now().isoformat()},
        }
        acts |= {f"drafts/{draft}/{act}": {} for act in ("submit", "approve", "issue")}
        acts[f"drafts/{draft}/return"] = {"remark": "x"}
        for path, body in acts.items():
            answer = desk.post(one, path, body, "stranger")
            head_only = "decision" in path or path.endswith(("approve", "return"))
            expected = 403 if audits or (head_only and group.startswith("f")) else 404
            assert answer.status_code == expected, (path, answer.text)
        headers = desk.who["stranger"] | {"If-Match": "*"}
        url = f"/v1/service-requests/{one}"
        for path, body in ((url, {"office": "gerencia-proyectos"}), (f"{url}/drafts/{draft}", {"text": "y"})):
            assert desk.api.patch(path, json=body, headers=headers).status_code == (403 if audits else 404)
        assert desk.everything(one) == before


def test_what_two_send_at_once_is_done_by_one(desk: Desk) -> None:
    """Without a key, too: no second answer, no second number."""
    with clock.moved_to(on(3, 6)):
        for path, body in (
            ("answer", {"text": "x"}),
            (ASK, ASKED),
            ("transfers", ACTS["transfer"][1]),
            ("split", PARTS),
        ):
            one = desk.file()
            with ThreadPoolExecutor(4) as pool:
                codes = [*pool.map(lambda _, o=one, p=path, b=body: desk.post(o, p, b).status_code, range(4))]
            assert sorted(codes) == [200, 409, 409, 409], path


def test_a_receipt_is_acknowledged_by_hand_with_proof(desk: Desk) -> None:
    with clock.moved_to(on(3, 9)):
        one = desk.file(petitioner={"name": "Sin correo"})
        assert desk.clock_of(one, "acknowledgement")["status"] == "running"
        assert desk.post(one, "acknowledgement").status_code == 422
        desk.do(one, ASK, ASKED)
        for at, code in ((on(3, 1), "act_before_receipt"), (on(3, 10), "act_in_future")):
            assert desk.refused(one, "acknowledgement", EVIDENCE | {"at": at.isoformat()}) == code
        desk.do(one, "acknowledgement", EVIDENCE | {"at": on(3, 4).isoformat()})
        assert desk.clock_of(one, "acknowledgement")["on_time"] is True
        before = desk.everything(one)
        desk.do(one, "acknowledgement", EVIDENCE)
        assert desk.everything(one) == before


@pytest.mark.parametrize("arrived", [on(3, 6, 10), on(3, 6, 13)])
def test_a_receipts_proof_that_comes_after_the_end_changes_no_outcome(desk: Desk, arrived: datetime) -> None:
    with clock.moved_to(on(3, 6, 9)):
        one = desk.file(petitioner={"name": "Ana", "email": "ana@example.org"}, channel="mail")
    with clock.moved_to(on(3, 6, 12)):
        desk.do(one, "withdrawal", {"evidence": "Carta firmada"})
        kept = desk.outcomes(one)
    with clock.moved_to(on(3, 6, 14)):
        desk.mail(contracts.RequestSubmitted, uuid4(), one, arrived)
        assert desk.row(one).acknowledged_at is not None
        assert kept["acknowledgement"] == "void"
        assert desk.outcomes(one) == kept
        assert desk.clock_of(one, "acknowledgement")["status"] == "void"


def test_the_office_is_told_when_a_mail_did_not_arrive(desk: Desk) -> None:
    undelivered = contracts.RequestMessageUndelivered
    with clock.moved_to(on(3, 6, 22)):
        one, by_hand = desk.file(), desk.file()
        me = {"present": True, "email": "rosa@idpac.example.org"}
        path = f"/v1/offices/{OFFICE}/officers/me"
        assert desk.api.put(path, json=me, headers=desk.who["officer"]).status_code == 200
        desk.do(one, "assignment", {"subject": "funcionaria-1"})
        for each in (one, by_hand):
            desk.do(each, "answer", {"text": "Sí."})
        desk.do(by_hand, "notification", EVIDENCE | {"notified_at": clock.now().isoformat()})
        told = {str(event.request_id): key for key, event in desk.events(contracts.RequestAnswered)}
        for each in (one, by_hand):
            desk.mail(contracts.RequestAnswered, told[each], each, clock.now(), "550 <ana@example.org> no such user")
            assert "notification_failed" in desk.kinds(each)
        ((_, said),) = desk.events(undelivered)  # who has the answer by hand needs no other way
        assert (str(said.request_id), said.cause, said.due_date) == (one, "answered", date(2026, 3, 24))
        assert unseal(said.assignee_email) == "rosa@idpac.example.org"
        assert said.send_from > clock.now()  # not at ten at night
        assert "ana" not in said.model_dump_json()
        assert (desk.row(one).status, desk.row(one).due_date) == ("answered", date(2026, 3, 24))
        two = desk.file()
        desk.do(two, ASK, ASKED)
        ((asked, _),) = desk.events(contracts.RequestCompletionAsked)
        desk.mail(contracts.RequestCompletionAsked, asked, two, clock.now(), "550 no such user")
        three = desk.file()
        desk.do(three, "extensions", WHY | {"added": 5})
        ((notice, _),) = desk.events(contracts.RequestExtensionAnnounced)
        desk.mail(contracts.RequestExtensionAnnounced, notice, three, clock.now(), "550 no such user")
        causes = [event.cause for _, event in desk.events(undelivered)]
        assert causes == ["answered", "completion_asked", "extension_announced"]


def test_an_answer_that_comes_back_after_it_was_accepted_is_told_and_may_be_delivered_otherwise(desk: Desk) -> None:
    undelivered = contracts.RequestMessageUndelivered
    proof = EVIDENCE | {"notified_at": on(3, 9, 11).isoformat()}
    with clock.moved_to(on(3, 6)):
        one, two = desk.file(), desk.file()
        desk.post(one, "merge", WHY | {"others": [two]}, "head")
        desk.do(one, "answer", {"text": "Sí."})
        told = {str(event.request_id): key for key, event in desk.events(contracts.RequestAnswered)}
        assert two in told
        for each in (one, two):
            desk.mail(contracts.RequestAnswered, told[each], each, clock.now())
        kept = desk.row(one).on_time, desk.outcomes(one)
    with clock.moved_to(on(3, 9, 12)):
        for each in (one, two):
            assert desk.refused(each, "notification", proof) == "already_notified"
            desk.mail(contracts.RequestAnswered, told[each], each, clock.now(), "550 no such user")
        assert [str(event.request_id) for _, event in desk.events(undelivered)] == [one, two]
        for each in (one, two):
            early = proof | {"notified_at": on(3, 5).isoformat()}
            assert desk.refused(each, "notification", early) == "notified_out_of_time"
            desk.do(each, "notification", proof)
            assert desk.kinds(each).count("notified_again") == 1
            assert desk.refused(each, "notification", proof) == "already_notified"
        assert (desk.row(one).on_time, desk.outcomes(one)) == kept
        assert "La respuesta llegó por otro medio, después de que el correo fue devuelto" in [
            entry["what"] for entry in desk.tracked(one)["history"]
        ]
        # Once somebody has vouched for it, another mail that comes back is no news.
        desk.mail(contracts.RequestAnswered, told[one], one, clock.now(), "550 no such user")
        assert len(desk.events(undelivered)) == 2


# The bugs other systems had, by their rows in the table


def test_row_6_a_pause_survives_a_change_of_type(desk: Desk) -> None:
    with clock.moved_to(on(3, 12)):
        one = desk.file()
        desk.do(one, ASK, ASKED | {"at": on(3, 5).isoformat(), "evidence": "Guía 7"})
        desk.do(one, "retype", WHY | {"request_type": COPIES, "at": on(3, 6).isoformat()})  # also while it rests
        assert (desk.row(one).status, desk.row(one).days_left) == ("paused", 7)
        desk.do(one, "completion", {"text": "x", "at": on(3, 9).isoformat()})
        assert desk.row(one).due_date == date(2026, 3, 18)  # 16 March and the two open days of the pause
        desk.do(one, "retype", WHY | {"request_type": CONSULTATION})
        counted = [day for day in desk.read(one)["clock"]["days"] if day["ordinal"] is None]
        assert {"2026-03-06", "2026-03-09"} <= {day["day"] for day in counted}


def test_row_9_stop_start_stop_on_one_day_is_counted_once(desk: Desk) -> None:
    with clock.moved_to(on(3, 5, 17)):
        one = desk.file()
        for act, hour in (("ask", 9), ("complete", 10), ("ask", 11), ("complete", 12), ("ask", 12)):
            desk.do(one, ACTS[act][0], ACTS[act][1] | {"at": on(3, 5, hour).isoformat()})
        assert (desk.row(one).status, desk.row(one).days_left) == ("paused", 12)
        assert len(desk.read(one)["completions"]) == 3
    with clock.moved_to(on(3, 9)):
        desk.do(one, "completion", {"text": "x"})
        assert desk.row(one).due_date == date(2026, 3, 26)


def test_row_10_reopening_is_a_new_clock_and_the_first_outcome_stays(desk: Desk) -> None:
    with clock.moved_to(on(3, 25)):
        one = desk.file()
        desk.answered_and_notified(one)
        before = desk.row(one), desk.outcomes(one)
    with clock.moved_to(on(4, 10, 23, 59)):  # the tenth open day after 25 March: two holy days and weekends lie between
        new = desk.do(one, "reopen", WHY)
        assert (new["status"], new["due_date"]) == ("received", "2026-05-04")
        assert new["received_at"][:10] in ("2026-04-10", "2026-04-11")
        row = desk.row(one)
        for name in ("status", "due_date", "overdue_at", "on_time", "closed_at", "clock_version", "answer"):
            assert getattr(row, name) == getattr(before[0], name)
        assert desk.outcomes(one) == before[1]
        assert desk.outcomes(one)["answer"] == "late"
        assert desk.read(one)["reopened_as"] == desk.tracked(one)["reopened_as"] == new["number"]
        assert desk.read(new["id"])["reopens_id"] == one
        desk.codes[new["id"]] = new["number"], desk.codes[one][1]
        desk.check(new["id"])
        assert desk.refused(one, "reopen", WHY) == "reopened_already"
    with clock.moved_to(on(3, 25)):
        late = desk.file()
        desk.answered_and_notified(late)
    with clock.moved_to(on(4, 11, 0)):
        assert desk.refused(late, "reopen", WHY) == "dispute_too_late"


def test_row_13_no_clock_runs_on_after_the_end(desk: Desk) -> None:
    with clock.moved_to(on(3, 6)):
        ended = [_in_status(desk, status) for status in ("notified", "withdrawn", "transferred", "split", "merged")]
    with clock.moved_to(on(12, 1)):
        tasks.announce()
        with tx() as session:
            told = session.scalars(sa.select(Announcement.request_id)).all()
        assert not {UUID(each) for each in ended} & {*told}
        assert [desk.read(each)["overdue"] for each in ended] == [False] * 5
        assert [desk.read(each)["clock"]["remaining"] for each in ended] == [None] * 5


def test_row_14_an_outcome_is_never_written_anew(desk: Desk) -> None:
    with clock.moved_to(on(3, 25)):
        one, going = desk.file(), desk.file()
        desk.answered_and_notified(one)
        before = desk.everything(one)[:3]
        with tx() as session:  # a closure that would have made it on time
            session.add(CalendarVersion(number=2, at=clock.now(), fingerprint="x"))
            session.flush()
            day = {"starts_on": date(2026, 3, 10), "ends_on": date(2026, 3, 10), "scope": "municipality"}
            how = {"suspends_terms": True, "open_for_filing": False, "name": "Día cívico", "act": "Decreto 1"}
            session.add(ClosureRecord(id=new_id(), since=2, **day, **how))
        desk.do(going, ASK, ASKED | {"at": on(3, 20).isoformat(), "evidence": "Guía 1"})
        desk.do(going, "completion", {"text": "x", "at": on(3, 20).isoformat()})
        assert desk.row(going).due_date == date(2026, 3, 25)  # counts for what is decided from now on
        desk.post(one, "reopen", WHY)
        assert desk.everything(one)[0] == before[0]
        assert desk.everything(one)[2] == before[2]
        assert desk.read(one)["clock"]["on_time"] is False
        for table in ("stopped_clock", "history_entry"):
            with pytest.raises(sa.exc.DBAPIError, match="append-only"), tx() as session:
                session.execute(sa.text(f"delete from {table}"))


def test_a_target_that_was_missed_stays_missed_when_the_answer_is_due_later(desk: Desk) -> None:
    """A draft is due three open days before the answer, an approval one."""
    with clock.moved_to(on(3, 20)):
        extended, retyped = desk.file(), desk.file()
        for each in (extended, retyped):
            draft = desk.do(each, "drafts", {"text": "Se hará."})
            desk.do(each, f"drafts/{draft['id']}/submit")
        assert desk.clock_of(extended, "draft")["on_time"] is False
        desk.do(extended, "extensions", WHY | {"added": 5, "evidence": "Guía 1"})
        assert desk.clock_of(extended, "draft")["due_date"] == "2026-03-18"
        assert desk.clock_of(extended, "draft")["on_time"] is False
        assert desk.outcomes(extended)["draft"] == "late"
        desk.do(retyped, "retype", WHY | {"request_type": CONSULTATION})  # 30 days
        assert desk.clock_of(retyped, "draft")["on_time"] is False
        assert desk.clock_of(retyped, "approval")["due_date"] == "2026-04-15"  # has not ended: it goes with the answer


def test_row_18_only_the_answer_counts_as_one_and_only_once_it_arrived(desk: Desk) -> None:
    with clock.moved_to(on(3, 6)):
        one = desk.file()
        for text in ("Lo primero", "Lo segundo"):
            desk.do(one, "answer", {"text": text, "kind": "partial"})
        draft = desk.do(one, "drafts", {"text": "Lo tercero", "kind": "partial"})
        for act, who in (("submit", "officer"), ("approve", "head"), ("issue", "officer")):
            desk.do(one, f"drafts/{draft['id']}/{act}", who=who)
        parts = desk.tracked(one)["partial_answers"]
        assert [part["text"] for part in parts] == ["Lo primero", "Lo segundo", "Lo tercero"]
        assert len({part["number"] for part in parts}) == 3
        row = desk.row(one)
        assert (row.status, row.due_date, row.answered_at) == ("received", date(2026, 3, 24), None)
        assert row.first_answer_at is not None
        assert desk.clock_of(one, "draft")["status"] == "running"
        partial, _ = desk.events(contracts.RequestAnswered)[0]
        desk.mail(contracts.RequestAnswered, partial, one, clock.now())
        desk.do(one, "answer", {"text": "Todo"})
        desk.mail(contracts.RequestAnswered, partial, one, clock.now())  # another mail of the same part
        assert desk.row(one).status == "answered"
        final, told = desk.events(contracts.RequestAnswered)[-1]
        assert told.kind == "answer"
        desk.mail(contracts.RequestAnswered, final, one, clock.now(), "550 no such user")
        assert desk.row(one).status == "answered"
        desk.mail(contracts.RequestAnswered, final, one, clock.now())
        assert (desk.row(one).status, desk.row(one).on_time) == ("notified", True)
        assert desk.kinds(one).count("partial_answer_delivered") == 2


# Any acts in any order


_MOVING = [
    *("ask", "ask", "complete", "citizen completes", "do without", "give more time", "extend", "announce extension"),
    *("mail", "retype", "answer in part", "draft", "notify", "notify", "sweep", "link"),
]
_ENDING = ["answer", "answer", "answer", "transfer", "withdraw", "decide withdrawal", "split", "citizen disputes"]


def _reminders(desk: Desk) -> list[tuple[str, str]]:
    return [(told.clock, told.threshold) for _, told in desk.events(contracts.RequestReminder)]


def test_a_reminder_of_the_receipt_comes_once_whatever_moves_the_answers_date(desk: Desk) -> None:
    one = desk.file()
    for day, act, body in ((6, ASK, ASKED), (9, "completion", {"text": "Calle 1"}), (10, None, {})):
        with clock.moved_to(on(3, day, 12)):
            tasks.announce()
            if act is not None:
                desk.do(one, act, body)
            tasks.announce()
    assert _reminders(desk).count(("acknowledgement", "+0")) == 1


def test_what_was_issued_needs_no_drafting(desk: Desk) -> None:
    with clock.moved_to(on(3, 3)):
        one = desk.file()
        desk.do(one, "answer", {"text": "Se hará."})
        assert {kind: desk.clock_of(one, kind)["on_time"] for kind in ("draft", "approval")} == {
            "draft": True,
            "approval": True,
        }
    for day in range(4, 25):
        with clock.moved_to(on(3, day, 12)):
            tasks.announce()
    assert not {"draft", "approval"} & {kind for kind, _ in _reminders(desk)}


@pytest.mark.parametrize("redated", [True, False])
def test_a_proof_entered_late_counts_by_the_calendar_in_force(desk: Desk, issuer: Issuer, redated: bool) -> None:
    """A closure moved the date to the 25th: a proof of that day is on time, also if it is older than the closure or the re-dating waits."""
    one = desk.file()
    with clock.moved_to(on(3, 24)):
        desk.do(one, "answer", {"text": "Se hará."})
    with clock.moved_to(on(3, 25, 12)):
        closure = {"starts_on": "2026-03-20", "ends_on": "2026-03-20", "name": "Cierre", "act": "Decreto 1"}
        closure |= {"scope": "municipality", "suspends_terms": True, "open_for_filing": True}  # type: ignore[dict-item]
        keeper = issuer.headers("administracion", f"jefatura:{OFFICE}", sub="guardiana-1")
        made = desk.api.post("/v1/calendar/changes", json={"declare": [closure]}, headers=keeper).json()
        path = f"/v1/calendar/changes/{made['id']}/confirm"
        assert desk.api.post(path, json={}, headers=keeper).status_code == 200
        if redated:
            redate()
    with clock.moved_to(on(3, 25, 15)):
        desk.do(one, "notification", {"notified_at": on(3, 25, 9).isoformat(), "evidence": "Guía 1"})
        redate()
    row = desk.row(one)
    assert (row.due_date, row.on_time) == (date(2026, 3, 25), True)
    assert desk.details(one, "notified") == {"on_time": True}
    assert desk.outcomes(one)["answer"] == "on_time"


def test_an_earlier_date_does_not_undo_that_the_answer_is_overdue(desk: Desk) -> None:
    one, two = desk.file(), desk.file()
    before = {"at": on(3, 20).isoformat()}
    with clock.moved_to(on(3, 26)):
        retype = {"request_type": CONSULTATION, "reasons": "Consulta"} | before
        assert desk.refused(one, "retype", retype) == "retype_overdue"
        desk.do(one, "retype", retype, who="supervisor")
        assert desk.refused(two, ASK, ASKED | before) == "evidence_needed"
        desk.do(two, ASK, ASKED | before | {"evidence": "Guía 1"})


def test_parts_of_a_split_request_are_their_types_own(desk: Desk) -> None:
    """A part of a confidential type does not name who asks, and its history tells its own dates."""
    with clock.moved_to(on(3, 3)):
        one = desk.file()
        desk.do(one, "extensions", {"reasons": "Faltan datos", "added": 10, "evidence": "Guía 1"})
        parts = [{"subject": "Contratos"}, {"subject": "Sobornos", "request_type": "corruption_report"}]
        parts.append({"subject": "Concepto", "request_type": CONSULTATION})
        desk.do(one, "split", {"reasons": "Son tres asuntos", "children": parts})
    with tx() as session:
        children = session.scalars(sa.select(ServiceRequest).where(ServiceRequest.parent_id == UUID(one))).all()
    assert {child.request_type: child.confidential for child in children} == {
        GENERAL: False,
        "corruption_report": True,
        CONSULTATION: False,
    }
    for child in children:
        said = desk.details(str(child.id), "extended")
        assert (said["from"], said["to"]) == (str(child.first_due_date), str(child.due_date))


def test_a_confidential_petitioner_is_not_named_by_documents_either(desk: Desk) -> None:
    one, two = (desk.file(attachments=["cédula Ana Niño.pdf"], confidential=hidden) for hidden in (True, False))
    assert [desk.read(each)["attachments"] for each in (one, two)] == [[None], ["cédula Ana Niño.pdf"]]


def test_a_draft_does_not_name_a_confidential_petitioner(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = jurisdiction().request_type(GENERAL)
    named = kind.model_copy(update={"response_template": "Para {petitioner}:"})
    monkeypatch.setattr(type(jurisdiction()), "request_type", lambda _pack, _code: named)
    one, two = desk.file(), desk.file(confidential=True)
    texts = [desk.post(request, "drafts", {"kind": "answer"}).json()["text"] for request in (one, two)]
    assert texts == [f"Para {PERSON['name']}:", "Para :"]


class Life(RuleBasedStateMachine):
    """One request and everything that may happen to it, on the real database."""

    desk: Desk

    def __init__(self) -> None:
        super().__init__()
        self.now = RECEIVED + timedelta(hours=1)
        with clock.moved_to(self.now):
            self.request = self.desk.file()
        self.closed: list[Any] | None = None
        self.steps = 0

    def _try(self, name: str, who: str | None = None, **more: Any) -> None:
        path, body, usual = ACTS[name]
        who, body = who or usual, body | more
        before = self.desk.everything(self.request)
        with clock.moved_to(self.now):
            said = (
                self.desk.citizen(self.request, path, body)
                if who == "citizen"
                else self.desk.post(self.request, path, body, who)
            )
        assert said.status_code in (200, 201, 409, 422), said.text
        if said.status_code in (409, 422):
            assert self.desk.everything(self.request) == before

    # One rule and not one for each act: Hypothesis would leave rules out of a run, and lives would be monotonous.
    @rule(
        name=st.sampled_from([*_MOVING * 3, *_ENDING]),
        days=st.integers(0, 6),
        back=st.integers(0, 40),
        added=st.integers(1, 16),
        kind=st.sampled_from([GENERAL, COPIES, CONSULTATION]),
        high=st.booleans(),
    )
    def something_happens(self, name: str, days: int, back: int, added: int, kind: str, high: bool) -> None:
        self.steps += 1
        if name in _ENDING and self.steps < 6:
            return
        self.now += timedelta(days=days, minutes=1)
        earlier = (self.now - timedelta(hours=back)).isoformat()
        match name:
            case "ask" | "complete" | "do without" | "give more time" | "withdraw":
                self._try(name, at=earlier)
            case "extend":
                self._try(name, added=added, told_at=earlier)
            case "announce extension":
                self._try(name, added=added)
            case "mail":
                self._mail("550" if high and back < 20 else "")
            case "retype":
                self._try(name, "supervisor" if high else "officer", request_type=kind)
            case "notify":
                self._try(name, notified_at=earlier if back < 5 else self.now.isoformat())
            case "sweep":
                with clock.moved_to(self.now):
                    tasks.announce()
            case _:
                self._try(name)

    def _mail(self, why: str) -> None:
        with clock.moved_to(self.now):
            for event_id, told in self.desk.events(contracts.RequestExtensionAnnounced)[-1:]:
                self.desk.mail(type(told), event_id, str(told.request_id), self.now, why)

    @invariant()
    def what_is_stored_is_what_the_pure_function_says(self) -> None:
        with clock.moved_to(self.now):
            self.desk.check(self.request)

    @invariant()
    def what_has_ended_never_changes(self) -> None:
        row, _, outcomes = self.desk.everything(self.request)[:3]
        if self.closed is not None:
            assert [row, outcomes] == self.closed
        elif self.desk.row(self.request).closed_at is not None:
            self.closed = [row, outcomes]


def test_any_acts_in_any_order_keep_the_clock_true(desk: Desk) -> None:
    Life.desk = desk
    with ExitStack() as stack:
        stack.callback(delattr, Life, "desk")
        run_state_machine_as_test(
            Life,
            settings=settings(
                max_examples=16,
                stateful_step_count=22,
                deadline=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            ),
        )
