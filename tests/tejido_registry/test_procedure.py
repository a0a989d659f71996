"""The procedure over HTTP: every step of the pack's table, and none that it does not have."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tejido_registry import service as register
from tejido_registry.app import create_app
from tejido_registry.db import tx
from tejido_registry.models import Application, Document, HistoryEntry, Organization
from tejido_registry.procedure import service
from tejido_registry.procedure.queries import OPEN
from tejido_registry.renewal import service as renewal
from tejido_registry.settings import jurisdiction, settings
from tejido_shared import seam
from tejido_shared.clock import moved_to, now
from tejido_shared.db import Database
from tejido_shared.jurisdiction import RegistrationStatus, Transition, load, parse_receipt_number
from tejido_shared.personal import unseal
from tejido_shared.refusals import Refused
from tejido_shared.testing import Issuer

Call = Callable[..., Any]
ROOT = Path(__file__).parents[2]
PACK = load(ROOT / "jurisdictions" / "co-bogota")
TABLE = {(step.before, step.after): step for step in PACK.registration.transition}
KIND = "community_action_board"
BODY = {
    "name": "Junta de Acción Comunal La Peña",
    "organization_type": KIND,
    "legal_status": "incorporated",
    "territory": "Suba",
    "contacts": [{"name": "Ana Niño", "email": "jac@example.org", "phone": "601 555 0100"}],
}


@pytest.fixture
def api(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def call(api: TestClient, issuer: Issuer) -> Call:
    """Calls as somebody: `call("POST", path, who, body)`. Who is a subject; its groups follow from its name."""
    groups = {"registradora": ["registro"], "autoridad": ["autoridad-registro"], "auditora": ["auditoria"]}

    def do(method: str, path: str, who: str, body: Any = None, **headers: str) -> Any:
        own = groups.get(who.partition("-")[0]) or ([who] if who.startswith("representante:") else ["ciudadania"])
        sent = issuer.headers(*own, sub=who) | headers
        return api.request(method, f"/v1{path}", json=body, headers=sent)

    return do


def _made(answer: Any, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def _refused(answer: Any, code: str, status: int = 409) -> dict[str, Any]:
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:tejido:problem:{code}"), answer.text
    assert "{" not in answer.json()["detail"]
    assert answer.json()["detail"] != f"problem.{code}.detail"
    return dict(answer.json())


def _events(kind: str) -> list[dict[str, Any]]:
    with tx() as session:
        envelopes = session.scalars(
            sa.select(seam.outbox.c.envelope)
            .where(seam.outbox.c.subscriber == "notifications")
            .order_by(seam.outbox.c.id)
        )
        return [one["data"] for one in envelopes if one["type"] == f"registry.{kind}"]


def _verified(organization_id: UUID, *codes: str) -> None:
    with tx() as session:
        for code in codes:
            session.add(
                Document(
                    organization_id=organization_id,
                    document_type=code,
                    personal=False,
                    issued_on=register.today(),
                    expires_on=register.today() + timedelta(days=100),
                    file_key=uuid4(),
                    file_name="x.pdf",
                    media_type="application/pdf",
                    size=1,
                    sha256=code,
                    status="verified",
                    handed_in_at=now(),
                    handed_in_by="vecina-1",
                )
            )


def _draft(call: Call, who: str = "vecina-1", **body: Any) -> str:
    return str(_made(call("POST", "/organizations", who, BODY | body), 201)["id"])


def _filed(call: Call, organization_id: str, who: str = "vecina-1", kind: str = "registration") -> dict[str, Any]:
    body = {"kind": kind, "consent": True}
    return _made(call("POST", f"/organizations/{organization_id}/applications", who, body), 201)


# The table


def _put(call: Call, before: str, lacking: str | None) -> UUID:
    """An organization with this status and all that any step asks for, but for what is lacking."""
    body: dict[str, Any] = BODY | {"registration_status": "draft"}
    if lacking == "minimum_data":
        body |= {"contacts": []}
    key = UUID(_made(call("POST", "/organizations", "registradora-1", body), 201)["id"])
    if lacking != "documents":
        _verified(key, *PACK.registration.documents_for("registration", KIND))
    today, instant = register.today(), now()
    ended = today + timedelta(days=1 if lacking == "until_over" else -1)
    with tx() as session:
        organization = session.get_one(Organization, key)
        organization.registration_status = before
        organization.status_until = ended if before == "suspended" else None
        organization.filing_due_on = today - timedelta(days=0 if lacking == "grace_over" else 100)
        session.add(
            HistoryEntry(
                organization_id=key,
                at=instant - timedelta(days=3),
                kind="status_changed",
                details={"after": "inactive"},
            )
        )
        if before in ("submitted", "in_review", "needs_correction"):
            session.add(_application(key, before, "registration", instant) | {"correction_until": ended})
        session.add(
            _application(key, "accepted", "annual_filing", instant)
            | {"decided_at": instant - timedelta(days=9 if lacking == "filing" else 1)}
        )
        renewal.refresh(session, organization)
    return key


class _Row(dict[str, Any]):
    def __or__(self, more: dict[str, Any]) -> Any:  # type: ignore[override]
        return Application(**{**self, **more})


def _application(key: UUID, status: str, kind: str, instant: datetime) -> _Row:
    return _Row(
        organization_id=key,
        kind=kind,
        period=2025 if kind == "annual_filing" else None,
        number=str(uuid4()),
        status=status,
        submitted_at=instant,
        submitted_by="vecina-1",
        on_behalf=False,
        consented_at=instant,
        due_on=instant.date(),
        corrections=0,
    )


def _take_step(call: Call, key: UUID, step: tuple[str, str], who: str, lacking: str | None = None) -> Any:
    after = step[1]
    if after == "submitted":
        body: dict[str, Any] = {"kind": "registration", "consent": lacking != "consent"}
        return call("POST", f"/organizations/{key}/applications", who, body)
    body = {"status": after}
    if lacking != "reasons":
        body["reason"] = "Porque sí"
    if lacking != "act":
        body["act"] = {"number": "Resolución 12", "day": str(register.today())}
    if after == "suspended" and lacking != "until":
        body["until"] = str(register.today() + timedelta(days=30))
    if lacking != "defects":
        body["defects"] = [{"item": "name", "reason": "No coincide con los estatutos"}]
    return call("POST", f"/organizations/{key}/registration-status", who, body)


def _who(by: str, key: UUID, lacking: str | None = None) -> str:
    if by == "registrar":
        return "registradora-1" if lacking == "other_officer" else "registradora-2"
    return {"representative": f"representante:{key}", "authority": "autoridad-1"}[by]


def test_both_packs_have_the_same_table() -> None:
    """So what is driven here holds for both."""
    other = load(ROOT / "jurisdictions" / "ar-tucuman").registration.transition
    assert {(one.before, one.after): (set(one.by), set(one.requires)) for one in other} == {
        pair: (set(one.by), set(one.requires)) for pair, one in TABLE.items()
    }


STATUSES = [status for status in get_args(RegistrationStatus) if status != "merged"]
FORBIDDEN = {
    before: [after for after in get_args(RegistrationStatus) if (before, after) not in TABLE] for before in STATUSES
}


@pytest.mark.parametrize("before", STATUSES)
def test_what_is_not_in_the_table_is_refused(call: Call, before: str) -> None:
    key = _put(call, before, None)
    for after in FORBIDDEN[before]:
        for by in ("registrar", "authority", "representative"):
            if after == "submitted" and by == "authority":
                continue  # applications are filed by the organization or for it
            answer = _take_step(call, key, (before, after), _who(by, key))
            code = "application_open" if after == "submitted" and before in OPEN else "transition"
            _refused(answer, code)
    with tx() as session:
        assert session.get_one(Organization, key).registration_status == before


@pytest.mark.parametrize("step", TABLE.values(), ids=lambda step: f"{step.before}-{step.after}")
def test_every_step_of_the_table(call: Call, step: Transition) -> None:
    """For each who may, and for nobody else; and not while anything that it requires is lacking."""
    pair = step.before, step.after
    others = {"registrar", "authority", "representative"} - {*step.by}
    for by in others - ({"authority"} if step.after == "submitted" else set()):
        key = _put(call, step.before, None)
        _refused(_take_step(call, key, pair, _who(by, key)), "transition_role")
    for by in step.by:
        for lacking in step.requires:
            if lacking == "until_over" and by == "representative":
                continue  # who withdraws of their own will waits for no date
            key = _put(call, step.before, lacking)
            if by == "calendar":
                with pytest.raises(Refused) as refused, tx() as session:
                    service.move(session, session.get_one(Organization, key), step.after, "calendar", None)
                assert refused.value.code == f"requires_{lacking}"
            else:
                answer = _take_step(call, key, pair, _who(by, key, lacking), lacking)
                _refused(answer, f"requires_{lacking}")
        key = _put(call, step.before, None)
        if by == "calendar":
            with tx() as session:
                service.move(session, session.get_one(Organization, key), step.after, "calendar", None)
        else:
            taken = _take_step(call, key, pair, _who(by, key))
            assert taken.status_code in (200, 201), taken.text
        with tx() as session:
            assert session.get_one(Organization, key).registration_status == step.after
            last = session.scalars(
                sa.select(HistoryEntry)
                .where(HistoryEntry.organization_id == key, HistoryEntry.kind == "status_changed")
                .order_by(HistoryEntry.at.desc())
            ).first()
            assert last is not None
            assert (last.details["before"], last.details["after"]) == pair
            mine = sa.select(Application.status).where(
                Application.organization_id == key, Application.kind == "registration"
            )
            known = session.scalars(mine).all()
        if step.before in ("submitted", "in_review", "needs_correction"):
            assert known == [{"registered": "accepted"}.get(step.after, step.after)]


def test_the_refusal_says_what_is_missing(call: Call) -> None:
    key = _put(call, "in_review", "documents")
    said = _refused(_take_step(call, key, ("in_review", "registered"), "registradora-2"), "requires_documents")
    assert "Acta de elección de dignatarios" in said["detail"]
    said = _refused(_take_step(call, key, ("in_review", "rejected"), "registradora-2"), "transition_role")
    assert said["detail"] == "De en revisión a denegada solo puede pasarla: la autoridad del registro."
    english = call(
        "POST",
        f"/organizations/{key}/registration-status",
        "registradora-2",
        {"status": "cancelled"},
        **{"Accept-Language": "en"},
    )
    assert english.json()["detail"] == "It cannot go from in review to cancelled: there is no such step."


def test_a_suspension_has_bounds(call: Call) -> None:
    key = _put(call, "registered", None)
    path, today = f"/organizations/{key}/acts", register.today()
    act = {"number": "Resolución 12", "day": str(today)}
    body = {"kind": "suspend", "reasons": "Sin elecciones", "act": act}
    longest = today + timedelta(days=PACK.registration.policy.suspension_days)
    for until in (today - timedelta(days=1), longest + timedelta(days=1)):
        answer = call("POST", path, "autoridad-1", body | {"until": str(until)})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "until_out_of_bounds")
    late = act | {"day": str(today + timedelta(days=1))}
    answer = call("POST", path, "autoridad-1", body | {"act": late, "until": str(longest)})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body.act.day")
    suspended = _made(call("POST", path, "autoridad-1", body | {"until": str(longest)}))
    assert (suspended["registration_status"], suspended["status_until"]) == ("suspended", str(longest))
    [told] = _events("status_changed")
    assert (told["before"], told["after"], told["until"]) == ("registered", "suspended", str(longest))
    assert told["act"].startswith("Resolución 12, del ")
    assert (unseal(told["reasons"]), unseal(told["recipient_email"])) == ("Sin elecciones", "jac@example.org")
    assert "jac@example.org" not in str(told)
    lifted = _made(call("POST", path, "autoridad-1", {"kind": "lift", "reasons": "Hubo elecciones", "act": act}))
    assert (lifted["registration_status"], lifted["status_until"]) == ("registered", None)


# The journey


def test_from_a_draft_on_line_to_the_register(call: Call) -> None:
    key = _draft(call)
    path = f"/organizations/{key}"
    mine = _made(call("GET", path, "vecina-1"))
    assert (mine["registration_status"], mine["on_behalf"], mine["captured_by"]) == ("draft", False, None)
    assert call("GET", path, "vecina-2").status_code == 404
    assert [one["id"] for one in call("GET", "/organizations?mine=true", "vecina-1").json()["items"]] == [key]
    assert call("GET", "/organizations?mine=true", "vecina-2").json()["items"] == []
    changed = _made(call("PATCH", path, "vecina-1", {"purpose": "Mejorar el barrio"}, **{"If-Match": "*"}))
    assert changed["purpose"] == "Mejorar el barrio"

    _refused(
        call("POST", f"{path}/applications", "vecina-1", {"kind": "registration", "consent": False}), "requires_consent"
    )
    filed = _filed(call, key)
    assert parse_receipt_number(settings().application_pattern, filed["number"]).sequence == 1
    assert (filed["status"], filed["on_behalf"], filed["derivation"]["term"]) == ("submitted", False, "15 días hábiles")
    assert filed["submitted_by"] is None  # for officials
    assert {one["status"] for one in filed["documents"]} == {"missing"}
    [told] = _events("application_received")
    assert (told["number"], told["due_date"], told["term"]) == (filed["number"], filed["due_on"], "15 días hábiles")
    assert unseal(told["recipient_name"]) == "Ana Niño"
    # What was handed in is not changed any more, but for how to reach it.
    _refused(call("PATCH", path, "vecina-1", {"name": "Otra"}, **{"If-Match": "*"}), "only_own_contacts", 403)

    application = f"/applications/{filed['id']}"
    assert call("GET", application, "vecina-2").status_code == 404
    taken = _made(call("POST", f"{application}/take", "registradora-1"))
    assert (taken["status"], taken["reviewer"]) == ("in_review", "registradora-1")
    over = _made(call("POST", f"{application}/take", "registradora-2"))
    assert over["reviewer"] == "registradora-2"

    items = [
        {"item": "document:statute", "reason": "Falta una hoja"},
        {"item": "name", "reason": "No es el de los estatutos"},
    ]
    odd = call("POST", f"{application}/ask-correction", "registradora-2", {"items": [items[0], items[0]]})
    assert odd.json()["errors"][0]["code"] == "item_repeated"
    odd = call(
        "POST", f"{application}/ask-correction", "registradora-2", {"items": [{"item": "version", "reason": "x"}]}
    )
    assert odd.json()["errors"][0]["code"] == "unknown_item"
    asked = _made(call("POST", f"{application}/ask-correction", "registradora-2", {"items": items}))
    assert (asked["status"], asked["days_left"], asked["derivation"]["due_on"]) == ("needs_correction", None, None)
    assert [one["name"] for one in asked["defects"]] == ["Estatutos", "Nombre"]
    [told] = _events("correction_asked")
    assert (told["items"][0]["name"], unseal(told["items"][0]["reason"])) == ("Estatutos", items[0]["reason"])
    assert told["until"] == asked["correction_until"]
    organization = _made(call("GET", path, "vecina-1"))
    assert organization["status_until"] == asked["correction_until"]

    # Only what was asked; and the last of it hands the application in again.
    others: list[dict[str, Any]] = [{"purpose": "x"}, {"contacts": []}, {"name": "x", "purpose": "x"}]
    for unasked in others:
        _refused(call("PATCH", path, "vecina-1", unasked, **{"If-Match": "*"}), "only_flagged", 403)
    _made(call("PATCH", path, "vecina-1", {"name": "JAC La Peña"}, **{"If-Match": "*"}))
    half = _made(call("GET", application, "vecina-1"))
    assert [one["corrected_at"] is not None for one in half["defects"]] == [False, True]
    _refused(call("POST", f"{application}/correct", "vecina-1", {}), "defects_open")
    again = _made(call("POST", f"{application}/correct", "vecina-1", {"note": "La hoja está, al dorso"}))
    assert (again["status"], again["correction_until"], again["corrections"]) == ("in_review", None, 1)
    assert all(one["corrected_at"] for one in again["defects"])

    _refused(call("POST", f"{application}/accept", "registradora-2", {}), "requires_documents")
    _verified(UUID(key), *PACK.registration.documents_for("registration", KIND))
    _refused(call("POST", f"{application}/reject", "registradora-2", {"reasons": "x"}), "transition_role")
    _refused(call("POST", f"{application}/accept", "vecina-1", {}), "transition_role")
    assert call("POST", f"{application}/accept", "vecina-2", {}).status_code == 404
    decided = _made(call("POST", f"{application}/accept", "registradora-2", {}))
    assert (decided["status"], decided["decided_by"]) == ("accepted", "registradora-2")
    public = _made(call("GET", path, "vecina-2"))
    assert (public["registration_status"], public["name"], public["contacts"]) == ("registered", "JAC La Peña", None)
    [told] = _events("application_decided")
    assert (told["result"], told["next_filing_on"] is not None) == ("accepted", True)
    _refused(call("POST", f"{application}/accept", "registradora-1", {}), "application_closed")
    history = call("GET", f"{path}/history", "auditora-1").json()["items"]
    assert [one["kind"] for one in history if one["kind"] != "changed"] == [
        "created",
        "status_changed",
        "registration_submitted",
        *("application_taken", "status_changed", "application_taken"),
        *("correction_asked", "status_changed", "corrected", "status_changed"),
        *("status_changed", "application_accepted"),
    ]


def test_who_entered_it_at_the_counter_does_not_register_it(call: Call) -> None:
    key = _draft(call, "registradora-1", registration_status="draft")
    assert call("GET", f"/organizations/{key}", "registradora-1").json()["captured_by"] == "registradora-1"
    filed = _filed(call, key, "registradora-1")
    assert (filed["on_behalf"], filed["submitted_by"]) == (True, "registradora-1")
    _verified(UUID(key), *PACK.registration.documents_for("registration", KIND))
    application = f"/applications/{filed['id']}"
    _made(call("POST", f"{application}/take", "registradora-1"))
    _refused(call("POST", f"{application}/accept", "registradora-1", {}), "requires_other_officer")
    _made(call("POST", f"{application}/accept", "registradora-2", {}))


def test_a_citizen_begins_drafts_and_nothing_more(call: Call) -> None:
    answer = call("POST", "/organizations", "vecina-1", BODY | {"registration_status": "registered"})
    _refused(answer, "only_drafts", 403)
    for n in range(settings().drafts_per_person):
        _draft(call, name=f"Grupo {n}")
    _refused(call("POST", "/organizations", "vecina-1", BODY), "drafts_full")
    _draft(call, "vecina-2")
    # An official who left is a neighbour like any other: what they entered at the counter is not theirs.
    theirs = _draft(call, "registradora-9", registration_status="draft")
    assert call("GET", f"/organizations/{theirs}", "registradora-9").status_code == 200
    with tx() as session:
        organization = session.get_one(Organization, UUID(theirs))
        organization.captured_by = "vecina-1"
    assert call("GET", f"/organizations/{theirs}", "vecina-1").status_code == 404


def test_rejected_with_reasons_and_filed_again(call: Call) -> None:
    key = _draft(call)
    filed = _filed(call, key)
    answer = call("POST", f"/organizations/{key}/applications", "vecina-1", {"kind": "registration", "consent": True})
    _refused(answer, "application_open")
    application = f"/applications/{filed['id']}"
    _made(call("POST", f"{application}/take", "registradora-1"))
    assert call("POST", f"{application}/reject", "autoridad-1", {}).status_code == 422
    rejected = _made(call("POST", f"{application}/reject", "autoridad-1", {"reasons": "No existe el barrio"}))
    assert (rejected["status"], rejected["reasons"]) == ("rejected", "No existe el barrio")
    assert unseal(_events("application_decided")[0]["reasons"]) == "No existe el barrio"
    assert call("GET", f"/organizations/{key}", "vecina-2").status_code == 404
    _made(call("PATCH", f"/organizations/{key}", "vecina-1", {"name": "Otra"}, **{"If-Match": "*"}))
    again = _filed(call, key)
    assert again["number"] != filed["number"]
    # Its old application does not move the new one.
    _refused(call("POST", f"{application}/withdraw", "vecina-1", {}), "application_closed")
    assert _made(call("POST", f"/applications/{again['id']}/withdraw", "vecina-1", {}))["status"] == "withdrawn"
    assert _made(call("GET", f"/organizations/{key}", "vecina-1"))["registration_status"] == "withdrawn"


# Terms


def _open_days(start: date, n: int, left_out: set[date] = frozenset()) -> date:  # type: ignore[assignment]
    """The n-th working day after a day, by the pack's closures: counted here by hand."""
    closed = {day for one in PACK.closures if one.suspends_terms for day in one.days()}
    day = start
    while n:
        day += timedelta(days=1)
        if PACK.counting.weekdays[day.weekday()] == "1" and day not in closed and day not in left_out:
            n -= 1
    return day


