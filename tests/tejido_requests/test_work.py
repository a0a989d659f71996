"""Who works on what, over HTTP."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tejido_requests.db import tx
from tejido_requests.models import HistoryEntry, ServiceRequest
from tejido_shared import clock
from tejido_shared.testing import Issuer

OFFICE, OTHER = "atencion-ciudadania", "oficina-juridica"
OFFICERS = f"/v1/offices/{OFFICE}/officers"
BALANCE = f"/v1/offices/{OFFICE}/assignments/balance"


@pytest.fixture
def officer(issuer: Issuer) -> dict[str, str]:
    return issuer.headers(f"funcionario:{OFFICE}", sub="ana")


@pytest.fixture
def head(issuer: Issuer) -> dict[str, str]:
    return issuer.headers(f"jefatura:{OFFICE}", sub="jefa")


def _file(api: TestClient, headers: dict[str, str] | None = None, **changes: Any) -> str:
    answer = api.post("/v1/service-requests", json={"subject": "Hay un bache"} | changes, headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def _move(api: TestClient, request_id: str, office: str, headers: dict[str, str]) -> None:
    path = f"/v1/service-requests/{request_id}"
    etag = api.get(path, headers=headers).headers["ETag"]
    assert api.patch(path, json={"office": office}, headers=headers | {"If-Match": etag}).status_code == 200


def _present(api: TestClient, head: dict[str, str], *subjects: str, **said: Any) -> None:
    for subject in subjects:
        assert api.put(f"{OFFICERS}/{subject}", json=said, headers=head).status_code == 200


def test_presence_is_said_by_oneself_or_the_head(
    api: TestClient, issuer: Issuer, officer: dict[str, str], head: dict[str, str]
) -> None:
    said = api.put(f"{OFFICERS}/me", json={"email": "ana@example.org"}, headers=officer)
    assert (said.json()["subject"], said.json()["available"]) == ("ana", True)
    assert api.put(f"{OFFICERS}/luis", json={}, headers=officer).status_code == 403
    today = clock.now().astimezone().date()
    _present(api, head, "luis", away_until=(today + timedelta(days=1)).isoformat())
    assert api.put(f"/v1/offices/{OTHER}/officers/me", json={}, headers=officer).status_code == 404
    assert (
        api.put("/v1/offices/nowhere/officers/me", json={}, headers=issuer.headers("funcionario:nowhere")).status_code
        == 404
    )
    listed = api.get(OFFICERS, params={"limit": 1}, headers=officer).json()
    assert [item["subject"] for item in listed["items"]] == ["ana"]
    more = api.get(OFFICERS, params={"limit": 1, "cursor": listed["next"]}, headers=officer).json()
    assert [(item["subject"], item["available"]) for item in more["items"]] == [("luis", False)]
    with clock.moved_to(clock.now() + timedelta(days=3)):
        assert api.get(OFFICERS, headers=head).json()["items"][1]["available"] is True
    with tx() as session:
        assert "ana@" not in str(session.execute(sa.text("select d::text from desk_officer d")).all())


def test_assignment_by_hand_and_in_bulk(
    api: TestClient, issuer: Issuer, officer: dict[str, str], head: dict[str, str]
) -> None:
    _present(api, head, "ana", "luis")
    first, second, moved, answered = (_file(api) for _ in range(4))
    path = f"/v1/service-requests/{first}/assignment"
    for _ in range(2):  # again changes nothing
        assert api.post(path, json={"subject": "ana"}, headers=officer).json()["assignee"] == "ana"
    refused = api.post(path, json={"subject": "nadie"}, headers=officer | {"Accept-Language": "es"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["reason"] == "No es una persona funcionaria de esa oficina."
    elsewhere = issuer.headers(f"funcionario:{OTHER}", sub="otro")
    assert api.post(path, json={"subject": "ana"}, headers=elsewhere).status_code == 404
    _move(api, moved, OTHER, officer)
    api.post(f"/v1/service-requests/{answered}/answer", json={"text": "Sí."}, headers=officer)
    body = {"notified_at": clock.now().isoformat(), "evidence": "Firma"}
    assert api.post(f"/v1/service-requests/{answered}/notification", json=body, headers=officer).status_code == 200
    ids = [first, second, moved, answered, str(uuid4())]
    done = api.post("/v1/assignments", json={"ids": ids, "subject": "ana"}, headers=head).json()["items"]
    assert [item["id"] for item in done] == ids
    assert [item["outcome"] for item in done] == ["unchanged", "assigned", "not_found", "ended", "not_found"]
    mine = api.get("/v1/service-requests", params={"assignee": "me"}, headers=officer).json()["items"]
    assert {item["id"] for item in mine} == {first, second}
    loads = api.get(OFFICERS, headers=officer).json()["items"]
    assert {item["subject"]: item["open_requests"] for item in loads} == {"ana": 2, "luis": 0}
    assert api.post(path, json={"subject": None}, headers=officer).json()["assignee"] is None
    assert api.post("/v1/assignments", json={"ids": [first] * 501, "subject": "ana"}, headers=head).status_code == 422
    with tx() as session:
        told = session.scalars(sa.select(HistoryEntry.request_id).where(HistoryEntry.kind == "assigned")).all()
    assert Counter(map(str, told)) == {first: 2, second: 1}


def test_who_only_sees_a_request_neither_assigns_nor_notes(
    api: TestClient, issuer: Issuer, officer: dict[str, str], head: dict[str, str]
) -> None:
    """An auditor sees every request; being an officer of another office makes none of them theirs."""
    _present(api, head, "ana")
    request = _file(api)
    auditor = issuer.headers("auditoria", f"funcionario:{OTHER}", sub="espia")
    path = f"/v1/service-requests/{request}"
    assert api.get(path, headers=auditor).status_code == 200
    for act, body in (("assignment", {"subject": "ana"}), ("notes", {"text": "x"})):
        refused = api.post(f"{path}/{act}", json=body, headers=auditor)
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:tejido:problem:not_of_the_office")
    assert api.get(f"{path}/receipt.pdf", headers=auditor).status_code == 403  # the tracking code is on it
    bulk = {"ids": [request], "subject": "ana"}
    items = api.post("/v1/assignments", json=bulk, headers=auditor).json()["items"]
    assert [item["outcome"] for item in items] == ["not_found"]
    assert api.get(path, headers=auditor).json()["assignee"] is None
    administrator = issuer.headers("administracion", sub="admin")
    items = api.post("/v1/assignments", json=bulk, headers=administrator).json()["items"]
    assert [item["outcome"] for item in items] == ["assigned"]
    assert api.post(f"{path}/notes", json={"text": "x"}, headers=administrator).status_code == 201


def test_saying_whether_one_is_there_leaves_the_address(api: TestClient, officer: dict[str, str]) -> None:
    for said, email in (
        ({"email": "ana@example.org"}, "ana@example.org"),
        ({"present": False}, "ana@example.org"),
        ({"email": None}, None),
        ({}, None),
    ):
        answer = api.put(f"{OFFICERS}/me", json=said, headers=officer)
        assert (answer.status_code, answer.json()["email"]) == (200, email), said


def test_balancing_gives_each_request_once_and_nothing_to_the_absent(
    api: TestClient, officer: dict[str, str], head: dict[str, str]
) -> None:
    assert api.post(BALANCE, headers=officer).json()["title"] == "No hay nadie presente"
    _present(api, head, "ana", "luis", "rosa")
    _present(api, head, "eva", present=False)
    _present(api, head, "iris", away_until="2999-01-01")
    held = [_file(api) for _ in range(4)]
    api.post("/v1/assignments", json={"ids": held, "subject": "rosa"}, headers=head)
    late = _file(api, officer, received_at=(clock.now() - timedelta(days=60)).isoformat())
    new = [_file(api) for _ in range(36)]
    elsewhere = _file(api)
    _move(api, elsewhere, OTHER, officer)
    first = api.post(BALANCE, json={"limit": 1}, headers=officer).json()
    assert (first["assigned"], first["left"]) == (1, 36)
    assert api.get(f"/v1/service-requests/{late}", headers=officer).json()["assignee"] == "ana"
    with ThreadPoolExecutor(8) as pool:
        bodies = list(pool.map(lambda _: api.post(BALANCE, json={"limit": 7}, headers=officer).json(), range(8)))
    assert sum(body["assigned"] for body in bodies) == 36
    assert min(body["left"] for body in bodies) == 0
    with tx() as session:
        rows = session.execute(sa.select(ServiceRequest.id, ServiceRequest.office, ServiceRequest.assignee)).all()
        told = session.scalars(sa.select(HistoryEntry.request_id).where(HistoryEntry.kind == "assigned")).all()
    assert Counter(row.assignee for row in rows if row.office == OFFICE) == {"ana": 14, "luis": 14, "rosa": 13}
    assert [row.assignee for row in rows if row.office == OTHER] == [None]
    assert max(Counter(told).values()) == 1
    assert {str(row.id) for row in rows if row.assignee} == {*held, *new, late}
    loads = api.get(OFFICERS, headers=officer).json()["items"]
    assert {item["subject"]: item["open_requests"] for item in loads} == {
        "ana": 14,
        "eva": 0,
        "iris": 0,
        "luis": 14,
        "rosa": 13,
    }


def test_notes_are_for_colleagues_only(api: TestClient, issuer: Issuer, officer: dict[str, str]) -> None:
    receipt = api.post("/v1/service-requests", json={"subject": "x"}).json()
    path = f"/v1/service-requests/{receipt['id']}/notes"
    for text in ("Llamar a Ñusta", "Ya llamé"):
        assert api.post(path, json={"text": text}, headers=officer).status_code == 201
    notes = api.get(path, headers=officer).json()["items"]
    assert [(note["author"], note["text"]) for note in notes] == [("ana", "Llamar a Ñusta"), ("ana", "Ya llamé")]
    elsewhere = issuer.headers(f"funcionario:{OTHER}")
    assert api.get(path, headers=elsewhere).status_code == 404
    assert api.post(path, json={"text": "x"}, headers=elsewhere).status_code == 404
    seen = api.get(f"/v1/tracking/{receipt['number']}", headers={"Tracking-Code": receipt["tracking_code"]})
    assert "Ñusta" not in seen.text
    with tx() as session:
        assert "Ñusta" not in str(session.execute(sa.text("select n::text from note n")).all())
        session.execute(sa.update(ServiceRequest).values(tombstoned_at=clock.now()))
    late = api.post(path, json={"text": "Era Ñusta"}, headers=officer)
    assert (late.status_code, late.json()["title"]) == (409, "Los datos personales ya se borraron")
