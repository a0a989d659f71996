"""Presenting, correcting and finding projects over HTTP."""

import csv
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tejido_projects.db import tx
from tejido_projects.models import Project
from tejido_projects.service import NUMBER_PATTERN
from tejido_shared import clock
from tejido_shared.jurisdiction import parse_receipt_number
from tejido_shared.testing import Issuer


def _body(organization: str, **changes: Any) -> dict[str, Any]:
    return {
        "organization_id": organization,
        "title": "Cancha múltiple Villa Niza",
        "need": "La cancha está agrietada y sin luz",
        "place": "Parque Villa Niza",
        **changes,
    }


@pytest.fixture
def project(api: TestClient, organization: str, representative: dict[str, str]) -> dict[str, Any]:
    answer = api.post("/v1/projects", json=_body(organization), headers=representative)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_a_project_is_presented_with_its_whole_inventory_entry(
    api: TestClient, organization: str, representative: dict[str, str]
) -> None:
    body = _body(
        organization,
        summary="Losa nueva",
        locality="Usaquén",
        point={"longitude": -74.03, "latitude": 4.7},
        estimated_cost="15400000.50",
    )
    with clock.moved_to(datetime(2026, 12, 31, 23, 30, tzinfo=UTC)):
        made = api.post("/v1/projects", json=body, headers=representative).json()
    assert parse_receipt_number(NUMBER_PATTERN, made["number"]) == (2026, 1)
    with clock.moved_to(datetime(2027, 1, 3, 5, 30, tzinfo=UTC)):  # 00:30 in Bogotá
        seen = api.get(f"/v1/projects/{made['id']}")
        assert (
            api.post("/v1/projects", json=body, headers=representative).json()["number"].startswith("PRY-2027-00001-")
        )
    assert seen.headers["ETag"] == '"1"'
    assert seen.json() == made | {"days_in_stage": 3, "history": [made["history"][0] | {"author": None}]}
    assert (made["estimated_cost"], made["currency"]) == ("15400000.50", "COP")
    assert (made["organization_name"], made["locality"]) == ("Junta de Acción Comunal Villa Niza", "Usaquén")
    assert (made["stage"], made["stage_name"], made["next_step_on"]) == ("submitted", "Presentado", "2027-01-15")
    assert made["next_step"] == "La secretaría técnica comienza la verificación"
    assert "representante-1" not in seen.text


def test_who_may_present(
    api: TestClient, issuer: Issuer, organization: str, officer: dict[str, str], representative: dict[str, str]
) -> None:
    def present(headers: dict[str, str] | None, organization_id: str = organization) -> int:
        return api.post("/v1/projects", json=_body(organization_id), headers=headers).status_code

    assert present(None) == 401
    assert present(issuer.headers("ciudadania")) == 403
    assert present(issuer.headers("auditoria")) == 403
    assert present(issuer.headers(f"representante:{uuid4()}")) == 403
    assert present(representative, str(uuid4())) == 403
    assert present(representative) == 201
    assert present(officer) == 201
    assert present(issuer.headers("evaluacion")) == 201
    assert present(officer, str(uuid4())) == 422


def test_what_is_wrong_is_named(api: TestClient, organization: str, officer: dict[str, str]) -> None:
    def fault(**changes: Any) -> tuple[str, str]:
        answer = api.post("/v1/projects", json=_body(organization, **changes), headers=officer)
        assert answer.status_code == 422
        error = answer.json()["errors"][0]
        return error["field"], error["code"]

    assert fault(stage="in_execution") == ("body.stage", "stage_not_initial")
    assert fault(stage="nonsense") == ("body.stage", "stage_not_initial")
    assert fault(title="  ") == ("body.title", "string_too_short")
    assert fault(need="a\x00b") == ("body.need", "string_pattern_mismatch")
    assert fault(point={"longitude": 200, "latitude": 0}) == ("body.point.longitude", "less_than_equal")
    assert fault(estimated_cost=-1)[0] == "body.estimated_cost"
    assert fault(estimated_cost="NaN")[0] == "body.estimated_cost"
    assert fault(estimated_cost="0.001")[0] == "body.estimated_cost"