def test_the_term_is_counted_over_the_packs_closures_and_rests_while_it_corrects(call: Call) -> None:
    received = datetime(2026, 12, 3, 15, tzinfo=UTC)  # Thursday; 8 and 25 December and 1 January are closed
    with moved_to(received):
        key = _draft(call)
        filed = _filed(call, key)
    assert PACK.registration.policy.review.n == 15
    assert filed["due_on"] == str(_open_days(date(2026, 12, 3), 15))
    why = {one["day"]: one["why_not"] for one in filed["derivation"]["days"]}
    assert "Inmaculada" in why["2026-12-08"]
    assert why["2026-12-05"] == "no es día hábil"
    application = f"/applications/{filed['id']}"
    with moved_to(received + timedelta(days=4)):
        _made(call("POST", f"{application}/take", "registradora-1"))
        items = {"items": [{"item": "address", "reason": "Falta"}]}
        asked = _made(call("POST", f"{application}/ask-correction", "registradora-1", items))
    # One month, Ley 1755 art. 17: to 7 January.
    assert asked["correction_until"] == "2027-01-07"
    with moved_to(received + timedelta(days=13)):  # 16 December
        _made(call("PATCH", f"/organizations/{key}", "vecina-1", {"address": "Calle 1"}, **{"If-Match": "*"}))
        again = _made(call("GET", application, "registradora-1"))
    rested = {date(2026, 12, 8) + timedelta(days=n) for n in range(9)}  # from the day after it was asked to the 16th
    assert again["due_on"] == str(_open_days(date(2026, 12, 3), 15, rested))
    assert again["derivation"]["pauses"] == [{"asked_on": "2026-12-07", "until": "2026-12-16"}]
    with moved_to(datetime(2027, 1, 11, 15, tzinfo=UTC)):
        late = _made(call("GET", application, "registradora-1"))
    assert late["overdue"] == (date(2027, 1, 11) > date.fromisoformat(again["due_on"]))


