"""Who holds office: the axis that follows from it, and recording it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from tejido_registry.app import create_app
from tejido_registry.axes import Term, in_office, turns_of_office
from tejido_registry.db import tx
from tejido_registry.mandates import terms
from tejido_registry.models import Access, Person
from tejido_registry.settings import jurisdiction
from tejido_shared import clock, seam
from tejido_shared.db import Database
from tejido_shared.testing import Issuer

DAY = date(2026, 7, 1)
NOON = datetime(2026, 7, 1, 17, tzinfo=UTC)
RANK = {"unknown": 0, "vacant": 1, "expired": 1, "expiring": 2, "current": 3}
"""Nobody signs in either of the two in the middle: they differ in why."""
days = st.integers(-1200, 1200).map(lambda n: DAY + timedelta(days=n))


@st.composite
def one_term(draw: st.DrawFn) -> Term:
    starts_on = draw(days)
    length = draw(st.integers(0, 1500))
    early = draw(st.none() | st.integers(0, length))
    ends_on = starts_on + timedelta(days=length)
    return Term(starts_on, ends_on, None if early in (None, length) else starts_on + timedelta(days=early or 0))


some_terms = st.lists(one_term(), max_size=6)


def _term(starts: int, ends: int, ended: int | None = None) -> Term:
    def day(n: int) -> date:
        return DAY + timedelta(days=n)

    return Term(day(starts), day(ends), None if ended is None else day(ended))


@pytest.mark.parametrize(
    ("recorded", "status", "until"),
    [
        ([], "unknown", None),
        ([(1, 500)], "unknown", None),
        ([(0, 400)], "current", 400),
        ([(-400, 91)], "current", 91),
        ([(-400, 90)], "expiring", 90),
        ([(-400, 0)], "expiring", 0),
        ([(-400, -1)], "expired", -1),
        ([(-400, 10), (11, 500)], "current", 500),
        ([(-400, 10), (12, 500)], "expiring", 10),
        ([(-400, -1), (1, 500)], "vacant", -1),
        ([(-400, 500, -5)], "vacant", -5),
        ([(-400, 500, -5), (-4, 500)], "current", 500),
        ([(-400, 500, -5), (-300, -5)], "expired", -5),
        ([(-400, 500, -5), (-300, 500)], "current", 500),
        ([(-400, 500, 30)], "expiring", 30),
    ],
)
def test_what_mandates_come_to(recorded: list[tuple[int, ...]], status: str, until: int | None) -> None:
    found = in_office([_term(*one) for one in recorded], DAY, 90)
    assert (found.status, found.until) == (status, None if until is None else DAY + timedelta(days=until))


@settings(deadline=None)
@given(some_terms, st.randoms(use_true_random=False), days)
def test_the_order_of_recording_does_not_matter(recorded: list[Term], random: Any, on: date) -> None:
    shuffled = list(recorded)
    random.shuffle(shuffled)
    assert in_office(shuffled, on, 90) == in_office(recorded, on, 90)


@settings(deadline=None)
@given(some_terms, one_term(), days)
def test_one_more_mandate_never_makes_it_worse(recorded: list[Term], another: Term, on: date) -> None:
    before, after = in_office(recorded, on, 90), in_office([*recorded, another], on, 90)
    assert RANK[after.status] >= RANK[before.status]
    assert before.until is None or (after.until is not None and after.until >= before.until)


@settings(deadline=None)
@given(some_terms, days)
def test_somebody_signs_exactly_on_the_days_of_a_mandate(recorded: list[Term], on: date) -> None:
    signs = any(one.starts_on <= on <= one.last for one in recorded)
    assert (in_office(recorded, on, 90).status in ("current", "expiring")) == signs


@settings(deadline=None)
@given(some_terms, days)
def test_only_the_days_that_are_said_to_change_it_do(recorded: list[Term], on: date) -> None:
    next_turn = min((day for day in turns_of_office(recorded, 90) if day > on), default=date(2040, 1, 1))
    for ahead in range(min((next_turn - on).days, 400)):
        assert in_office(recorded, on + timedelta(days=ahead), 90) == in_office(recorded, on, 90)


@pytest.mark.parametrize(
    ("kind", "on", "starts", "ends"),
    [
        ("community_action_board", date(2026, 6, 30), None, None),
        ("community_action_board", date(2026, 7, 1), date(2026, 7, 1), date(2030, 6, 30)),
        ("community_action_board", date(2030, 6, 30), date(2026, 7, 1), date(2030, 6, 30)),
        ("community_action_board", date(2041, 3, 1), date(2038, 7, 1), date(2042, 6, 30)),
        ("community_board_association", date(2026, 12, 1), date(2026, 9, 1), date(2030, 8, 31)),
        ("community_board_federation", date(2030, 10, 31), date(2026, 11, 1), date(2030, 10, 31)),
    ],
)
def test_the_terms_of_the_law(kind: str, on: date, starts: date | None, ends: date | None) -> None:
    rule = jurisdiction().mandate_term(kind)
    assert rule is not None
    found = terms.period(rule, on)
    assert (found.starts_on, found.ends_on) == (starts, ends) if found else starts is None
    following = terms.next_period(rule, on)
    assert following.starts_on == (ends + timedelta(days=1) if ends else date(2026, 7, 1))


@pytest.fixture
def api(databases: dict[str, Database]) -> Iterator[TestClient]:
    with clock.moved_to(NOON), TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def registrar(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("registro", sub="registradora-1")


def _organization(api: TestClient, registrar: dict[str, str], **body: Any) -> str:
    body = {"name": "Junta La Peña", "organization_type": "community_action_board", **body}
    answer = api.post("/v1/organizations", json=body, headers=registrar)
    assert answer.status_code == 201, answer.text
    return f"/v1/organizations/{answer.json()['id']}"


def _member(post: str, document: str, name: str = "Ana Niño", *, signs: bool = False, **more: Any) -> dict[str, Any]:
    person = {"name": name, "document_kind": "cc", "document": document}
    return {"post": post, "signs": signs, "person": person, **more}


BOARD: dict[str, Any] = {
    "starts_on": "2026-07-01",
    "act": "Auto 14 de 2026",
    "members": [
        _member("Presidenta", "52.111.222", signs=True),
        _member("Tesorero", "79333444", "Luis Peña"),
        _member("Fiscal", "79555666", "Eva Ruiz", organ="oversight"),
    ],
}


def _errors(answer: Any) -> dict[str, str]:
    return {error["field"]: error["code"] for error in answer.json()["errors"]}


def test_a_board_takes_office_for_the_law_s_term_and_its_organization_is_announced(
    api: TestClient, registrar: dict[str, str]
) -> None:
    path = _organization(api, registrar)
    keyed = registrar | {"Idempotency-Key": "junta-1"}
    answer = api.post(f"{path}/boards", json=BOARD, headers=keyed)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["mandate_status"], made["mandate_until"]) == ("current", "2030-06-30")
    assert [one["person"]["document"] for one in made["mandates"]] == ["52111222", "79333444", "79555666"]
    assert api.post(f"{path}/boards", json=BOARD, headers=keyed).json() == made
    assert api.post(f"{path}/boards", json=BOARD, headers=registrar).json()["type"].endswith("later_board")
    with tx() as session:
        events = session.scalars(
            sa.select(seam.outbox.c.envelope).where(seam.outbox.c.subscriber == "projects").order_by(seam.outbox.c.id)
        ).all()
        raw = session.execute(sa.text("select name, document from person")).all()
    first, second = [event["data"] for event in events]
    assert (first["mandate_status"], second["mandate_status"]) == ("unknown", "current")
    assert second["mandate_until"] == "2030-06-30"
    reasons = {one["purpose"]: one["reasons"] for one in second["standing"]}
    assert reasons["apply"] == []
    assert reasons["sign"] == ["legal_unknown", "document_missing:board_minutes"]
    assert {one["purpose"]: one["reasons"] for one in first["standing"]}["apply"] == ["mandate_unknown"]
    assert [event["subject_version"] for event in events] == [1, 2]
    assert not any("Niño".encode() in bytes(value) or b"52111222" in bytes(value) for row in raw for value in row)
    assert "52111222" not in str(events)


def test_a_new_election_takes_the_place_of_the_board_in_one_write(api: TestClient, registrar: dict[str, str]) -> None:
    path = _organization(api, registrar)
    old = BOARD | {"starts_on": "2024-01-01", "ends_on": "2027-12-31"}
    assert api.post(f"{path}/boards", json=old, headers=registrar).status_code == 201
    again: dict[str, Any] = BOARD | {
        "members": [_member("Presidenta", "52111222", signs=True), _member("Tesorera", "1010", "Sol")]
    }
    assert _errors(api.post(f"{path}/boards", json=again, headers=registrar)) == {
        "body.members.1.person.document": "document_number"
    }
    again["members"][1]["person"]["document"] = "1010101010"
    assert api.post(f"{path}/boards", json=again, headers=registrar).status_code == 201
    listed = api.get(f"{path}/mandates", params={"in_office_on": "2026-07-01"}, headers=registrar).json()["items"]
    assert {one["post"] for one in listed} == {"Presidenta", "Tesorera", "Fiscal"}  # another organ: it stays
    every = api.get(f"{path}/mandates", params={"sort": "starts_on"}, headers=registrar).json()["items"]
    assert {(one["post"], one["ended_on"], one["ended_why"]) for one in every if one["starts_on"] < "2026"} == {
        ("Presidenta", "2026-06-30", "replaced"),
        ("Tesorero", "2026-06-30", "replaced"),
        ("Fiscal", None, None),
    }


def test_the_same_person_in_two_boards_is_one(api: TestClient, registrar: dict[str, str]) -> None:
    first, second = _organization(api, registrar), _organization(api, registrar, name="Comité de Agua")
    one = api.post(f"{first}/boards", json=BOARD, headers=registrar).json()["mandates"][0]
    body = _member("Vocal", "52 111 222", "Ana María Niño") | {"starts_on": "2026-05-01", "ends_on": "2028-04-30"}
    body["person"]["phone"] = "601 555 0100"
    other = api.post(f"{second}/mandates", json=body, headers=registrar).json()
    assert other["person"] == one["person"] | {"name": "Ana María Niño", "phone": "+576015550100"}
    passport = body | {"person": body["person"] | {"document_kind": "passport"}, "post": "Vocal 2"}
    assert (
        api.post(f"{second}/mandates", json=passport, headers=registrar).json()["person"]["id"] != one["person"]["id"]
    )
    known = body | {"person": {"id": one["person"]["id"]}, "post": "Secretaria"}
    assert api.post(f"{second}/mandates", json=known, headers=registrar).json()["person"]["document"] == "52111222"
    third = _organization(api, registrar, name="Otra")
    assert _errors(api.post(f"{third}/mandates", json=known, headers=registrar)) == {"body.person.id": "unknown_person"}
    with tx() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Person)) == 4


def test_persons_are_shown_to_few_and_each_view_is_written_down(
    api: TestClient, registrar: dict[str, str], issuer: Issuer
) -> None:
    path = _organization(api, registrar)
    made = api.post(f"{path}/boards", json=BOARD, headers=registrar).json()["mandates"]
    organization_id = path.rpartition("/")[2]
    with tx() as session:
        session.execute(sa.delete(Access))
    for outsider in (None, issuer.headers("ciudadania"), issuer.headers(f"representante:{uuid4()}")):
        shown = api.get(f"{path}/mandates", headers=outsider)
        assert [one["person"] for one in shown.json()["items"]] == [None] * 3
        assert "Niño" not in shown.text
    with tx() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Access)) == 0
    own = issuer.headers(f"representante:{organization_id}", sub="representante-1")
    auditor = issuer.headers("auditoria", sub="auditora-1")
    assert {one["person"]["name"] for one in api.get(f"{path}/mandates", headers=own).json()["items"]} == {
        "Ana Niño",
        "Luis Peña",
        "Eva Ruiz",
    }
    assert api.get(f"{path}/mandates", params={"limit": 1}, headers=auditor).json()["items"][0]["person"]
    with tx() as session:
        seen = [(one.subject, one.what, one.seen) for one in session.scalars(sa.select(Access))]
    assert len(seen) == 4
    persons = {UUID(one["person"]["id"]) for one in made}
    assert {who for who, what, person in seen if what == "person" and person in persons} == {
        "representante-1",
        "auditora-1",
    }
    for group in (own, auditor, issuer.headers("funcionario:atencion-ciudadania")):
        assert api.post(f"{path}/boards", json=BOARD, headers=group).status_code == 403


@pytest.mark.parametrize(
    ("dates", "where", "code"),
    [
        ({"starts_on": "2026-07-02", "ends_on": "2026-07-01"}, "ends_on", "dates_reversed"),
        ({"starts_on": "1949-12-31", "ends_on": "1951-01-01"}, "starts_on", "mandate_too_early"),
        ({"starts_on": "2014-12-31", "ends_on": "2016-01-01"}, "starts_on", "mandate_too_early"),
        ({"starts_on": "2028-07-02", "ends_on": "2030-01-01"}, "starts_on", "mandate_too_far"),
        ({"starts_on": "2026-07-01", "ends_on": "2036-07-01"}, "ends_on", "mandate_too_long"),
        ({"starts_on": "2026-06-30"}, "ends_on", "ends_on_missing"),
        ({"starts_on": "9999-12-31", "ends_on": "9999-12-31"}, "starts_on", "mandate_too_far"),
        ({"starts_on": "2025-01-01", "ends_on": "2025-12-31"}, "post", "office_taken"),
        ({"starts_on": "2023-01-01", "ends_on": "2025-01-01"}, "post", "office_taken"),
    ],
)
def test_dates_that_cannot_be(
    api: TestClient, registrar: dict[str, str], dates: dict[str, str], where: str, code: str
) -> None:
    path = _organization(api, registrar, founded_on="2015-01-01")
    present = _member("Presidenta", "52111222", signs=True) | {"starts_on": "2025-01-01", "ends_on": "2026-06-30"}
    assert api.post(f"{path}/mandates", json=present, headers=registrar).status_code == 201
    other = _member("PRESIDENTA", "79333444", "Luis", signs=True) | dates
    answer = api.post(f"{path}/mandates", json=other, headers=registrar)
    assert (answer.status_code, _errors(answer)) == (422, {f"body.{where}": code}), answer.text


def test_whoever_leaves_early_leaves_it_vacant_and_a_mistake_never_was(
    api: TestClient, registrar: dict[str, str]
) -> None:
    path = _organization(api, registrar)
    made = api.post(f"{path}/boards", json=BOARD, headers=registrar).json()["mandates"]
    president = f"{path}/mandates/{made[0]['id']}/end"

    def status() -> tuple[str, str | None]:
        shown = api.get(path, headers=registrar).json()
        return shown["mandate_status"], shown["mandate_until"]

    for wrong in ("2026-06-30", "2030-06-30"):
        answer = api.post(president, json={"ended_on": wrong, "why": "resignation"}, headers=registrar)
        assert _errors(answer) == {"body.ended_on": "not_in_mandate"}
    assert _errors(api.post(president, json={"why": "death"}, headers=registrar)) == {
        "body.ended_on": "ended_on_missing"
    }
    body = {"ended_on": "2026-07-01", "why": "resignation"}
    assert api.post(president, json=body, headers=registrar).status_code == 200
    assert status() == ("expiring", "2026-07-01")
    assert api.post(president, json=body, headers=registrar).json()["type"].endswith("mandate_ended")
    follows = _member("Presidente", "79333444", "Luis Peña", signs=True) | {"starts_on": "2026-07-10"}
    wrong = api.post(f"{path}/mandates", json=follows, headers=registrar).json()
    with clock.moved_to(NOON + timedelta(days=2)):
        assert api.post(f"{path}/mandates/{wrong['id']}/end", json={"why": "error"}, headers=registrar).json()[
            "ended_why"
        ]
        assert status() == ("vacant", "2026-07-01")
        assert (
            api.post(f"{path}/mandates", json=follows | {"starts_on": "2026-07-02"}, headers=registrar).status_code
            == 201
        )
        assert status() == ("current", "2030-06-30")
    shown = api.get(f"{path}/mandate-terms").json()
    assert shown["current"] == {
        "starts_on": "2026-07-01",
        "ends_on": "2030-06-30",
        "election": "último domingo de abril",
        "article": "Ley 2166 de 2021, art. 36",
    }
    assert shown["next"]["starts_on"] == "2030-07-01"
    history = api.get(f"{path}/history", headers=registrar).json()["items"]
    assert "Ana" not in str(history)
