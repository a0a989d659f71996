"""The petition desk over HTTP."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tejido_requests import settings as service
from tejido_requests.clocks import tasks
from tejido_requests.db import tx
from tejido_requests.events import HANDLERS
from tejido_requests.models import ServiceRequest
from tejido_shared import clock, contracts, seam
from tejido_shared.contracts import envelope_of
from tejido_shared.inbox import receive
from tejido_shared.jurisdiction import parse_receipt_number
from tejido_shared.testing import Issuer

OFFICE = "atencion-ciudadania"
KEY, OTHER_KEY = str(uuid4()), str(uuid4())


def _file(api: TestClient, **changes: Any) -> dict[str, Any]:
    body = {"subject": "Hay un bache frente al colegio", "petitioner": {"name": "Ana Niño", "email": "ana@example.org"}}
    answer = api.post("/v1/service-requests", json=body | changes)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def _events() -> list[dict[str, Any]]:
    with tx() as session:
        return list(session.scalars(sa.select(seam.outbox.c.envelope).order_by(seam.outbox.c.id)))


def test_a_petition_gets_a_number_a_due_date_and_its_count(api: TestClient) -> None:
    with clock.moved_to(datetime(2026, 3, 27, 23, 30, tzinfo=UTC)):  # Friday 18:30 in Bogotá, before Holy Week
        receipt = _file(api)
    made = receipt["clock"]
    assert (made["due_date"], made["term"]) == ("2026-04-21", "15 días hábiles")
    assert made["overdue_at"] == "2026-04-22T00:00:00-05:00"
    assert [day["ordinal"] for day in made["days"] if day["ordinal"]] == list(range(1, 16))
    reasons = {day["day"]: day["why_not"] for day in made["days"] if day["ordinal"] is None}
    assert "Jueves Santo" in reasons["2026-04-02"]
    assert "Ley 51" in reasons["2026-04-02"]
    assert reasons["2026-03-28"] == "fin de semana"
    (event,) = _events()
    assert event["type"] == "requests.submitted"
    assert event["data"]["number"] == receipt["number"]


def test_no_personal_data_leaves_in_the_clear(api: TestClient, capfd: pytest.CaptureFixture[str]) -> None:
    receipt = _file(
        api, petitioner={"name": "Ana Niño", "email": "ana@example.org", "identification": "CC 123", "phone": "300"}
    )
    stored = str(_events())
    with tx() as session:
        stored += str(session.execute(sa.text("select r::text, h::text from service_request r, history_entry h")).all())
    logged = "".join(capfd.readouterr())
    for secret in ("Ana", "ana@example.org", "CC 123", "bache", receipt["tracking_code"]):
        assert secret not in stored
        assert secret not in logged


def test_tracking_shows_everything_but_persons_to_whoever_has_the_code(
    api: TestClient, officer: dict[str, str]
) -> None:
    receipt = _file(api)
    request_id, number = receipt["id"], receipt["number"]
    assert api.get(f"/v1/tracking/{number}", headers={"Tracking-Code": "WRONG"}).status_code == 404
    assert (
        api.get("/v1/tracking/BOG-2026-000099-00", headers={"Tracking-Code": receipt["tracking_code"]}).status_code
        == 404
    )
    answered = api.post(
        f"/v1/service-requests/{request_id}/answer", json={"text": "Se tapará el lunes."}, headers=officer
    )
    assert answered.json()["status"] == "answered"
    again = api.post(f"/v1/service-requests/{request_id}/answer", json={"text": "Otra"}, headers=officer)
    assert (again.status_code, again.json()["title"]) == (409, "Ya fue respondida")
    with tx() as session:
        answer_event = session.scalar(
            sa.select(seam.outbox.c.envelope).where(seam.outbox.c.envelope["type"].astext == "requests.answered")
        )
    delivered = contracts.MessageDelivered(
        message_id=uuid4(),
        cause_id=UUID(answer_event["id"]),
        cause_type="requests.answered",
        about=UUID(request_id),
        delivered_at=datetime.now(UTC),
        evidence="250 2.0.0 Ok",
    )
    envelope = envelope_of(
        delivered,
        event_id=uuid4(),
        subject_version=1,
        occurred_at=datetime.now(UTC),
        correlation_id="",
        traceparent=None,
    )
    letter = {"envelope": envelope.model_dump(mode="json"), "sent": 1}
    from tejido_requests.db import database

    for _ in range(3):
        assert receive(database, HANDLERS, [letter]) == [envelope.id]
    seen = api.get(f"/v1/tracking/{number}", headers={"Tracking-Code": receipt["tracking_code"].lower()}).json()
    assert seen["status"] == "notified"
    assert seen["answer"] == "Se tapará el lunes."
    assert [entry["kind"] for entry in seen["history"]] == ["received", "answered", "notified"]
    assert seen["history"][2]["what"] == "Respuesta notificada"
    assert "Ana" not in str(seen)


def test_the_same_key_and_body_get_the_same_answer(api: TestClient) -> None:
    body = {"subject": "Luminaria apagada"}
    first, second = (api.post("/v1/service-requests", json=body, headers={"Idempotency-Key": KEY}) for _ in range(2))
    assert first.json() == second.json()
    other = api.post("/v1/service-requests", json={"subject": "Otra"}, headers={"Idempotency-Key": KEY})
    assert other.status_code == 422
    assert other.json()["errors"][0]["code"] == "key_reused"
    with ThreadPoolExecutor(8) as pool:
        together = list(
            pool.map(
                lambda _: api.post("/v1/service-requests", json=body, headers={"Idempotency-Key": OTHER_KEY}).json(),
                range(16),
            )
        )
    assert len({receipt["number"] for receipt in together}) == 1
    weak = api.post("/v1/service-requests", json=body, headers={"Idempotency-Key": "1"})
    assert weak.json()["errors"][0]["code"] == "key_too_weak"
    with tx() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(ServiceRequest)) == 2


def test_numbers_are_consecutive_under_concurrency_with_refusals_in_between(api: TestClient) -> None:
    def file(turn: int) -> str | None:
        body = {"subject": "x"} if turn % 3 else {"subject": "x", "request_type": "nonsense"}
        answer = api.post("/v1/service-requests", json=body)
        assert answer.status_code == (201 if turn % 3 else 422)
        return answer.json().get("number")

    with ThreadPoolExecutor(16) as pool:
        numbers = [number for number in pool.map(file, range(90)) if number]
    pattern = service.jurisdiction().receipt_pattern
    assert sorted(parse_receipt_number(pattern, number).sequence for number in numbers) == list(range(1, 61))


def test_a_verbal_request_records_what_the_decree_asks(
    api: TestClient, officer: dict[str, str], issuer: Issuer
) -> None:
    person = {"name": "Rosa", "identification": "CC 52", "address": "Calle 1 # 2-3", "representative_name": "Luis"}
    body = {"subject": "Poda", "reasons": "Peligro", "petitioner": person, "attachments": ["Foto"]}
    assert api.post("/v1/service-requests/verbal", json=body).status_code == 401
    missing = api.post(
        "/v1/service-requests/verbal",
        json={**body, "petitioner": {"name": "Rosa", "identification": "1"}},
        headers=officer,
    )
    assert [error["code"] for error in missing.json()["errors"]] == ["address_needed"]
    receipt = api.post("/v1/service-requests/verbal", json=body, headers=officer).json()
    assert receipt["verbal"] is True
    assert receipt["received_by"] == "funcionaria-1"
    token = issuer.token([f"funcionario:{OFFICE}"], "funcionaria-2", name="Ana Lucía Rincón")
    named = api.post("/v1/service-requests/verbal", json=body, headers={"Authorization": f"Bearer {token}"}).json()
    assert named["received_by"] == "Ana Lucía Rincón"  # the record names who received it
    seen = api.get(f"/v1/service-requests/{receipt['id']}", headers=officer).json()
    assert seen["petitioner"] | person == seen["petitioner"]
    assert (seen["subject"], seen["reasons"], seen["attachments"]) == ("Poda", "Peligro", ["Foto"])
    assert seen["clock"]["received_at"]


def test_overdue_is_announced_once_and_by_what_is_due(api: TestClient, officer: dict[str, str]) -> None:
    past = (datetime.now(UTC) - timedelta(days=60)).isoformat()
    late = api.post(
        "/v1/service-requests", json={"subject": "x", "received_at": past, "channel": "letter"}, headers=officer
    ).json()
    assert late["clock"]["overdue"] is True
    on_time = _file(api)
    assert (
        api.post("/v1/service-requests", json={"subject": "x", "received_at": past}).json()["errors"][0]["code"]
        == "only_officers"
    )
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: tasks.announce(), range(4))) == 1

    def overdue() -> list[str]:
        return [e["data"]["request_id"] for e in _events() if e["type"] == "requests.became_overdue"]

    assert overdue() == [late["id"]]
    # Of all that had passed before the letter was entered, its office is told the alarm and the last reminder, not each.
    (reminder,) = [event["data"] for event in _events() if event["type"] == "requests.reminder"]
    assert (reminder["clock"], reminder["to"]) == ("answer", ["authority"])
    with clock.moved_to(datetime.fromisoformat(on_time["clock"]["overdue_at"]) - timedelta(seconds=2)):
        tasks.announce()
        assert overdue() == [late["id"]]
        assert tasks.announce() == 0
    with clock.moved_to(datetime.fromisoformat(on_time["clock"]["overdue_at"])):
        assert tasks.announce() == 1
        assert overdue() == [late["id"], on_time["id"]]
    listed = api.get("/v1/service-requests", params={"overdue": True}, headers=officer).json()["items"]
    assert [item["id"] for item in listed] == [late["id"]]


def test_an_office_sees_its_own_requests_only(api: TestClient, issuer: Issuer, officer: dict[str, str]) -> None:
    receipt = _file(api)
    elsewhere = issuer.headers("funcionario:otra-oficina")
    assert api.get(f"/v1/service-requests/{receipt['id']}", headers=elsewhere).status_code == 404
    assert api.get("/v1/service-requests", headers=elsewhere).json()["items"] == []
    assert api.get("/v1/service-requests", headers=issuer.headers("ciudadania")).status_code == 403
    assert len(api.get("/v1/service-requests", headers=issuer.headers("auditoria")).json()["items"]) == 1
    office = service.jurisdiction().offices[1].code
    path = f"/v1/service-requests/{receipt['id']}"
    etag = api.get(path, headers=officer).headers["ETag"]
    assert api.patch(path, json={"office": office}, headers=officer).status_code == 428
    assert api.patch(path, json={"office": "nowhere"}, headers=officer | {"If-Match": etag}).status_code == 422
    moved = api.patch(path, json={"office": office}, headers=officer | {"If-Match": etag})
    assert moved.status_code == 200
    assert moved.json()["clock"]["due_date"] == receipt["clock"]["due_date"]
    new_office = issuer.headers(f"funcionario:{office}")
    assert api.patch(path, json={"office": OFFICE}, headers=new_office | {"If-Match": etag}).status_code == 412


def test_pages_of_a_list_are_whole_and_without_repetition(api: TestClient, officer: dict[str, str]) -> None:
    for _ in range(7):
        _file(api)
    seen: list[str] = []
    cursor = None
    while True:
        page = api.get(
            "/v1/service-requests",
            params={"limit": 3, "sort": "-received_at"} | ({"cursor": cursor} if cursor else {}),
            headers=officer,
        ).json()
        seen += [item["number"] for item in page["items"]]
        if not (cursor := page["next"]):
            break
    assert len(seen) == len(set(seen)) == 7
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    ("body", "field", "spanish", "english"),
    [
        ({}, "body.subject", "Falta este dato.", "This is required."),
        ({"subject": "x", "nope": 1}, "body.nope", "Este campo no existe.", "There is no such field."),
        ({"subject": "x\x00y"}, "body.subject", "No tiene la forma esperada.", "Does not have the expected form."),
    ],
)
def test_bad_input_is_explained_in_the_callers_language(
    api: TestClient, body: dict[str, Any], field: str, spanish: str, english: str
) -> None:
    for language, reason in (("es-CO", spanish), ("en-GB,en;q=0.8", english), ("zz", spanish)):
        answer = api.post("/v1/service-requests", json=body, headers={"Accept-Language": language})
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert {"field": field, "reason": reason}.items() <= answer.json()["errors"][0].items()
    assert _events() == []


def test_types_whose_date_an_authority_sets(api: TestClient, officer: dict[str, str]) -> None:
    typed = next(kind.code for kind in service.jurisdiction().request_types if kind.due_date == "typed")
    body = {"subject": "x", "request_type": typed}
    assert api.post("/v1/service-requests", json=body, headers=officer).json()["errors"][0]["code"] == "due_date_needed"
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    receipt = api.post("/v1/service-requests", json={**body, "due_date": tomorrow}, headers=officer).json()
    assert receipt["clock"]["due_date"] == tomorrow
    assert receipt["clock"]["days"] == []


def test_a_type_the_pack_no_longer_has_silences_no_alarm(api: TestClient, officer: dict[str, str]) -> None:
    past = (datetime.now(UTC) - timedelta(days=60)).isoformat()
    receipts = [
        api.post("/v1/service-requests", json={"subject": "x", "received_at": past}, headers=officer).json()
        for _ in range(2)
    ]
    with tx() as session:
        session.execute(
            sa.update(ServiceRequest).where(ServiceRequest.id == receipts[0]["id"]).values(request_type="retired")
        )
    assert tasks.announce() == 2
    seen = api.get(
        f"/v1/tracking/{receipts[0]['number']}", headers={"Tracking-Code": receipts[0]["tracking_code"]}
    ).json()
    assert seen["type_name"] == receipts[0]["type_name"]
    assert seen["clock"]["due_date"] == receipts[0]["clock"]["due_date"]


def test_a_proof_from_a_clock_that_runs_ahead_counts_as_now(api: TestClient, officer: dict[str, str]) -> None:
    receipt = _file(api)
    api.post(f"/v1/service-requests/{receipt['id']}/answer", json={"text": "Sí."}, headers=officer)
    delivered = contracts.MessageDelivered(
        message_id=uuid4(),
        cause_id=uuid4(),
        cause_type="requests.answered",
        about=UUID(receipt["id"]),
        delivered_at=datetime.now(UTC) + timedelta(minutes=5),
        evidence="250 Ok",
    )
    envelope = envelope_of(
        delivered,
        event_id=uuid4(),
        subject_version=1,
        occurred_at=datetime.now(UTC),
        correlation_id="",
        traceparent=None,
    )
    from tejido_requests.db import database

    assert receive(database, HANDLERS, [{"envelope": envelope.model_dump(mode="json"), "sent": 1}]) == [envelope.id]
    assert api.get(f"/v1/service-requests/{receipt['id']}", headers=officer).json()["status"] == "notified"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/service-requests", {"subject": "x", "received_at": "0001-01-01T00:00:00Z"}),
        ("/v1/service-requests", {"subject": "x", "request_type": "oversight_request", "due_date": "9999-12-31"}),
        ("/v1/tracking/%00", None),
        ("/v1/service-requests?cursor=%3Ex:~uuid:018f0000-0000-7000-8000-000000000001", None),
        ("/v1/service-requests?office=%00", None),
    ],
)
def test_strange_values_are_the_callers_mistake(api: TestClient, officer: dict[str, str], path: str, body: Any) -> None:
    headers = officer | {"Tracking-Code": "X"}
    answer = api.post(path, json=body, headers=headers) if body else api.get(path, headers=headers)
    assert answer.status_code == 422, answer.text