def test_who_does_not_correct_in_time_is_withdrawn_by_the_calendar(call: Call) -> None:
    key = _draft(call)
    filed = _filed(call, key)
    _made(call("POST", f"/applications/{filed['id']}/take", "registradora-1"))
    items = {"items": [{"item": "address", "reason": "Falta"}]}
    asked = _made(call("POST", f"/applications/{filed['id']}/ask-correction", "registradora-1", items))
    last = date.fromisoformat(asked["correction_until"])
    noon = datetime.combine(last, datetime.min.time(), UTC) + timedelta(hours=18)
    with moved_to(noon), tx() as session:
        assert service.lapse(session, register.today()) == 0
    with moved_to(noon + timedelta(days=1)):
        with tx() as session:
            assert service.lapse(session, register.today()) == 1
        with tx() as session:
            assert service.lapse(session, register.today()) == 0
        ended = _made(call("GET", f"/applications/{filed['id']}", "vecina-1"))
        assert (ended["status"], "venció" in ended["reasons"]) == ("withdrawn", True)
        assert [one["result"] for one in _events("application_decided")] == ["withdrawn"]
        _filed(call, key)


def test_the_queue(call: Call) -> None:
    instant = datetime(2026, 11, 2, 15, tzinfo=UTC)
    keys = []
    for day in range(3):
        with moved_to(instant + timedelta(days=7 * day)):
            keys.append(_filed(call, _draft(call, name=f"Grupo {day}"))["id"])

    def ids(who: str = "registradora-1", **asked: Any) -> list[str]:
        query = "&".join(f"{name}={value}" for name, value in asked.items())
        return [one["id"] for one in _made(call("GET", f"/applications?{query}", who))["items"]]

    with moved_to(instant + timedelta(days=23)):  # 25 November; the first was due on the 24th
        _made(call("POST", f"/applications/{keys[1]}/take", "registradora-2"))
        assert ids() == keys
        assert ids(sort="-due_on", limit=2) == [keys[2], keys[1]]
        assert ids(overdue="true") == [keys[0]]
        assert ids(overdue="false") == keys[1:]
        assert ids(due_within=7) == keys[:2]
        assert ids(reviewer="registradora-2") == ids(status="in_review") == [keys[1]]
        assert ids(kind="annual_filing") == ids(open="false") == []
        assert ids("vecina-2") == []
        assert ids("vecina-1") == keys
        assert ids("auditora-1") == keys
        first = call("GET", "/applications?limit=1", "registradora-1").json()
        assert first["items"][0]["days_left"] == -1
        assert [
            one["id"]
            for one in call("GET", f"/applications?limit=1&cursor={first['next']}", "registradora-1").json()["items"]
        ] == [keys[1]]


