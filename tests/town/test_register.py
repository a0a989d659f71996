"""The register's journey in one process: two organizations enter, a mandate ends by the calendar, a double is merged, everybody follows."""

import importlib
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tejido_shared import clock
from tejido_shared.contracts import SERVICES
from tejido_shared.db import Database
from tejido_shared.settings import CommonSettings
from tejido_shared.testing import Issuer, TownInOneProcess

PDF = b"%PDF-1.4\n1 0 obj << >> endobj\ntrailer << >>\n%%EOF\n"
BEGIN = datetime.fromisoformat("2026-03-03T09:00:00-05:00")
GROUPS = {
    "registradora": "registro",
    "autoridad": "autoridad-registro",
    "funcionaria": "funcionario:atencion-ciudadania",
}


class Town:
    def __init__(self, databases: dict[str, Database], issuer: Issuer, clients: dict[str, TestClient]) -> None:
        workers = {name: importlib.import_module(f"tejido_{name}.worker").app for name in SERVICES}
        self._town = TownInOneProcess(workers, databases, CommonSettings())
        self._databases, self._issuer, self._clients = databases, issuer, clients

    def ask(self, service: str, method: str, path: str, who: str = "", seen: str = "", **content: Any) -> Any:
        content["headers"] = {"If-Match": seen} if seen else {}
        if who:
            group = GROUPS.get(who.partition("-")[0], who if ":" in who else "ciudadania")
            content["headers"] |= self._issuer.headers(group, sub=who)
        return self._clients[service].request(method, f"/v1{path}", follow_redirects=False, **content)

    def patch(self, key: str, who: str, **changes: Any) -> int:
        """Changes an organization as its reader saw it. Returns the status of the answer."""
        path = f"/organizations/{key}"
        seen = self.ask("registry", "GET", path, who).headers["ETag"]
        return int(self.ask("registry", "PATCH", path, who, json=changes, seen=seen).status_code)

    def do(self, service: str, method: str, path: str, who: str = "", **content: Any) -> Any:
        answer = self.ask(service, method, path, who, **content)
        assert answer.is_success, (path, answer.status_code, answer.text)
        return answer.json()

    def come_to_rest(self) -> None:
        self._town.until_quiet()

    def turn_calendar(self) -> None:
        from tejido_registry.renewal import tasks

        tasks.turn()
        self.come_to_rest()

    def letters(self, template: str) -> list[str]:
        """To whom letters of a kind were addressed."""
        with self._databases["notifications"].tx() as session:
            from tejido_notifications.models import Delivery

            of_it = sa.select(Delivery).where(Delivery.template == template, Delivery.channel == "email")
            return [one.recipient for one in session.scalars(of_it.order_by(Delivery.created_at))]


@pytest.fixture
def town(databases: dict[str, Database], issuer: Issuer) -> Iterator[Town]:
    with ExitStack() as stack:
        clients = {
            name: stack.enter_context(TestClient(importlib.import_module(f"tejido_{name}.app").create_app()))
            for name in SERVICES
        }
        yield Town(databases, issuer, clients)


def begin(town: Town, who: str, name: str, kind: str) -> str:
    contact = {"name": "Ana Niño", "email": f"{who}@correo.example"}
    body = {
        "name": name,
        "organization_type": kind,
        "legal_status": "incorporated",
        "territory": "Suba",
        "contacts": [contact],
    }
    return str(town.do("registry", "POST", "/organizations", who, json=body)["id"])


def hand_in(town: Town, key: str, who: str, *codes: str) -> None:
    for code in codes:
        files = {"file": (f"{code}.pdf", PDF + code.encode())}
        path = f"/organizations/{key}/documents"
        document = town.do("registry", "POST", path, who, files=files, data={"document_type": code})
        town.do("registry", "POST", f"{path}/{document['id']}/verify", "registradora-1", json={})


def file(town: Town, key: str, who: str) -> str:
    body = {"kind": "registration", "consent": True}
    application = town.do("registry", "POST", f"/organizations/{key}/applications", who, json=body)["id"]
    town.do("registry", "POST", f"/applications/{application}/take", "registradora-1")
    return str(application)


def board(town: Town, key: str, starts: datetime, ends: datetime) -> None:
    member = {
        "post": "Presidenta",
        "signs": True,
        "person": {"name": "Rosa Díaz", "document_kind": "cc", "document": "52000111"},
    }
    body = {"starts_on": str(starts.date()), "ends_on": str(ends.date()), "act": "Auto 7", "members": [member]}
    town.do("registry", "POST", f"/organizations/{key}/boards", "registradora-1", json=body)


def present(town: Town, key: str, title: str) -> Any:
    body = {"title": title, "organization_id": key, "need": "Falta un lugar para reunirse", "place": "La Peña"}
    return town.ask("projects", "POST", "/projects", f"representante:{key}", json=body)


def apply(town: Town, key: str) -> dict[str, Any]:
    [standing] = town.do("registry", "GET", f"/organizations/{key}/standing?purpose=apply")["standing"]
    return dict(standing)


