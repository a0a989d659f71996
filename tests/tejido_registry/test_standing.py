"""What an organization may do on a day, with the reasons: the judgement, its dates, and the public answer."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from tejido_registry import service
from tejido_registry.app import create_app
from tejido_registry.axes import ESSENTIAL, Confirmation, Term
from tejido_registry.db import tx
from tejido_registry.models import Document, Organization
from tejido_registry.renewal import service as renewal
from tejido_registry.settings import jurisdiction
from tejido_registry.standing import rules
from tejido_registry.standing import service as standing
from tejido_registry.standing.rules import Dated, Facts, Paper, facts, holds_until, judge, turns
from tejido_shared import clock, i18n, seam
from tejido_shared.db import Database
from tejido_shared.ids import new_id
from tejido_shared.jurisdiction import Purpose
from tejido_shared.standing import in_words
from tejido_shared.testing import Issuer

DAY = date(2026, 11, 28)
NOON = datetime(2026, 11, 28, 17, tzinfo=UTC)
REGISTER = jurisdiction().registration
FULL = Purpose(
    code="everything",
    name="Todo",
    registration=("registered",),
    legal=("incorporated",),
    mandate=("current", "expiring"),
    freshness=("verified", "due"),
    types=("community_action_board",),
    grades=(1,),
    documents=("statute", "board_minutes"),
    filing=True,
)
GOOD = Facts(
    registration="registered",
    legal="incorporated",
    organization_type="community_action_board",
    grade=1,
    mandate="expiring",
    freshness="due",
    documents=frozenset({"statute", "board_minutes", "other"}),
    filed=True,
)
DATED = Dated(
    registration="registered",
    legal="incorporated",
    organization_type="community_action_board",
    grade=1,
    terms=(Term(date(2024, 7, 1), date(2027, 6, 30)),),
    confirmations=(Confirmation(frozenset(ESSENTIAL), date(2026, 2, 28)),),
    papers=(Paper("board_minutes", date(2027, 1, 31)), Paper("statute")),
    filing_due_on=date(2027, 2, 28),
)


@pytest.mark.parametrize(
    ("flaw", "reasons"),
    [
        ({}, ()),
        ({"registration": "suspended"}, ("registration_suspended",)),
        ({"registration": "merged"}, ("registration_merged",)),
        ({"legal": "de_facto"}, ("legal_de_facto",)),
        ({"legal": None}, ("legal_unknown",)),
        ({"mandate": "expired"}, ("mandate_expired",)),
        ({"mandate": "vacant"}, ("mandate_vacant",)),
        ({"freshness": "never"}, ("freshness_never",)),
        ({"organization_type": "foundation"}, ("type_not_admitted",)),
        ({"grade": None}, ("grade_not_admitted",)),
        ({"documents": frozenset({"board_minutes"})}, ("document_missing:statute",)),
        ({"documents": frozenset()}, ("document_missing:statute", "document_missing:board_minutes")),
        ({"filed": False}, ("filing_overdue",)),
        ({"registration": "inactive", "filed": False}, ("registration_inactive", "filing_overdue")),
    ],
)
def test_each_reason(flaw: dict[str, Any], reasons: tuple[str, ...]) -> None:
    assert judge(FULL, replace(GOOD, **flaw)) == reasons
    assert judge(Purpose(code="nothing", name="Nada"), replace(GOOD, **flaw)) == ()
    for code in reasons:
        for language in i18n.LANGUAGES:
            token = i18n.language.set(language)
            words = in_words(code, jurisdiction())
            i18n.language.reset(token)
            assert "_" not in words
            assert ("Estatutos" in words) == (code == "document_missing:statute")


def test_who_nobody_spoke_of_is_at_least_a_group() -> None:
    listed = jurisdiction().purpose("be_listed")
    assert judge(listed, replace(GOOD, legal=None)) == ()
    assert judge(listed, replace(GOOD, legal="dissolved")) == ("legal_dissolved",)


def test_every_value_of_every_axis_has_its_words() -> None:
    axes = {
        "registration": "draft submitted in_review needs_correction registered inactive suspended rejected withdrawn cancelled merged",
        "legal": "unknown de_facto simple_association in_process incorporated under_regularisation in_liquidation dissolved",
        "mandate": "current expiring expired vacant unknown",
        "freshness": "verified due stale never",
    }
    for axis, values in axes.items():
        for value in values.split():
            for language in i18n.LANGUAGES:
                key = f"standing.{axis}_{value}"
                assert i18n.text("tejido_shared", key, language) != key
                assert i18n.text("tejido_shared", key, "en") != i18n.text("tejido_shared", key, "es")


@pytest.mark.parametrize(
    ("on", "reasons", "until"),
    [
        (date(2024, 6, 30), ("mandate_unknown", "freshness_never"), date(2024, 6, 30)),
        (DAY, (), date(2027, 1, 31)),
        (date(2027, 2, 1), ("document_missing:board_minutes",), date(2027, 4, 29)),
        # Sixty days of grace after 28 February, and the organization is inactive whether or not the calendar came by.
        (
            date(2027, 4, 30),
            ("registration_inactive", "document_missing:board_minutes", "filing_overdue"),
            date(2027, 6, 30),
        ),
        (
            date(2027, 7, 1),
            ("registration_inactive", "mandate_expired", "document_missing:board_minutes", "filing_overdue"),
            date(2028, 2, 28),
        ),
        (
            date(2028, 2, 29),
            (
                "registration_inactive",
                "mandate_expired",
                "freshness_stale",
                "document_missing:board_minutes",
                "filing_overdue",
            ),
            None,
        ),
    ],
)
def test_it_is_judged_as_of_the_day_and_says_until_when_it_holds(
    on: date, reasons: tuple[str, ...], until: date | None
) -> None:
    assert judge(FULL, facts(DATED, on, REGISTER)) == reasons
    assert holds_until(FULL, DATED, on, REGISTER) == until


def test_nothing_happens_while_a_filing_waits_for_its_decision() -> None:
    waiting = replace(DATED, filing_pending=True)
    assert facts(waiting, date(2027, 6, 30), REGISTER).filed
    assert facts(waiting, date(2027, 6, 30), REGISTER).registration == "registered"


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-900, 900), st.integers(0, 900)), max_size=3),
    st.lists(st.integers(-900, 0), max_size=2),
    st.none() | st.integers(-900, 900),
    st.integers(-300, 900),
)
def test_only_the_days_that_are_said_to_change_facts_do(
    mandates: list[tuple[int, int]], verified: list[int], filing: int | None, on: int
) -> None:
    def day(n: int) -> date:
        return DAY + timedelta(days=n)

    known = replace(
        DATED,
        terms=tuple(Term(day(start), day(start + length)) for start, length in mandates),
        confirmations=tuple(Confirmation(frozenset(ESSENTIAL), day(n)) for n in verified),
        filing_due_on=None if filing is None else day(filing),
    )
    following = min((turn for turn in turns(known, REGISTER) if turn > day(on)), default=day(on + 200))
    expected = facts(known, day(on), REGISTER)
    for ahead in range(1, min((following - day(on)).days, 200)):
        assert facts(known, day(on + ahead), REGISTER) == expected


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


def _give_document(path: str, code: str, expires_on: date | None) -> None:
    with tx() as session:
        organization = session.get_one(Organization, path.rpartition("/")[2], with_for_update=True)
        session.add(
            Document(
                organization_id=organization.id,
                document_type=code,
                personal=False,
                expires_on=expires_on,
                file_key=new_id(),
                file_name="acta.pdf",
                media_type="application/pdf",
                size=1,
                sha256="0",
                status="verified",
                handed_in_at=clock.now(),
                handed_in_by="x",
            )
        )
        renewal.refresh(session, organization)


def test_the_public_answer_has_reasons_and_no_person(api: TestClient, registrar: dict[str, str]) -> None:
    path = _organization(api, registrar, legal_status="incorporated")
    member = {"name": "Ana Niño", "document_kind": "cc", "document": "52111222"}
    board = {
        "starts_on": "2026-11-28",
        "ends_on": "2027-11-27",
        "members": [{"post": "Presidenta", "signs": True, "person": member}],
    }

    def sign(on: str | None = None, headers: dict[str, str] | None = None) -> dict[str, Any]:
        answer = api.get(f"{path}/standing", params={"purpose": "sign"} | ({"on": on} if on else {}), headers=headers)
        assert answer.status_code == 200, answer.text
        [one] = answer.json()["standing"]
        return dict(one)

    assert sign() == {
        "purpose": "sign",
        "name": "Suscribir un convenio",
        "allowed": False,
        "reasons": [
            {
                "code": "mandate_unknown",
                "axis": "mandate",
                "text": "No constan sus autoridades con mandato para firmar",
            },
            {
                "code": "document_missing:board_minutes",
                "axis": "document",
                "text": "Falta un documento vigente: Acta de elección de dignatarios",
            },
        ],
        # Inactive, and its filing overdue, sixty days after the twelve months from its entry.
        "holds_until": "2028-01-27",
    }
    assert api.post(f"{path}/boards", json=board, headers=registrar).status_code == 201
    _give_document(path, "board_minutes", date(2027, 3, 31))
    assert (sign()["allowed"], sign()["holds_until"]) == (True, "2027-03-31")
    assert (sign("2027-11-28")["allowed"], [one["axis"] for one in sign("2027-11-28")["reasons"]]) == (
        False,
        ["mandate", "document"],
    )
    assert sign("2028-06-01", {"Accept-Language": "en"})["reasons"][0]["text"] == (
        "Its registration is inactive: the annual filing is missing"
    )
    every = api.get(f"{path}/standing").json()
    assert [one["purpose"] for one in every["standing"]] == [one.code for one in REGISTER.purpose]
    assert every["on"] == "2026-11-28"
    assert "Ana" not in str(every)
    for query, where in (
        ({"purpose": "dance"}, "query.purpose"),
        ({"on": "9999-12-31"}, "query.on"),
        ({"on": "x"}, "query.on"),
    ):
        answer = api.get(f"{path}/standing", params=query)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, where)
    assert api.get(f"/v1/organizations/{uuid4()}/standing").status_code == 404
    draft = _organization(api, registrar, registration_status="draft")
    assert api.get(f"{draft}/standing").status_code == 404
    reasons = api.get(f"{draft}/standing", headers=registrar).json()["standing"][0]["reasons"]
    assert [one["code"] for one in reasons] == ["registration_draft"]


def test_what_is_stored_and_told_is_what_is_judged(api: TestClient, registrar: dict[str, str]) -> None:
    path = _organization(api, registrar)

    def stored() -> tuple[dict[str, Any], dict[str, Any], int, int]:
        with tx() as session:
            organization = session.scalars(sa.select(Organization)).one()
            judged = standing.of(session, [organization], standing.today())[organization.id]
            last = session.scalars(sa.select(seam.outbox.c.envelope).order_by(seam.outbox.c.id.desc()).limit(1)).one()
            told = {one["purpose"]: one["reasons"] for one in last["data"]["standing"]}
            assert organization.standing == told == {one.purpose: one.reasons for one in judged}
            return organization.standing, told, organization.version, last["subject_version"]

    assert stored()[0]["administer_hall"] == ["legal_unknown", "mandate_unknown", "freshness_never"]
    changed = api.patch(path, json={"legal_status": "incorporated"}, headers=registrar | {"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    kept, _, version, told = stored()
    assert kept["administer_hall"] == ["mandate_unknown", "freshness_never"]
    assert version == told == 2
    kind = {"organization_type": "foundation"}
    assert api.patch(path, json=kind, headers=registrar | {"If-Match": '"2"'}).status_code == 200
    assert stored()[0]["administer_hall"] == ["mandate_unknown", "freshness_never", "type_not_admitted"]


def test_announcing_a_thousand_costs_the_same_few_statements(databases: dict[str, Database]) -> None:
    value = {"name": "Junta", "organization_type": "community_action_board", "registration_status": "registered"}
    blank = dict.fromkeys((*service.COLUMNS, "identifiers", "contacts"))
    values = blank | {"other_names": [], "themes": [], "populations": [], "identifiers": [], "contacts": []} | value
    seen: list[str] = []
    with tx() as session:
        engine = session.get_bind()
    sa.event.listen(engine, "before_cursor_execute", lambda *a: seen.append(a[2]))
    costs = []
    for count in (10, 1000):
        with tx() as session:
            seen.clear()
            service.enter(session, [values] * count, "imported", None, [{}] * count)
            entering = len(seen)
        with tx() as session:
            organizations = session.scalars(sa.select(Organization).limit(count)).all()
            for one in organizations:
                one.legal_status = "dissolved"
            session.flush()
            seen.clear()
            service.announce(session, organizations)
            assert all(one.standing["be_listed"] == ["legal_dissolved"] for one in organizations)
            costs.append((entering, len(seen)))
    # Of the thousand, ten are told what they were told before; nothing is asked once for each.
    assert costs[0] == costs[1] or max(costs[1]) <= max(costs[0]) + 2, costs
    with tx() as session:
        assert session.scalar(sa.select(sa.func.count()).where(Organization.filing_due_on.is_(None))) == 0
        told = session.scalars(
            sa.select(seam.outbox.c.envelope).where(seam.outbox.c.subscriber == "projects").limit(1)
        ).one()
    assert {one["purpose"] for one in told["data"]["standing"]} == {one.code for one in REGISTER.purpose}


def test_axes_are_named_for_every_reason() -> None:
    found = {rules.axis_of(code) for code in judge(FULL, Facts("draft", None, "x", None, filed=False))}
    assert found == {"registration", "legal", "mandate", "freshness", "type", "grade", "document", "filing"}
