"""The first journey, on real input: a register, a project, a petition, its count, its alarm, its answer.

Told once and travelled at two depths: in one process with a moved clock (`test_journey.py`), and over HTTP from outside with a
petition that was received in the past (`journey_http.py`).
"""

import csv
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4


class Town(Protocol):
    """The ways a depth of the journey has to call the services, to look into the mailbox, and to let things happen."""

    def call(self, method: str, service: str, path: str, who: str | None = None, **options: Any) -> Any:
        """An HTTP answer. `who` is one of registro, funcionaria, auditoria, representante:<uuid>, or nobody."""

    def mails(self, to: str) -> list[dict[str, Any]]:
        """The messages to an address, each with subject and text."""

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Lets the town work until the condition is true."""

    def at(self, instant: datetime) -> AbstractContextManager[object]:
        """Within the block it is that time, where the depth can do so."""

    received_in_the_past: bool
    """Whether the petition is entered late instead of the clock being moved."""


@dataclass(frozen=True)
class Register:
    """A register of organizations to import, and one of it to follow."""

    file: Path
    mapping: dict[str, Any]
    wanted: str


def real_or_invented_register(handouts: Path, folder: Path) -> Register:
    """The associations of a Spanish town, published by it; where the hand-outs are missing, a few invented ones in the same columns."""
    file = handouts / "organizations" / "asociaciones_alcala.csv"
    wanted = "centro juvenil cisneros"
    if not file.is_file():
        file = folder / "asociaciones.csv"
        with file.open("w", newline="") as out:
            table = csv.writer(out)
            table.writerow(["ASOCIACION", "SIGLAS", "TIPO", "DOMICILIO", "CP", "DISTRITO", "CLASIFICADA EN"])
            for name in ("CENTRO JUVENIL CISNEROS", "JUNTA DEL BARRIO LA PEÑA", "AMIGOS DE LA BIBLIOTECA"):
                table.writerow([name, "", "", "C/ MAYOR 1", "28801", "I", "VECINALES"])
    mapping = {
        "columns": {"name": "ASOCIACION", "address": "DOMICILIO", "territory": "DISTRITO"},
        "constants": {"organization_type": "social_organization"},
    }
    return Register(file, mapping, wanted)


def travel(
    town: Town, register: Register, received: datetime, due: str, due_in_words: str, overdue: datetime, not_counted: str
) -> dict[str, Any]:
    """Goes the whole way and returns what the tracking showed at the end."""
    email = f"vecina-{uuid4().hex[:12]}@example.org"
    with town.at(received):
        organization = _import(town, register)
        project = _present(town, organization)
        receipt = _petition(town, project, email, received)
        assert receipt["clock"]["due_date"] == due
        town.until(lambda: len(town.mails(email)) == 1, "the acknowledgement")
    (acknowledgement,) = town.mails(email)
    assert acknowledgement["subject"].endswith(f"le responderemos a más tardar el {due_in_words}")
    for said in (receipt["number"], receipt["tracking_code"], due_in_words, not_counted, "día 15"):
        assert said in acknowledgement["text"], f"{said!r} not in {acknowledgement['text']}"

    with town.at(overdue):
        head = _head_of(receipt["office"])
        town.until(lambda: _alerts(town, receipt["id"]), "the alert to the office's head")
        (alert,) = _alerts(town, receipt["id"])
        created, due_at = (datetime.fromisoformat(alert[name] or alert["created_at"]) for name in _WHEN)
        if due_at < created + timedelta(hours=1):  # else it is night or Sunday, and it waits until the offices open
            town.until(lambda: _alarms(town.mails(head), receipt["number"]), "its mail")
            assert len(_alarms(town.mails(head), receipt["number"])) == 1
        answer = {"text": "La cuadrilla arregla la luminaria el martes."}
        path = f"/v1/service-requests/{receipt['id']}/answer"
        key = {"Idempotency-Key": str(uuid4())}
        for _ in range(2):
            answered = town.call("POST", "requests", path, "funcionaria", json=answer, headers=key)
            assert answered.status_code == 200, answered.text
        town.until(lambda: len(town.mails(email)) == 2, "the answer")
        assert any(answer["text"] in mail["text"] for mail in town.mails(email))

        def track() -> dict[str, Any]:
            code = {"Tracking-Code": receipt["tracking_code"]}
            return dict(town.call("GET", "requests", f"/v1/tracking/{receipt['number']}", headers=code).json())

        town.until(lambda: track()["status"] == "notified", "the proof of notification")
        seen = track()
    # A letter is acknowledged once its mail was delivered, whenever that was; what came by web was so at once.
    kinds = [entry["kind"] for entry in seen["history"] if entry["kind"] != "acknowledged"]
    assert kinds == ["received", "overdue", "answered", "notified"]
    assert seen["answer"] == answer["text"]
    assert seen["clock"]["overdue"] is True
    assert seen["project"] == project["title"]
    return seen


def _import(town: Town, register: Register) -> dict[str, Any]:
    def run(dry_run: bool) -> dict[str, Any]:
        answer = town.call(
            "POST",
            "registry",
            "/v1/imports",
            "registro",
            files={"file": (register.file.name, register.file.read_bytes(), "text/csv")},
            data={"mapping": json.dumps(register.mapping), "source": "asociaciones", "dry_run": str(dry_run).lower()},
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    tried = run(dry_run=True)
    assert tried["applied"] is False
    done = run(dry_run=False)
    assert (done["created"], done["unchanged"]) == (tried["created"], tried["unchanged"])
    again = run(dry_run=False)
    assert (again["created"], again["changed"]) == (0, 0)
    found = town.call("GET", "registry", "/v1/organizations", params={"q": register.wanted}).json()["items"]
    assert found, register.wanted
    # Whoever presents a project has authorities in office.
    member = {"post": "Presidenta", "signs": True, "person": {"name": "Rosa Díaz"}}
    body = {"starts_on": "2026-01-01", "ends_on": "2029-12-31", "act": "Acta 1", "members": [member]}
    path = f"/v1/organizations/{found[0]['id']}/boards"
    # Whoever goes the way a second time repeats the same write.
    key = {"Idempotency-Key": f"board-of-{found[0]['id']}"}
    recorded = town.call("POST", "registry", path, "registro", json=body, headers=key)
    assert recorded.status_code == 201, recorded.text
    return dict(found[0])


def _present(town: Town, organization: dict[str, Any]) -> dict[str, Any]:
    """The projects service knows the organization and its standing from events alone; until they arrive it says so."""
    body = {
        "organization_id": organization["id"],
        "title": "Luz para la cancha del barrio",
        "need": "De noche no se puede usar la cancha",
        "place": "Parque del barrio",
    }
    presented: list[Any] = []

    def present() -> bool:
        answer = town.call("POST", "projects", "/v1/projects", f"representante:{organization['id']}", json=body)
        if answer.status_code == 201:
            presented.append(answer.json())
        else:
            early = answer.status_code == 409 and answer.json()["type"].endswith(":standing")  # not with its new board
            assert early or answer.status_code == 422, answer.text
        return answer.status_code == 201

    town.until(present, "the project")
    return dict(presented[0])


def _petition(town: Town, project: dict[str, Any], email: str, received: datetime) -> dict[str, Any]:
    body: dict[str, Any] = {
        "subject": "La luminaria de la cancha no enciende",
        "petitioner": {"name": "Rosa Peña", "email": email},
        "project_id": project["id"],
    }
    who = None
    if town.received_in_the_past:
        who = "funcionaria"
        body |= {"received_at": received.isoformat(), "channel": "letter"}
    answer = town.call(
        "POST", "requests", "/v1/service-requests", who, json=body, headers={"Idempotency-Key": str(uuid4())}
    )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def _alerts(town: Town, request_id: str) -> list[dict[str, Any]]:
    """The messages that tell of the overdue request."""
    asked = {"about": request_id, "template": "requests_became_overdue"}
    found = town.call("GET", "notifications", "/v1/deliveries", "auditoria", params=asked).json()["items"]
    return [message for message in found if message["channel"] == "email"]


_WHEN = ("created_at", "next_attempt_at")


def _alarms(mails: list[dict[str, Any]], number: str) -> list[dict[str, Any]]:
    """What says that a request is overdue."""
    return [mail for mail in mails if mail["subject"].startswith("Vencida: ") and number in mail["subject"]]


def _head_of(office: str) -> str:
    from tejido_shared.jurisdiction import load

    return load(Path(__file__).parent.parent.parent / "jurisdictions" / "co-bogota").office(office).head_email