def test_the_register(town: Town) -> None:
    with clock.moved_to(BEGIN):
        junta = begin(town, "vecina-1", "Junta de Acción Comunal La Peña", "community_action_board")
        grupo = begin(town, "vecina-2", "Fundación Semilla", "foundation")
        assert (
            town.ask("registry", "GET", f"/organizations/{junta}").status_code == 404
        )  # a draft is nobody else's business

        # One is corrected before it is registered, and nothing else of it changes meanwhile.
        papers = ("founding_minutes", "board_minutes", "statute")
        hand_in(town, junta, "vecina-1", *papers)
        hand_in(town, grupo, "vecina-2", *papers)
        application = file(town, junta, "vecina-1")
        asked = {"items": [{"item": "address", "reason": "Falta la dirección"}]}
        town.do("registry", "POST", f"/applications/{application}/ask-correction", "registradora-1", json=asked)
        assert town.patch(junta, "vecina-1", name="Otra") == 403
        assert town.patch(junta, "vecina-1", address="Calle 10 # 4-20") == 200
        town.do("registry", "POST", f"/applications/{application}/accept", "registradora-1", json={})
        other = file(town, grupo, "vecina-2")
        town.do("registry", "POST", f"/applications/{other}/accept", "registradora-1", json={})
        town.come_to_rest()
        assert sorted(town.letters("registry_application_received")) == [
            "vecina-1@correo.example",
            "vecina-2@correo.example",
        ]
        assert town.letters("registry_correction_asked") == ["vecina-1@correo.example"]
        assert sorted(town.letters("registry_application_decided")) == [
            "vecina-1@correo.example",
            "vecina-2@correo.example",
        ]

        # Without authorities it may not apply, and projects knows.
        assert apply(town, junta)["allowed"] is False
        refused = present(town, junta, "Salón comunal")
        assert refused.status_code == 409, refused.text
        ends = BEGIN + timedelta(days=120)
        board(town, junta, BEGIN, ends)
        board(town, grupo, BEGIN, BEGIN + timedelta(days=1000))
        town.come_to_rest()
        assert apply(town, junta) == apply(town, junta) | {"allowed": True, "reasons": []}
        first = present(town, junta, "Salón comunal")
        assert first.status_code == 201, first.text

    with clock.moved_to(ends - timedelta(days=30)):
        town.turn_calendar()
        town.turn_calendar()
        assert town.letters("registry_renewal_due") == ["vecina-1@correo.example"]
        assert apply(town, junta)["allowed"] is True

    with clock.moved_to(ends + timedelta(days=1)):
        town.turn_calendar()
        standing = apply(town, junta)
        assert (standing["allowed"], [one["code"] for one in standing["reasons"]]) == (False, ["mandate_expired"])
        refused = present(town, junta, "Huerta")
        assert refused.status_code == 409
        assert standing["reasons"][0]["text"] in refused.text
        assert present(town, grupo, "Biblioteca").status_code == 201

        # The same board, entered a second time by somebody else, who already has projects and requests.
        double = {"name": "J.A.C. La Peña", "organization_type": "community_action_board", "territory": "Suba"}
        double |= {"registration_status": "registered", "legal_status": "incorporated"}
        old = town.do("registry", "POST", "/organizations", "registradora-1", json=double)["id"]
        board(town, old, clock.now(), clock.now() + timedelta(days=400))
        town.come_to_rest()
        second = present(town, old, "Parque")
        assert second.status_code == 201, second.text
        request = {"subject": "Poda de árboles", "organization_id": old}
        town.do("requests", "POST", "/service-requests", f"representante:{old}", json=request)
        certificate = town.do("registry", "POST", f"/organizations/{junta}/certificates", "registradora-1")

        merge = {"survivor_id": junta, "absorbed_id": old, "reason": "La misma junta, la misma presidenta"}
        merge = town.do("registry", "POST", "/merges", "registradora-1", json=merge)
        confirm = f"/merges/{merge['id']}/confirmation"
        assert town.ask("registry", "POST", confirm, "registradora-1").status_code in (403, 409)
        town.do("registry", "POST", confirm, "registradora-2")
        town.come_to_rest()
        moved = town.ask("registry", "GET", f"/organizations/{old}")
        assert (moved.status_code, moved.headers["Location"].endswith(junta)) == (308, True)
        projects = town.do("projects", "GET", f"/projects?organization_id={junta}")["items"]
        assert {one["title"] for one in projects} == {"Salón comunal", "Parque"}
        assert {one["organization_id"] for one in projects} == {junta}
        found = town.do("requests", "GET", f"/service-requests?organization_id={junta}", "funcionaria-1")["items"]
        assert [one["subject"] for one in found] == ["Poda de árboles"]
        # The new authorities came with the double: who is in office there now signs for the one they are.
        assert apply(town, junta)["allowed"] is True
        assert present(town, junta, "Huerta").status_code == 201

        assert town.do("registry", "GET", f"/certificates/{certificate['code']}")["status"] == "valid"
        why = {"reason": "Se emitió por error"}
        town.do("registry", "POST", f"/certificates/{certificate['code']}/revocation", "registradora-1", json=why)
        assert town.do("registry", "GET", f"/certificates/{certificate['code']}")["status"] == "revoked"

        # Undone, each is what it was, everywhere.
        town.do("registry", "POST", f"/merges/{merge['id']}/undoing", "registradora-1", json={"reason": "Eran dos"})
        town.come_to_rest()
        assert town.ask("registry", "GET", f"/organizations/{old}").status_code == 200
        projects = town.do("projects", "GET", f"/projects?organization_id={old}")["items"]
        assert [one["title"] for one in projects] == ["Parque"]
        found = town.do("requests", "GET", f"/service-requests?organization_id={junta}", "funcionaria-1")["items"]
        assert found == []
        assert [one["code"] for one in apply(town, junta)["reasons"]] == ["mandate_expired"]
