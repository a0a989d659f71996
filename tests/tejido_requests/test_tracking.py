"""The citizen's side, with number and code and no account."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient

from tejido_requests.db import tx
from tejido_requests.models import HistoryEntry, Rating, ServiceRequest
from tejido_shared import clock
from tejido_shared.testing import Issuer

ZONE = ZoneInfo("America/Bogota")
MONDAY = datetime(2026, 3, 2, 10, tzinfo=ZONE)


class Citizen:
    """Somebody with a receipt in hand."""

    def __init__(self, api: TestClient) -> None:
        self.api = api
        person = {"name": "Ana Niño", "identification": "CC 52123456", "email": "ana@example.org", "phone": "300555"}
        body = {"subject": "Bache en la calle de Ana", "petitioner": person}
        self.receipt = api.post("/v1/service-requests", json=body).json()
        self.id = self.receipt["id"]

    def see(self, number: str = "") -> dict[str, Any]:
        answer = self.api.get(f"/v1/tracking/{number or self.receipt['number']}", headers=self.code)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    @property
    def code(self) -> dict[str, str]:
        return {"Tracking-Code": self.receipt["tracking_code"]}

    def post(self, act: str, body: dict[str, Any], **headers: str) -> Any:
        path = f"/v1/tracking/{self.receipt['number'].lower()}/{act}"
        return self.api.post(path, json=body, headers=self.code | headers)


ACTS: dict[str, dict[str, Any]] = {
    "completion": {"text": "x"},
    "withdrawal": {},
    "rating": {"stars": 3},
    "dispute": {"reasons": "x"},
}


def _desk(api: TestClient, officer: dict[str, str], request_id: str, act: str, body: dict[str, Any]) -> None:
    answer = api.post(f"/v1/service-requests/{request_id}/{act}", json=body, headers=officer)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("act", "body"), ACTS.items())
def test_without_the_code_nothing_is_there(api: TestClient, act: str, body: dict[str, Any]) -> None:
    citizen = Citizen(api)
    number = citizen.receipt["number"]
    for path, code in ((number, "WRONG"), ("BOG-2026-000099-00", citizen.receipt["tracking_code"])):
        answer = api.post(f"/v1/tracking/{path}/{act}", json=body, headers={"Tracking-Code": code})
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:tejido:problem:not_found")
    assert citizen.see()["status"] == "received"
    # Nor does the key of an act that was done open it to whoever has not the code.
    key = {"Idempotency-Key": str(uuid4())}
    first = citizen.post("withdrawal", {}, **key)
    again = citizen.post("withdrawal", {}, **key)
    assert (first.status_code, again.json()) == (200, first.json())
    path = f"/v1/tracking/{number.lower()}/withdrawal"
    assert api.post(path, json={}, headers=key | {"Tracking-Code": "WRONG"}).status_code == 404


def test_what_is_asked_is_shown_and_given_at_any_hour(api: TestClient, officer: dict[str, str]) -> None:
    with clock.moved_to(MONDAY):
        citizen = Citizen(api)
        assert citizen.see()["asked"] is None
        assert citizen.post("completion", {"text": "x"}).json()["type"].endswith("not_paused")
    with clock.moved_to(MONDAY + timedelta(days=1)):
        _desk(api, officer, citizen.id, "completion-requests", {"what": "¿En qué calle?"})
        seen = citizen.see()
        assert seen["asked"] == {"what": "¿En qué calle?", "until": "2026-04-06"}
        assert (seen["clock"]["due_date"], seen["clock"]["days_left"]) == (None, 14)
    with clock.moved_to(datetime(2026, 3, 8, 3, 30, tzinfo=ZONE)):  # before dawn on a Sunday
        seen = citizen.post("completion", {"text": "Calle 13"}).json()
        assert (seen["status"], seen["asked"]) == ("received", None)
        assert seen["clock"]["due_date"] == "2026-03-27"
        paused = [day["why_not"] for day in seen["clock"]["days"] if day["day"] == "2026-03-05"]
        assert paused == ["en pausa desde el 3 de marzo de 2026, cuando se pidió completar la solicitud"]
        with tx() as session:
            kept = session.query(HistoryEntry).filter_by(kind="completed").one()
            assert (kept.reason, kept.author, kept.details) == ("Calle 13", None, {})


def test_an_answer_is_rated_once_and_only_after_it_arrived(api: TestClient, officer: dict[str, str]) -> None:
    citizen = Citizen(api)
    assert citizen.post("rating", {"stars": 5}).json()["type"].endswith("not_notified")
    _desk(api, officer, citizen.id, "answer", {"text": "Se tapó."})
    assert citizen.post("rating", {"stars": 5}).status_code == 409
    evidence = {"notified_at": clock.now().isoformat(), "evidence": "Firma"}
    _desk(api, officer, citizen.id, "notification", evidence)
    seen = citizen.see()
    assert (seen["may_rate"], seen["answer"]) == (True, "Se tapó.")
    assert seen["answer_number"].startswith("BOG-S-")
    for stars in (0, 6):
        assert citizen.post("rating", {"stars": stars}).status_code == 422
    rated = citizen.post("rating", {"stars": 4, "comment": "Rápido, gracias a Rosa"})
    assert (rated.status_code, rated.json()["may_rate"]) == (200, False)
    assert citizen.post("rating", {"stars": 1}).json()["type"].endswith("rated_already")
    with tx() as session:
        (kept,) = session.query(Rating).all()
        assert (kept.stars, kept.comment) == (4, "Rápido, gracias a Rosa")


def test_what_was_erased_takes_no_comment(api: TestClient, officer: dict[str, str]) -> None:
    citizen = Citizen(api)
    _desk(api, officer, citizen.id, "answer", {"text": "Se tapó."})
    _desk(api, officer, citizen.id, "notification", {"notified_at": clock.now().isoformat(), "evidence": "Firma"})
    with tx() as session:
        session.get_one(ServiceRequest, UUID(citizen.id)).tombstoned_at = clock.now()
    assert citizen.post("rating", {"stars": 4, "comment": "Ana"}).json()["type"].endswith("request_erased")
    assert citizen.see()["may_rate"] is False


def test_a_disputed_answer_opens_a_new_request_under_the_same_code(api: TestClient, officer: dict[str, str]) -> None:
    citizen = Citizen(api)
    _desk(api, officer, citizen.id, "answer", {"text": "No hay bache."})
    _desk(api, officer, citizen.id, "notification", {"notified_at": clock.now().isoformat(), "evidence": "Firma"})
    first = citizen.see()
    answer = citizen.post("dispute", {"reasons": "Sí lo hay: vean la foto"})
    assert answer.status_code == 201
    new = answer.json()
    assert (new["status"], new["answer"]) == ("received", None)
    assert new["number"] != first["number"]
    assert citizen.see(new["number"])["clock"]["due_date"] == new["clock"]["due_date"]
    now = citizen.see()
    assert now["reopened_as"] == new["number"]
    assert {name: now[name] for name in ("status", "clock", "notified_at")} == {
        name: first[name] for name in ("status", "clock", "notified_at")
    }
    assert citizen.post("dispute", {"reasons": "x"}).json()["type"].endswith("reopened_already")
    listed = api.get("/v1/service-requests", headers=officer).json()["items"]
    assert {item["number"] for item in listed} == {now["number"], new["number"]}


def test_nothing_that_is_shown_names_a_person(api: TestClient, officer: dict[str, str]) -> None:
    citizen = Citizen(api)
    _desk(api, officer, citizen.id, "completion-requests", {"what": "La calle"})
    shown = [citizen.see(), citizen.post("completion", {"text": "Donde Ana"}).json()]
    _desk(api, officer, citizen.id, "answer", {"text": "Va una parte.", "kind": "partial"})
    shown += [citizen.see(), citizen.post("withdrawal", {"reasons": "Ya no, Ana"}).json()]
    assert shown[-1]["status"] == "withdrawn"
    for secret in ("Ana", "52123456", "ana@example.org", "300555", "funcionaria-1", citizen.receipt["tracking_code"]):
        assert secret not in str(shown)


def test_strangers_are_counted(api: TestClient, issuer: Issuer) -> None:
    citizen = Citizen(api)
    limit = api.app.state.rate_limit  # type: ignore[attr-defined]
    try:
        api.app.state.rate_limit = type(limit)("2/minute")  # type: ignore[attr-defined]
        codes = [citizen.post("rating", {"stars": 3}).status_code for _ in range(3)]
    finally:
        api.app.state.rate_limit = limit  # type: ignore[attr-defined]
    assert codes == [409, 409, 429]