def test_the_same_key_presents_once_even_at_the_same_time(
    api: TestClient, organization: str, representative: dict[str, str]
) -> None:
    def present(key: str, title: str = "Uno") -> Any:
        headers = {**representative, "Idempotency-Key": key}
        return api.post("/v1/projects", json=_body(organization, title=title), headers=headers)

    with ThreadPoolExecutor(8) as pool:
        answers = [answer.json() for answer in pool.map(present, ["k1"] * 16)]
    assert all(answer == answers[0] for answer in answers)
    assert present("k1", "Otro").json()["errors"][0]["code"] == "key_reused"
    with ThreadPoolExecutor(8) as pool:
        numbers = [answer.json()["number"] for answer in pool.map(present, [f"n{n}" for n in range(20)])]
    assert sorted(parse_receipt_number(NUMBER_PATTERN, number).sequence for number in numbers) == list(range(2, 22))
    with tx() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Project)) == 21


def test_an_organization_corrects_its_project_while_the_stage_admits_it(
    api: TestClient,
    project: dict[str, Any],
    issuer: Issuer,
    representative: dict[str, str],
    officer: dict[str, str],
) -> None:
    path = f"/v1/projects/{project['id']}"

    def patch(who: dict[str, str], version: int | None, **changes: Any) -> Any:
        match = {} if version is None else {"If-Match": f'"{version}"'}
        return api.patch(path, json=changes, headers={**who, **match})

    assert patch(representative, None, title="B").status_code == 428
    changed = patch(representative, 1, title="B", estimated_cost=10, point={"longitude": 1, "latitude": 2})
    assert changed.headers["ETag"] == '"2"'
    assert changed.json() == project | {
        "version": 2,
        "title": "B",
        "estimated_cost": "10.00",
        "point": {"longitude": 1.0, "latitude": 2.0},
        "history": changed.json()["history"],
    }
    assert patch(representative, 1, title="C").status_code == 412
    assert patch(representative, 2, point=None).json()["point"] is None
    assert patch(representative, 3, title=None).status_code == 422
    assert patch(representative, 3, next_step="Ya").json()["errors"][0]["code"] == "only_the_municipality"
    assert patch(issuer.headers(f"representante:{uuid4()}"), 3, title="C").status_code == 403
    planned = patch(officer, 3, next_step="Visita al predio", next_step_on="2027-02-01").json()
    assert (planned["next_step"], planned["next_step_on"]) == ("Visita al predio", "2027-02-01")
    moved = api.post(f"{path}/stage", json={"to": "eligibility"}, headers=officer).json()
    assert moved["next_step"] == "La secretaría técnica informa el resultado de la verificación"
    assert moved["next_step_on"] != "2027-02-01"
    assert patch(representative, 5, title="C").json()["type"] == "urn:tejido:problem:not_editable"
    assert patch(officer, 5, title="C").json()["title"] == "C"


def test_the_history_of_a_project_is_whole(
    api: TestClient, project: dict[str, Any], representative: dict[str, str], officer: dict[str, str], issuer: Issuer
) -> None:
    path, evaluator = f"/v1/projects/{project['id']}", issuer.headers("evaluacion", sub="evaluadora-1")
    for who, to, reason in (
        (officer, "eligibility", None),
        (officer, "correction", "Falta el acta de asamblea"),
        (representative, "eligibility", "Se adjunta el acta"),
        (evaluator, "not_viable", "El predio no es público"),
    ):
        answer = api.post(f"{path}/stage", json={"to": to, "reason": reason}, headers=who)
        assert answer.status_code == 200, answer.text
    seen = api.get(path, headers=issuer.headers("auditoria")).json()["history"]
    assert [(e["from_stage"], e["to_stage"], e["author"], e["reason"]) for e in seen] == [
        (None, "submitted", "representante-1", None),
        ("submitted", "eligibility", "funcionaria-1", None),
        ("eligibility", "correction", "funcionaria-1", "Falta el acta de asamblea"),
        ("correction", "eligibility", "representante-1", "Se adjunta el acta"),
        ("eligibility", "not_viable", "evaluadora-1", "El predio no es público"),
    ]
    assert [e["at"] for e in seen] == sorted(e["at"] for e in seen)
    anybody = api.get(path, headers={"Accept-Language": "en"}).json()
    assert {e["author"] for e in anybody["history"]} == {None}
    assert anybody["stage_name"] == "Not viable"
    assert anybody["next_step"].startswith("The municipality guides the organization")


