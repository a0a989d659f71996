"""Who sees deliveries, and who may send one again."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from tejido_notifications.app import create_app
from tejido_notifications.delivery import tasks
from tejido_shared.db import Database
from tejido_shared.testing import Issuer

from .conftest import CODE, MailServer, deliver_event, filed


@pytest.fixture
def client(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app()) as client:
        yield client


READERS = ["administracion", "auditoria", "jefatura:oficina-juridica"]
OTHERS = ["ciudadania", "funcionario:oficina-juridica", "registro", "supervision"]


def test_readers_see_messages_and_no_persons(
    client: TestClient, databases: dict[str, Database], issuer: Issuer, mail_server: MailServer
) -> None:
    envelope = filed()
    deliver_event(databases, envelope)
    tasks.send_due()
    for group in READERS:
        answer = client.get(
            "/v1/deliveries",
            params={"status": "delivered", "cause_type": "requests.submitted", "about": str(envelope.subject)},
            headers=issuer.headers(group),
        )
        [item] = answer.json()["items"]
        assert (item["cause_id"], item["template"], item["audience"]) == (
            str(envelope.id),
            "requests_submitted",
            "citizen",
        )
        one = client.get(f"/v1/deliveries/{item['id']}", headers=issuer.headers(group))
        assert [attempt["outcome"] for attempt in one.json()["history"]] == ["accepted"]
        for private in ("ana", "muñoz", CODE.lower()):
            assert private not in (answer.text + one.text).lower()
    for filters in ({"status": "failed"}, {"template": "requests_answered"}):
        assert client.get("/v1/deliveries", params=filters, headers=issuer.headers("auditoria")).json()["items"] == []
    for group in OTHERS:
        assert client.get("/v1/deliveries", headers=issuer.headers(group)).status_code == 403
    assert client.get("/v1/deliveries").status_code == 401
    assert client.get(f"/v1/deliveries/{envelope.id}", headers=issuer.headers("auditoria")).status_code == 404


def test_an_administrator_sends_a_failed_message_again_once(
    client: TestClient, databases: dict[str, Database], issuer: Issuer, mail_server: MailServer
) -> None:
    mail_server.script.append("rcpt 550 5.2.2 Mailbox full")
    deliver_event(databases, filed())
    tasks.send_due()
    administrator = issuer.headers("administracion")
    [item] = client.get("/v1/deliveries", params={"status": "failed"}, headers=administrator).json()["items"]
    address = f"/v1/deliveries/{item['id']}/retry"

    for group in ("auditoria", "jefatura:oficina-juridica"):
        assert client.post(address, headers=issuer.headers(group)).status_code == 403
    answers = [client.post(address, headers={**administrator, "Idempotency-Key": "k-1"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert (answers[0].json()["status"], answers[0].json()["attempts"]) == ("pending", 0)
    again = client.post(address, headers=administrator)
    assert (again.status_code, again.json()["type"]) == (409, "urn:tejido:problem:not_failed")
    assert again.json()["title"] == "No ha fallado"

    tasks.send_due()
    whole = client.get(f"/v1/deliveries/{item['id']}", headers=administrator).json()
    assert [attempt["outcome"] for attempt in whole["history"]] == ["refused", "accepted"]
    assert client.post(address, headers=administrator).status_code == 409
    assert len(mail_server.received) == 1
