"""What proves a legal notice: sealed whatever came of it, verified by anybody, altered by nobody unseen."""

import base64
import json
import shutil
import subprocess
from argparse import Namespace
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pypdfium2  # type: ignore[import-untyped]
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from tejido_notifications.app import create_app
from tejido_notifications.db import database as ours
from tejido_notifications.delivery import service as delivery
from tejido_notifications.delivery import tasks
from tejido_notifications.events import HANDLERS
from tejido_notifications.letters import samples
from tejido_notifications.models import Delivery, Proof
from tejido_notifications.proof import commands, keys, service
from tejido_notifications.settings import jurisdiction, settings
from tejido_shared.clock import moved_to, now
from tejido_shared.contracts import ProofSeen, RequestAccessChanged, envelope_of
from tejido_shared.db import Database
from tejido_shared.ids import new_id
from tejido_shared.inbox import receive
from tejido_shared.personal import seal, unseal
from tejido_shared.seam import outbox
from tejido_shared.testing import Issuer

from .conftest import MailServer

ANA = "ana.munoz@correo.example"
KEY, OLD_KEY = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))


@pytest.fixture
def client(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app()) as client:
        yield client


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "proof_key", SecretStr(KEY))


@pytest.fixture
def auditor(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("auditoria", sub="auditora-1")


def notice(database: Database, context: str | None = None, address: str = ANA) -> UUID:
    """A legal notice that waits to be sent."""
    cause = delivery.Cause(new_id(), "requests.submitted", new_id(), now())
    with database.tx() as session:
        delivery.queue(
            session,
            cause,
            audience="citizen",
            address=address,
            language="es",
            context=context if context is not None else samples.sample("requests.submitted", full=True),
        )
        return session.scalars(sa.select(Delivery.id).where(Delivery.cause_id == cause.id)).one()


def proof_of(client: TestClient, headers: dict[str, str], message: UUID, **params: str) -> Any:
    answer = client.get(f"/v1/deliveries/{message}/proof", params=params, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def text_of(pdf: bytes) -> str:
    document = pypdfium2.PdfDocument(pdf)
    return "\n".join(page.get_textpage().get_text_range() for page in document)


def test_a_delivered_notice_is_proved_to_anybody(
    client: TestClient,
    database: Database,
    auditor: dict[str, str],
    mail_server: MailServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mail_server.script.append("rcpt 451 4.7.1 Greylisted, come back later")
    message = notice(database)
    tasks.send_due()
    assert client.get(f"/v1/deliveries/{message}/proof", headers=auditor).status_code == 404
    with moved_to(now() + timedelta(minutes=10)):
        tasks.send_due()
    [mail] = mail_server.received
    caplog.clear()
    proof = proof_of(client, auditor, message)
    pdf = client.get(f"/v1/deliveries/{message}/proof.pdf", headers=auditor)
    logged = caplog.text
    assert logged.count("proof_seen") == 2
    assert logged.count("auditora-1") == 2
    assert ANA not in logged

    record = json.loads(proof["record"])
    assert proof["status"] == "signed"
    assert (record["to"], record["result"], record["message_id"]) == (ANA, "delivered", str(message))
    assert (record["entity"], record["kind"]) == (jurisdiction().entity.name, "requests_submitted")
    body = mail.get_body(("plain",))
    assert body is not None
    assert record["sent"]["subject"] == mail["Subject"]
    assert record["sent"]["text"].split() == body.get_content().split()
    assert [one["outcome"] for one in record["attempts"]] == ["deferred", "accepted"]
    assert "Greylisted" in record["attempts"][0]["reply"]
    assert record["answer"].endswith("queued as 1")
    assert service.canonical(record) == proof["record"]

    words = text_of(pdf.content)
    assert pdf.headers["content-type"] == "application/pdf"
    for said in ("Constancia de entrega", ANA, record["sent"]["subject"][:30], "queued as 1", "SHA-256", "aplazado"):
        assert said in words, said
    assert proof["sha256"] in words.replace("\r\n", "").replace("\n", "")
    english = client.get(f"/v1/deliveries/{message}/proof.pdf", headers={**auditor, "Accept-Language": "en"})
    assert "Proof of delivery" in text_of(english.content)

    # Outside, with nothing of ours: docs/proofs.md.
    [public] = client.get("/v1/proof-key").json()["keys"]
    assert (public["key_id"], public["signs"]) == (proof["key_id"], True)
    loaded = load_pem_public_key(public["pem"].encode())
    assert isinstance(loaded, Ed25519PublicKey)
    loaded.verify(base64.b64decode(proof["signature"]), proof["record"].encode())
    if shutil.which("openssl"):
        (tmp_path / "record.json").write_bytes(proof["record"].encode())
        (tmp_path / "signature.bin").write_bytes(base64.b64decode(proof["signature"]))
        (tmp_path / "key.pem").write_text(public["pem"])
        verify = "openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in record.json -sigfile signature.bin"
        assert subprocess.run(verify.split(), cwd=tmp_path, capture_output=True, check=False).returncode == 0
        (tmp_path / "record.json").write_bytes(proof["record"].replace("delivered", "delivereD").encode())
        assert subprocess.run(verify.split(), cwd=tmp_path, capture_output=True, check=False).returncode != 0


def test_what_did_not_arrive_is_proved_too(
    client: TestClient, database: Database, auditor: dict[str, str], mail_server: MailServer
) -> None:
    mail_server.script.append("rcpt 550 5.1.1 No such user")
    refused = notice(database)
    tasks.send_due()
    record = json.loads(proof_of(client, auditor, refused)["record"])
    assert (record["result"], record["attempts"][-1]["outcome"], record["answer"]) == ("failed", "refused", None)
    assert "No such user" in record["failure"]
    assert record["sent"]["text"]

    unwritable = notice(database, context="{}", address="bea@correo.example")
    tasks.send_due()
    record = json.loads(proof_of(client, auditor, unwritable)["record"])
    assert (record["result"], record["sent"], record["to"]) == ("failed", None, "bea@correo.example")
    pdf = client.get(f"/v1/deliveries/{unwritable}/proof.pdf", headers=auditor)
    assert "No consta" in text_of(pdf.content)

    returned = notice(database, address="caro@correo.example")
    tasks.send_due()
    with database.tx() as session:
        for _ in range(2):
            one = session.get_one(Delivery, returned, with_for_update=True)
            delivery.bounced(session, one, "5.2.2 Mailbox full")
    last, first = proof_of(client, auditor, returned), proof_of(client, auditor, returned, result="delivered")
    bounced, delivered = json.loads(last["record"]), json.loads(first["record"])
    assert (last["result"], bounced["failure"]) == ("bounced", "5.2.2 Mailbox full")
    assert bounced["sent"] == delivered["sent"]
    assert bounced["bounced_at"] > bounced["delivered_at"] == delivered["delivered_at"]
    pdf = client.get(f"/v1/deliveries/{returned}/proof.pdf", headers=auditor)
    assert "Constancia de devolución" in text_of(pdf.content)
    with database.tx() as session:
        assert service.verify(session) == service.Report(proofs=4)


def test_a_notice_that_cannot_be_decrypted(
    client: TestClient, database: Database, auditor: dict[str, str], mail_server: MailServer
) -> None:
    message = notice(database)
    with database.tx() as session:
        session.execute(sa.text("update delivery set recipient = 'x', context = 'x'"))
    tasks.send_due()
    record = json.loads(proof_of(client, auditor, message)["record"])
    assert (record["to"], record["sent"], record["result"]) == (None, None, "failed")


def test_without_a_key_it_is_not_signed(
    client: TestClient,
    database: Database,
    auditor: dict[str, str],
    mail_server: MailServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings(), "proof_key", SecretStr(""))
    message = notice(database)
    tasks.send_due()
    proof = proof_of(client, auditor, message)
    assert (proof["status"], proof["signature"], proof["key_id"]) == ("unsigned", "", "")
    assert proof["sha256"] == service.sha256(proof["record"])
    assert client.get("/v1/proof-key").json()["keys"] == []
    pdf = client.get(f"/v1/deliveries/{message}/proof.pdf", headers=auditor)
    assert "Sin firma" in text_of(pdf.content)
    with database.tx() as session:
        report = service.verify(session)
    assert (report.proofs, report.unsigned, report.findings) == (1, 1, [])


def test_nothing_is_changed_but_that_retention_empties(
    client: TestClient, database: Database, auditor: dict[str, str], mail_server: MailServer
) -> None:
    message = notice(database)
    tasks.send_due()
    before = proof_of(client, auditor, message)
    for statement in (
        "update proof set sha256 = 'x'",
        "update proof set record = ''",
        "update proof set record = null, at = now()",
        "delete from proof",
        "truncate proof",
    ):
        with pytest.raises(sa.exc.ProgrammingError, match="append-only"), database.tx() as session:
            session.execute(sa.text(statement))
    assert proof_of(client, auditor, message) == before
    with database.tx() as session:
        session.execute(sa.update(Proof).values(record=None))
    assert proof_of(client, auditor, message) == {**before, "record": None, "status": "erased"}
    answer = client.get(f"/v1/deliveries/{message}/proof.pdf", headers=auditor)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:tejido:problem:proof_erased")
    with database.tx() as session:
        [finding] = service.verify(session).findings
        assert (finding.kind, finding.delivery_id) == ("emptied", message)
        about = session.get_one(Delivery, message).about
        delivery.erase(session, about, now())
        report = service.verify(session)
    assert (report.erased, report.findings) == (1, [])


ALTERATIONS: dict[str, tuple[str, str]] = {
    "another text": ("altered", "record = :other"),
    "another text and its hash": ("signature", "record = :other, sha256 = :other_hash"),
    "another hash": ("altered", "sha256 = repeat('0', 64)"),
    "another signature": ("signature", "signature = 'AAAA'"),
    "no base64": ("signature", "signature = 'ñ'"),
    "another key": ("unknown_key", "key_id = 'x'"),
    "another result": ("misplaced", "result = 'failed'"),
    "garbage": ("undecryptable", "record = 'x'"),
}


@pytest.mark.parametrize("what", [*ALTERATIONS, "removed"])
def test_what_was_altered_is_named(
    database: Database, mail_server: MailServer, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    kept = notice(database, address="bea@correo.example")
    tasks.send_due()
    wrong = notice(database)
    tasks.send_due()
    assert commands.verify_proofs(Namespace()) == 0
    assert "2 constancias" in capsys.readouterr().out
    with database.tx() as session:
        record = session.scalar(sa.select(Proof.record).where(Proof.delivery_id == wrong)) or ""
        other = record.replace(ANA, "otra@correo.example")
        session.execute(sa.text("set local session_replication_role = replica"))  # as a superuser could
        if what == "removed":
            kind, change = "missing", sa.text("delete from proof where delivery_id = :wrong")
        else:
            kind, values = ALTERATIONS[what]
            change = sa.text(f"update proof set {values} where delivery_id = :wrong")
        given = {"wrong": wrong, "other": seal(other).encode(), "other_hash": service.sha256(other)}
        session.execute(change, {name: value for name, value in given.items() if f":{name}" in str(change)})
    with database.tx() as session:
        [finding] = service.verify(session).findings
    assert (finding.kind, finding.delivery_id) == (kind, wrong)
    assert finding.delivery_id != kept
    assert commands.verify_proofs(Namespace()) == 1
    said = capsys.readouterr()
    assert str(wrong) in said.out
    assert ANA not in said.out + said.err


def test_a_key_may_be_changed(
    client: TestClient,
    database: Database,
    auditor: dict[str, str],
    mail_server: MailServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings(), "proof_key", SecretStr(OLD_KEY))
    old = proof_of_sent(client, database, auditor)
    monkeypatch.setattr(settings(), "proof_key", SecretStr(f"{KEY}, {OLD_KEY}"))
    new = proof_of_sent(client, database, auditor)
    public = client.get("/v1/proof-key").json()["keys"]
    assert [(one["key_id"], one["signs"]) for one in public] == [(new["key_id"], True), (old["key_id"], False)]
    with ours.tx() as session:
        assert service.verify(session).findings == []
    for wrong in ("x", base64.b64encode(bytes(31)).decode(), "ñ"):
        with pytest.raises(ValueError):
            keys.parsed(wrong)


def proof_of_sent(client: TestClient, database: Database, headers: dict[str, str]) -> Any:
    message = notice(database)
    tasks.send_due()
    return proof_of(client, headers, message)


def test_who_may_see_it(client: TestClient, database: Database, issuer: Issuer, mail_server: MailServer) -> None:
    message = notice(database)
    tasks.send_due()
    for group, status in (
        ("administracion", 200),
        ("auditoria", 200),
        ("jefatura:oficina-juridica", 200),
        ("supervision", 403),
        ("funcionario:oficina-juridica", 403),
        ("ciudadania", 403),
    ):
        for ending in ("proof", "proof.pdf"):
            answer = client.get(f"/v1/deliveries/{message}/{ending}", headers=issuer.headers(group))
            assert answer.status_code == status
    assert client.get(f"/v1/deliveries/{message}/proof").status_code == 401
    assert client.get(f"/v1/deliveries/{new_id()}/proof", headers=issuer.headers("auditoria")).status_code == 404
    wrong = client.get(f"/v1/deliveries/{message}/proof?result=x", headers=issuer.headers("auditoria"))
    assert wrong.status_code == 422


def test_a_head_sees_what_concerns_the_own_office_and_a_confidential_petitioner_for_a_reason_only(
    client: TestClient, database: Database, issuer: Issuer, mail_server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    message = notice(database)
    tasks.send_due()
    with database.tx() as session:
        about = session.scalars(sa.select(Delivery.about)).one()
    head, other = (issuer.headers(f"jefatura:{office}") for office in ("oficina-juridica", "gerencia-proyectos"))
    rest = [issuer.headers(group) for group in ("auditoria", "administracion")]
    both = issuer.headers("jefatura:gerencia-proyectos", "funcionario:oficina-juridica")

    def seen(by: list[dict[str, str]], ending: str = "proof") -> list[int]:
        return [client.get(f"/v1/deliveries/{message}/{ending}", headers=who).status_code for who in by]

    access_changed(database, about, 2, "oficina-juridica", confidential=False)
    access_changed(database, about, 1, "gerencia-proyectos", confidential=True)  # comes late
    for ending in ("proof", "proof.pdf"):
        assert seen([head, *rest, other, both], ending) == [200, 200, 200, 404, 404]
    why = {"reason": "Lo pide la Personería"}
    path = f"/v1/deliveries/{message}/proof"
    access_changed(database, about, 3, "oficina-juridica", confidential=True)
    for ending in ("proof", "proof.pdf"):
        assert seen([head, *rest, other, both], ending) == [403, 403, 403, 404, 404]
        assert client.post(f"/v1/deliveries/{message}/{ending}", json={}, headers=head).status_code == 422
        for who, status in ((other, 404), (both, 404), (rest[0], 403), (rest[1], 404)):
            assert client.post(f"/v1/deliveries/{message}/{ending}", json=why, headers=who).status_code == status
    refused = client.get(path, headers=rest[0]).json()
    assert (refused["type"], refused["title"]) == ("urn:tejido:problem:proof_confidential", "Identidad reservada")
    assert looks(database) == []
    caplog.clear()
    assert ANA in client.post(path, json=why, headers=head).json()["record"]
    assert client.post(f"{path}.pdf", json=why, headers=head).content.startswith(b"%PDF")
    assert [(event.about, event.message_id, unseal(event.reason)) for event in looks(database)] == [
        (about, message, why["reason"])
    ] * 2
    assert "Personería" not in caplog.text

    preview = "/v1/templates/requests_submitted/mail/es/preview"
    asked = {"source": "A\n{{ recipient_email }}", "delivery_id": str(message)}
    answer = client.post(preview, json=asked, headers=rest[1])
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "message_confidential")
    access_changed(database, about, 4, "gerencia-proyectos", confidential=False)
    assert client.post(preview, json=asked, headers=rest[1]).status_code == 200
    assert "message_previewed" in caplog.text
    assert seen([head, other]) == [404, 200]


def looks(database: Database) -> list[ProofSeen]:
    """What requests is told of who saw a proof."""
    with database.tx() as session:
        told = [one for one in session.scalars(sa.select(outbox.c.envelope)) if one["type"] == ProofSeen.type]
    return [ProofSeen.model_validate(one["data"]) for one in told]


def access_changed(database: Database, request: UUID, version: int, office: str, *, confidential: bool) -> None:
    event = RequestAccessChanged(request_id=request, office=office, confidential=confidential)
    envelope = envelope_of(
        event, event_id=new_id(), subject_version=version, occurred_at=now(), correlation_id="", traceparent=None
    )
    assert receive(database, HANDLERS, [{"envelope": envelope.model_dump(mode="json"), "sent": 1}]) == [envelope.id]


def test_any_text_can_be_printed(
    client: TestClient, database: Database, auditor: dict[str, str], mail_server: MailServer
) -> None:
    context = json.loads(samples.sample("requests.submitted", full=True))
    context["type_name"] = "Petición 😀 漢字 العربية \u202e ́ #set page() $x$ *b* \\u{0} " + "á" * 300
    message = notice(database, json.dumps(context))
    tasks.send_due()
    pdf = client.get(f"/v1/deliveries/{message}/proof.pdf", headers=auditor)
    assert pdf.status_code == 200
    words = text_of(pdf.content)
    assert "[U+1F600]" in words
    assert "#set page()" in words


@given(
    st.dictionaries(
        st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists), max_size=5
    )
)
def test_a_record_is_written_in_one_way_only(record: dict[str, Any]) -> None:
    try:
        text = service.canonical(record)
        text.encode()
    except UnicodeEncodeError:
        return
    assert json.loads(text) == record
    assert service.canonical(dict(reversed(record.items()))) == text
    assert service.canonical(json.loads(text)) == text
