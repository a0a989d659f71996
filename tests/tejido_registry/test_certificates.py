"""Certificates: issued once, verified by anybody, revoked."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pypdfium2  # type: ignore[import-untyped]
import pytest
import sqlalchemy as sa
import zxingcpp
from fastapi.testclient import TestClient

from tejido_registry.app import create_app
from tejido_registry.certificates import service
from tejido_registry.db import tx
from tejido_registry.models import Certificate, Organization
from tejido_registry.settings import jurisdiction, settings
from tejido_shared.clock import moved_to, now
from tejido_shared.db import Database
from tejido_shared.jurisdiction import parse_receipt_number
from tejido_shared.testing import Issuer

from .test_directory import create, unlist


@pytest.fixture
def api(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def registrar(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("registro", sub="registradora-1")


@pytest.fixture
def organization(api: TestClient, registrar: dict[str, str]) -> str:
    return str(create(api, registrar, name="Junta <b>La Peña</b> & Cía.", legal_status="incorporated")["id"])


def issue(api: TestClient, headers: dict[str, str], organization: str) -> dict[str, Any]:
    answer = api.post(f"/v1/organizations/{organization}/certificates", headers=headers)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_it_says_what_the_register_says(api: TestClient, registrar: dict[str, str], organization: str) -> None:
    day = now().astimezone(jurisdiction().zone).date()
    with tx() as session:
        ends = {"mandate_status": "current", "mandate_until": day + timedelta(days=400)}
        session.execute(sa.update(Organization).values(**ends))
    made = issue(api, registrar, organization)
    assert parse_receipt_number(settings().certificate_pattern, made["number"]).sequence == 1
    assert made["status"] == "valid"
    assert made["good_until"] == str(day + timedelta(days=jurisdiction().registration.policy.certificate_days))
    assert made["url"].endswith(f"/constancia/{made['code']}")
    assert len(made["code"]) == 16
    answer = api.get(f"/v1/certificates/{made['code']}/document")
    assert answer.headers["content-type"] == "application/pdf"
    assert b"pdfaid:part" in answer.content
    assert api.get(f"/v1/certificates/{made['code']}/document").content == answer.content
    [page] = pypdfium2.PdfDocument(answer.content)
    words = page.get_textpage().get_text_range().replace("\r\n", " ")
    for said in (
        made["number"],
        "Junta <b>La Peña</b> & Cía.",
        "inscripta",
        "con personería jurídica",
        "con mandato vigente hasta el",
        "Suba",
        "-".join(made["code"][n : n + 4] for n in range(0, 16, 4)),
    ):
        assert said in words, said
    [code] = zxingcpp.read_barcodes(page.render(scale=3).to_pil())
    assert code.text == made["url"]


def test_the_same_person_on_the_same_day_gets_the_same_one(
    api: TestClient, registrar: dict[str, str], issuer: Issuer, organization: str
) -> None:
    first = issue(api, registrar, organization)
    assert issue(api, registrar, organization) == first
    mine = issuer.headers(f"representante:{organization}", sub="vecina-1")
    other = issue(api, mine, organization)
    assert other["number"] != first["number"]
    api.patch(f"/v1/organizations/{organization}", json={"name": "Otra"}, headers=registrar | {"If-Match": "*"})
    changed = issue(api, registrar, organization)
    assert changed["said"]["name"] == "Otra"
    with moved_to(now() + timedelta(days=1)):
        assert issue(api, registrar, organization)["number"] not in {one["number"] for one in (first, other, changed)}
    history = api.get(f"/v1/organizations/{organization}/history", headers=registrar).json()["items"]
    assert [one["kind"] for one in history].count("certificate_issued") == 4
    listed = api.get(f"/v1/organizations/{organization}/certificates", headers=mine).json()["items"]
    assert len(listed) == 4
    assert listed[0]["issued_at"] > listed[-1]["issued_at"]


def test_two_at_once_are_one(api: TestClient, registrar: dict[str, str], organization: str) -> None:
    def ask(_: int) -> str:
        with tx() as session:
            key = UUID(organization)
            one = session.scalar(sa.select(Organization).where(Organization.id == key).with_for_update())
            assert one is not None
            return service.issue(session, one, "registradora-1", for_itself=False).number

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(ask, range(12)))) == 1


def test_who_may_have_one(api: TestClient, registrar: dict[str, str], issuer: Issuer, organization: str) -> None:
    address = f"/v1/organizations/{organization}/certificates"
    mine = issuer.headers(f"representante:{organization}", sub="vecina-1")
    assert api.post(address).status_code == 401
    for group in ("ciudadania", f"representante:{uuid4()}", "auditoria", "funcionario:atencion-ciudadania"):
        assert api.post(address, headers=issuer.headers(group)).status_code == 403, group
    assert api.get(address, headers=issuer.headers("ciudadania")).status_code == 403
    draft = create(api, registrar, registration_status="draft")["id"]
    refused = api.post(f"/v1/organizations/{draft}/certificates", headers=registrar)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:tejido:problem:nothing_to_certify")
    unlist(organization, registration_status="suspended")
    refused = api.post(address, headers=mine)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:tejido:problem:not_listed")
    assert issue(api, registrar, organization)["said"]["registration_status"] == "suspended"
    code = api.get(address, headers=registrar).json()["items"][0]["code"]
    revocation = f"/v1/certificates/{code}/revocation"
    assert api.post(revocation, json={"reason": "x"}).status_code == 401
    for group in ("ciudadania", f"representante:{organization}", "auditoria"):
        assert api.post(revocation, json={"reason": "x"}, headers=issuer.headers(group)).status_code == 403, group


def test_anybody_verifies_it_and_sees_what_changed(
    api: TestClient, registrar: dict[str, str], organization: str
) -> None:
    made = issue(api, registrar, organization)
    code = made["code"]
    typed = "-".join(code[n : n + 4] for n in range(0, 16, 4)).lower()
    shown = api.get(f"/v1/certificates/{typed}").json()
    assert (shown["status"], shown["differs"], shown["said"]) == ("valid", [], shown["today"])
    assert "registradora-1" not in str(shown)
    page = api.get(f"/constancia/{typed}")
    assert page.status_code == 200
    assert "Es auténtica y vale" in page.text
    assert "dice hoy lo mismo" in page.text
    assert "Junta &lt;b&gt;La Peña&lt;/b&gt; &amp; Cía." in page.text
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "set-cookie" not in page.headers

    survivor = create(api, registrar, name="La que sigue")
    unlist(organization, registration_status="merged", merged_into=UUID(survivor["id"]))
    shown = api.get(f"/v1/certificates/{code}").json()
    assert shown["differs"] == ["registration_status", "merged_into"]
    assert shown["today"]["merged_into"] == survivor["number"]
    page = api.get(f"/constancia/{code}", headers={"Accept-Language": "en"})
    assert "Genuine and good" in page.text
    assert page.text.count("(changed)") == 1
    assert survivor["number"] in page.text

    with moved_to(now() + timedelta(days=jurisdiction().registration.policy.certificate_days + 1)):
        assert api.get(f"/v1/certificates/{code}").json()["status"] == "expired"
        assert "Está vencida" in api.get(f"/constancia/{code}").text


def test_a_revoked_one_says_so(api: TestClient, registrar: dict[str, str], organization: str) -> None:
    made = issue(api, registrar, organization)
    address = f"/v1/certificates/{made['code']}/revocation"
    keyed = registrar | {"Idempotency-Key": "revocar-1"}
    reason = {"reason": "La pidió Ana Secreta con datos falsos"}
    done = api.post(address, json=reason, headers=keyed)
    assert done.status_code == 201
    assert done.json()["revoked_why"] == reason["reason"]
    assert api.post(address, json=reason, headers=keyed).json() == done.json()
    again = api.post(address, json=reason, headers=registrar)
    assert (again.status_code, again.json()["type"]) == (409, "urn:tejido:problem:already_revoked")
    shown = api.get(f"/v1/certificates/{made['code']}")
    assert shown.json()["status"] == "revoked"
    page = api.get(f"/constancia/{made['code']}")
    assert "Está revocada" in page.text
    for public in (shown.text, page.text):
        assert "Secreta" not in public
    with tx() as session:
        stored = session.scalars(sa.select(sa.type_coerce(Certificate.revoked_why, sa.LargeBinary))).one()
    assert b"Secreta" not in stored
    # Whoever asks anew gets another one, not that.
    assert issue(api, registrar, organization)["number"] != made["number"]


def test_what_is_no_certificate(api: TestClient, registrar: dict[str, str], organization: str) -> None:
    issue(api, registrar, organization)
    assert api.get("/v1/certificates/AAAA-BBBB-CCCC-DDDD").status_code == 404
    assert api.get("/v1/certificates/AAAA-BBBB-CCCC-DDDD/document").status_code == 404
    assert api.get("/v1/certificates/x").status_code == 422
    form = api.get("/constancia")
    assert (form.status_code, form.text.count("<form")) == (200, 1)
    assert "No hay ninguna" not in form.text
    for wrong in ("AAAA-BBBB-CCCC-DDDD", "x", "%00", "' or 1=1", "<b>", "ñ" * 200, "%FF"):
        page = api.get(f"/constancia/{wrong}")
        assert page.status_code == 404, wrong
        assert "No hay ninguna constancia con ese código" in page.text
        assert "<b>" not in page.text
    asked = api.get("/constancia", params={"code": "AAAA BBBB CCCC DDDD"})
    assert asked.status_code == 404
    assert 'value="AAAA BBBB CCCC DDDD"' in asked.text