def test_the_inventory_is_public_filtered_sorted_and_paged(
    api: TestClient, organization: str, officer: dict[str, str]
) -> None:
    for day, title in ((1, "Ñandubay"), (2, "álamo"), (3, "Zorzal"), (4, "Nogal"), (5, "Árbol")):
        with clock.moved_to(datetime(2026, 6, day, 23, 59, tzinfo=UTC)):
            body = _body(organization, title=title, locality="Ciudad Bolívar" if day % 2 else "Usme")
            if day == 5:
                body["stage"] = "idea"
            assert api.post("/v1/projects", json=body, headers=officer).status_code == 201

    def titles(**asked: Any) -> list[str]:
        answer = api.get("/v1/projects", params=asked)
        assert answer.status_code == 200, answer.text
        return [item["title"] for item in answer.json()["items"]]

    assert titles() == ["Árbol", "Nogal", "Zorzal", "álamo", "Ñandubay"]
    assert titles(sort="presented_at")[0] == "Ñandubay"
    assert titles(sort="title") == ["álamo", "Árbol", "Ñandubay", "Nogal", "Zorzal"]
    assert titles(stage="idea") == ["Árbol"]
    assert titles(locality="ciudad bolivar", sort="title") == ["Árbol", "Ñandubay", "Zorzal"]
    assert titles(presented_from="2026-06-02", presented_until="2026-06-03") == ["Zorzal", "álamo"]
    assert titles(presented_from="0001-01-01", presented_until="9999-12-31") == titles()
    assert len(titles(organization_id=organization)) == 5
    assert titles(organization_id=str(uuid4())) == []
    assert api.get("/v1/projects", params={"nonsense": 1}).status_code == 422
    assert api.get("/v1/projects", params={"q": "\x00"}).status_code == 422
    assert api.get(f"/v1/projects/{uuid4()}").status_code == 404

    for sort in ("title", "-title", "presented_at", "-presented_at"):
        walked, cursor = [], None
        while True:
            page = api.get(
                "/v1/projects",
                params={"sort": sort, "limit": 2, "cursor": cursor} if cursor else {"sort": sort, "limit": 2},
            ).json()
            walked += [item["title"] for item in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert walked == titles(sort=sort)


def test_the_ideas_of_san_miguel_de_tucuman_are_presented_and_found(
    api: TestClient, organization: str, officer: dict[str, str], handouts: Path
) -> None:
    source = handouts / "data" / "participatory-budget" / "smt" / "proyectos_pp2025.csv"
    if not source.is_file():
        pytest.skip(f"no {source}")
    with source.open(encoding="utf-8", newline="") as file:
        ideas = list(csv.DictReader(file))
    assert len(ideas) == 100
    for idea in ideas:
        body = _body(
            organization,
            title=idea["titulo"],
            need=idea["categoria"],
            place=idea["barrio"].strip() or f"Distrito {idea['distrito']}",
            locality=f"Distrito {idea['distrito']}",
            point={"longitude": float(idea["lon"]), "latitude": float(idea["lat"])} if idea["lat"] else None,
            stage="idea",
        )
        answer = api.post("/v1/projects", json=body, headers=officer)
        assert answer.status_code == 201, (idea, answer.text)

    def found(q: str, **asked: Any) -> list[dict[str, Any]]:
        answer = api.get("/v1/projects", params={"q": q, "limit": 200, **asked})
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])

    listed = api.get("/v1/projects", params={"limit": 200, "sort": "presented_at"}).json()["items"]
    assert [item["title"] for item in listed] == [idea["titulo"].strip() for idea in ideas]
    assert [parse_receipt_number(NUMBER_PATTERN, item["number"]).sequence for item in listed] == list(range(1, 101))
    assert sum(item["point"] is not None for item in listed) == 34
    for plain, accented in (("playon deportivo", "PLAYÓN Deportivo"), ("ninos", "niños"), ("sali", "Salì")):
        assert found(plain) == found(accented) != []
    assert [item["title"] for item in found("zenon santillan")] == [
        "Puesta en Valor Plaza Democracia- Barrio Casino-Zenón Santillan-"
    ]
    assert len(found("contencion san cayetano")) >= 2
    assert found("revalorizac turist") != []
    assert found("innovacion urbana", locality="distrito 1") != []
    assert found(listed[41]["number"]) == [listed[41]]
    assert found("***") == []
    for title in {idea["titulo"] for idea in ideas}:
        assert title.strip() in {item["title"] for item in found(title)}