# Annual filings


def test_an_annual_filing_brings_an_inactive_organization_back(call: Call) -> None:
    key = _put(call, "inactive", None)
    representative = f"representante:{key}"
    path = f"/organizations/{key}/applications"
    body = {"kind": "annual_filing", "consent": True, "period": 2025}
    _refused(call("POST", path, representative, body), "filing_repeated")
    filed = _made(call("POST", path, representative, body | {"period": 2026}), 201)
    assert (filed["kind"], filed["period"], filed["on_behalf"]) == ("annual_filing", 2026, False)
    assert {one["code"] for one in filed["documents"]} == {"annual_report", "members_list"}
    application = f"/applications/{filed['id']}"
    _refused(call("POST", f"{application}/accept", "registradora-2", {}), "transition")
    _made(call("POST", f"{application}/take", "registradora-2"))
    items = {"items": [{"item": "document:members_list", "reason": "No hay firmas"}]}
    _made(call("POST", f"{application}/ask-correction", "registradora-2", items))
    assert _made(call("GET", f"/organizations/{key}", representative))["registration_status"] == "inactive"
    _made(call("POST", f"{application}/correct", representative, {"note": "Están en la hoja 4"}))
    _refused(call("POST", f"{application}/accept", "registradora-2", {}), "requires_documents")
    _verified(key, "annual_report", "members_list")
    _made(call("POST", f"{application}/accept", "registradora-2", {}))
    organization = _made(call("GET", f"/organizations/{key}", representative))
    assert organization["registration_status"] == "registered"
    assert date.fromisoformat(organization["filing_due_on"]) > register.today()
    assert [one["result"] for one in _events("application_decided")] == ["accepted"]
    assert [one["after"] for one in _events("status_changed")] == ["registered"]


def test_a_filing_is_for_who_is_registered_and_ends_with_it(call: Call) -> None:
    draft = _draft(call)
    answer = call(
        "POST", f"/organizations/{draft}/applications", "vecina-1", {"kind": "annual_filing", "consent": True}
    )
    _refused(answer, "filing_not_registered")
    key = _put(call, "registered", None)
    representative = f"representante:{key}"
    filed = _filed(call, str(key), representative, "annual_filing")
    stranger = call(
        "POST", f"/organizations/{key}/applications", "vecina-9", {"kind": "annual_filing", "consent": True}
    )
    _refused(stranger, "not_acting_for_it", 403)
    _made(
        call(
            "POST",
            f"/organizations/{key}/acts",
            representative,
            {"kind": "withdraw", "reasons": "Lo decidió la asamblea"},
        )
    )
    assert _made(call("GET", f"/applications/{filed['id']}", representative))["status"] == "withdrawn"


# Repeated, and at once


def test_repeating_a_step_with_its_key_does_it_once(call: Call) -> None:
    key = _draft(call)
    keyed = {"Idempotency-Key": "tramite-1"}
    body = {"kind": "registration", "consent": True}
    first, again = (call("POST", f"/organizations/{key}/applications", "vecina-1", body, **keyed) for _ in range(2))
    assert first.json() == again.json()
    path = f"/applications/{first.json()['id']}"
    first, again = (call("POST", f"{path}/take", "registradora-1", None, **{"Idempotency-Key": "t"}) for _ in range(2))
    assert first.json() == again.json()
    items = {"items": [{"item": "address", "reason": "Falta"}]}
    first, again = (
        call("POST", f"{path}/ask-correction", "registradora-1", items, **{"Idempotency-Key": "c"}) for _ in range(2)
    )
    assert (first.status_code, first.json()) == (200, again.json())
    assert len(_events("application_received")) == len(_events("correction_asked")) == 1


def test_two_officials_decide_at_once_and_one_wins(call: Call) -> None:
    key = _draft(call)
    filed = _filed(call, key)
    _verified(UUID(key), *PACK.registration.documents_for("registration", KIND))
    _made(call("POST", f"/applications/{filed['id']}/take", "registradora-1"))

    def decide(n: int) -> int:
        verb, who = ("accept", f"registradora-{n}") if n % 2 else ("reject", f"autoridad-{n}")
        return int(call("POST", f"/applications/{filed['id']}/{verb}", who, {"reasons": "x"}).status_code)

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(decide, range(6))) == [200, 409, 409, 409, 409, 409]
    assert len(_events("application_decided")) == 1


def test_two_submissions_at_once_are_one(call: Call) -> None:
    key = _draft(call)
    body = {"kind": "registration", "consent": True}

    def submit(_: int) -> int:
        return int(call("POST", f"/organizations/{key}/applications", "vecina-1", body).status_code)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(submit, range(4))) == [201, 409, 409, 409]
    with tx() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Application)) == 1


def test_who_may_ask(api: TestClient, call: Call, issuer: Issuer) -> None:
    paths = [f"/applications/{uuid4()}{end}" for end in ("/take", "/ask-correction", "/correct", "/accept", "/reject")]
    bodies: dict[str, Any] = {
        "/ask-correction": {"items": [{"item": "name", "reason": "x"}]},
        "/reject": {"reasons": "x"},
    }
    for path in paths:
        body: dict[str, Any] = next((given for end, given in bodies.items() if path.endswith(end)), {})
        assert api.post(f"/v1{path}", json=body).status_code == 401
        assert call("POST", path, "registradora-1", body).status_code == 404
    assert api.get("/v1/applications").status_code == 401
    officer = issuer.headers("funcionario:atencion-ciudadania", sub="f-1")
    _filed(call, _draft(call))
    assert api.get("/v1/applications", headers=officer).json()["items"] == []  # of another desk


def test_the_packs_documents_are_what_is_asked(call: Call) -> None:
    options = _made(call("GET", "/register-options", "vecina-1"))
    assert {"code": "suba", "name": "Suba"} in options["areas"]
    assert {one["code"] for one in options["document_types"]} == {
        one.code for one in jurisdiction().registration.document_type
    }
