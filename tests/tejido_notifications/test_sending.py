"""Sending over a real SMTP conversation with a server that misbehaves: every message ends delivered once, or failed with its reason."""

import os
import random
import socket
import subprocess
import sys
import threading
from datetime import timedelta
from email.header import decode_header, make_header
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from tejido_notifications.channels import Message, Outcome, email
from tejido_notifications.channels.configured import channels
from tejido_notifications.channels.email import Mailer
from tejido_notifications.delivery import senders, service, tasks
from tejido_notifications.letters import sources
from tejido_notifications.letters.writing import Letter
from tejido_notifications.models import Attempt, Delivery, InAppMessage
from tejido_notifications.settings import jurisdiction, settings
from tejido_shared import contracts
from tejido_shared.clock import moved_to, now
from tejido_shared.db import Database
from tejido_shared.ids import new_id
from tejido_shared.refusals import Refused
from tejido_shared.seam import outbox
from tejido_shared.testing import wait_until

from .conftest import CITIZEN_EVENTS, CODE, FRIDAY_EVENING, NUMBER, MailServer, deliver_event, filed, plain, told


def _answered(
    recipient: str = "ana.munoz@correo.example", name: str = "Ana", answer: str = "Sí."
) -> contracts.Envelope:
    return told(
        contracts.RequestAnswered,
        answer_id=new_id(),
        answered_at=FRIDAY_EVENING,
        recipient_name=name,
        recipient_email=recipient,
        answer=answer,
    )


def _queued(databases: dict[str, Database], **fields: str) -> contracts.Envelope:
    envelope = _answered(**fields)
    assert deliver_event(databases, envelope)
    return envelope


def _delivery(databases: dict[str, Database], cause: UUID) -> Delivery:
    with databases["notifications"].tx() as session:
        return session.scalars(sa.select(Delivery).where(Delivery.cause_id == cause)).one()


def _outcomes(databases: dict[str, Database], delivery: Delivery) -> list[tuple[str, str | None]]:
    query = sa.select(Attempt).where(Attempt.delivery_id == delivery.id).order_by(Attempt.at, Attempt.id)
    with databases["notifications"].tx() as session:
        return [(attempt.outcome, attempt.reply) for attempt in session.scalars(query)]


def _published(databases: dict[str, Database]) -> list[dict[str, Any]]:
    with databases["notifications"].tx() as session:
        return list(session.scalars(sa.select(outbox.c.envelope).order_by(outbox.c.id)))


def test_a_delivered_message_leaves_proof(databases: dict[str, Database], mail_server: MailServer) -> None:
    envelope = filed()
    deliver_event(databases, envelope)
    tasks.send_due()
    tasks.send_due()

    [message] = mail_server.received
    delivery = _delivery(databases, envelope.id)
    assert mail_server.recipients == ["ana.munoz@correo.example"]
    assert message["Message-ID"] == f"<{delivery.id}@idpac.example.org>"
    own = str(
        make_header(decode_header(dict(message.raw_items())["From"]))
    )  # Python 3.11 leaves blanks between encoded words
    assert own == "Instituto Distrital de la Participación y Acción Comunal <atencion@idpac.example.org>"
    assert message["Subject"].startswith(f"Recibimos su solicitud {NUMBER}")
    assert message["Auto-Submitted"] == "auto-generated"
    assert [part.get_content_type() for part in message.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    twin = message.get_body(("html",))
    assert twin is not None
    assert CODE in plain(message)
    assert CODE in twin.get_content()
    assert "\n.sheet {" in twin.get_content()  # a line that begins with a dot, as it was
    assert (delivery.status, delivery.attempts, delivery.next_attempt_at) == ("delivered", 1, None)
    assert delivery.evidence == "250 2.0.0 … queued as 1"
    assert _outcomes(databases, delivery) == [("accepted", "250 2.0.0 … queued as 1")]

    [published] = _published(databases)
    event = contracts.event_in(contracts.Envelope.model_validate(published))
    assert isinstance(event, contracts.MessageDelivered)
    assert (event.message_id, event.cause_id, event.about) == (delivery.id, envelope.id, envelope.subject)
    assert (event.cause_type, event.evidence) == ("requests.submitted", delivery.evidence)
    assert published["correlation_id"] == envelope.correlation_id


def test_what_is_erased_is_forgotten_and_not_sent(databases: dict[str, Database], mail_server: MailServer) -> None:
    request = new_id()
    delivered, under_way, waiting, other = (filed(request_id=of) for of in (request, request, request, new_id()))
    deliver_event(databases, delivered)
    tasks.send_due()
    deliver_event(databases, under_way)
    with databases["notifications"].tx() as session:
        claimed = service.claim(session, "email", 0)
    assert claimed is not None
    for envelope in (waiting, other):
        deliver_event(databases, envelope)
    for sent in (1, 2):
        erased = told(contracts.RequestErased, request_id=request, erased_at=FRIDAY_EVENING)
        assert deliver_event(databases, erased, sent)
    with databases["notifications"].tx() as session:
        service.record(session, claimed, Outcome("accepted", "250 Ana has it"))
    tasks.send_due()
    assert len(mail_server.received) == 2

    why = "Sus datos personales se borraron antes de que se enviara."
    found = [_delivery(databases, envelope.id) for envelope in (delivered, under_way, waiting)]
    assert [(one.status, one.last_error) for one in found] == [("delivered", None), ("failed", why), ("failed", why)]
    for one in found:
        with databases["notifications"].tx() as session:
            row = session.get_one(Delivery, one.id)
            assert (row.recipient, row.context, row.evidence, row.erased_at) == ("", "", None, FRIDAY_EVENING)
            assert all(reply is None for _, reply in _outcomes(databases, one))
            with pytest.raises(Refused, match="erased"):
                service.retry(session, row)
    left = _delivery(databases, other.id)
    assert (left.status, left.erased_at, left.evidence) == ("delivered", None, "250 2.0.0 … queued as 2")


def _alerts() -> list[contracts.Envelope]:
    """Of one midnight, to be sent when the offices open."""
    due = {"due_date": FRIDAY_EVENING.date(), "send_from": OFFICES_OPEN}
    overdue = told(contracts.RequestBecameOverdue, overdue_at=MIDNIGHT, **due)
    return [
        overdue,
        told(contracts.RequestReminder, clock="answer", threshold="+1", to=["assignee", "head"], **due),
    ]


MIDNIGHT = FRIDAY_EVENING + timedelta(hours=5, minutes=20)
OFFICES_OPEN = FRIDAY_EVENING + timedelta(days=2, hours=12, minutes=20)  # Monday, 7:00 in Bogotá


def test_nobody_is_alerted_before_the_offices_open(databases: dict[str, Database], mail_server: MailServer) -> None:
    with moved_to(MIDNIGHT):
        for envelope in _alerts():
            deliver_event(databases, envelope)
        deliver_event(databases, told(contracts.RequestBecameOverdue, overdue_at=MIDNIGHT, due_date=MIDNIGHT.date()))
        assert tasks.send_due() is False
        assert len(mail_server.received) == 1  # the one of an older publisher, which names no instant
    with moved_to(OFFICES_OPEN - timedelta(seconds=5)):
        tasks.send_due()
        assert len(mail_server.received) == 1
    with moved_to(OFFICES_OPEN):
        tasks.send_due()
    head, office = "jefatura.asuntos-comunales@idpac.example.org", "asuntos-comunales@idpac.example.org"
    assert sorted(mail_server.recipients[1:]) == sorted([head, office, head])
    with moved_to(OFFICES_OPEN + timedelta(hours=1)):
        tasks.send_due()
    assert len(mail_server.received) == 4
    with databases["notifications"].tx() as session:  # and the same where they work
        boxes = session.scalars(sa.select(InAppMessage.box)).all()
    head, office = "head:asuntos-comunales", "office:asuntos-comunales"
    assert sorted(boxes) == [head, head, head, office]
    assert _published(databases) == []  # the law asks for no proof of these


@pytest.mark.parametrize("answer", [None, "rcpt 550 5.1.1 No such user"])
def test_the_proof_names_the_act_it_is_of(
    databases: dict[str, Database], mail_server: MailServer, answer: str | None
) -> None:
    envelopes = [filed(), *(told(kind, **fields) for kind, fields in CITIZEN_EVENTS.items())]
    if answer is not None:
        mail_server.script.extend([answer] * len(envelopes))
    for envelope in envelopes:
        deliver_event(databases, envelope)
    tasks.send_due()
    proofs = [contracts.event_in(contracts.Envelope.model_validate(published)) for published in _published(databases)]
    kind = contracts.MessageDelivered if answer is None else contracts.MessageFailed
    assert all(isinstance(proof, kind) for proof in proofs)
    assert {(proof.cause_type, proof.cause_id, proof.about) for proof in proofs} == {  # type: ignore[attr-defined]
        (envelope.type, envelope.id, envelope.subject) for envelope in envelopes
    }


def test_logs_hold_no_code_and_nobody_s_words(
    databases: dict[str, Database],
    mail_server: MailServer,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    officer = {"assignee": "funcionaria-1", "assignee_email": "luis@idpac.example.org", "to": ["assignee"]}
    reminder = {"clock": "answer", "threshold": "+1", "due_date": FRIDAY_EVENING.date(), "send_from": FRIDAY_EVENING}
    envelopes = [filed(), *(told(kind, **fields) for kind, fields in CITIZEN_EVENTS.items())]
    with moved_to(FRIDAY_EVENING):
        for envelope in [*envelopes, told(contracts.RequestReminder, **reminder, **officer)]:
            deliver_event(databases, envelope)
        tasks.send_due()
    assert len(mail_server.received) == len(envelopes) + 1
    out, err = capfd.readouterr()
    written = (out + err + caplog.text).lower()  # where logs go depends on which program was set up last
    assert "message_attempted" in written
    for private in (CODE, "Ana", "Muñoz", "correo.example", "luis", "plano", "acueducto", "visitar", "enero"):
        assert private.lower() not in written, private


def test_a_temporary_refusal_is_tried_again_later(databases: dict[str, Database], mail_server: MailServer) -> None:
    mail_server.script.extend(["rcpt 451 4.7.1 Greylisted", "drop", "data 452 4.3.1 Full"])
    cause = _queued(databases).id
    tried = []
    for _ in range(10):
        tasks.send_due()
        delivery = _delivery(databases, cause)
        tried.append(delivery.status)
        if delivery.next_attempt_at is None:
            break
        with moved_to(delivery.next_attempt_at - timedelta(seconds=2)):
            tasks.send_due()  # not yet
        assert len(mail_server.received) == 0
        _make_due(databases)
    assert tried == ["pending", "pending", "pending", "delivered"]
    assert _outcomes(databases, _delivery(databases, cause)) == [
        ("deferred", "451 4.7.1 Greylisted"),
        ("unknown", "El servidor cortó la conexión."),
        ("deferred", "452 4.3.1 Full"),
        ("accepted", "250 2.0.0 … queued as 1"),
    ]
    assert len(mail_server.received) == len(_published(databases)) == 1


def _make_due(databases: dict[str, Database]) -> None:
    with databases["notifications"].tx() as session:
        due = sa.update(Delivery).where(Delivery.status == "pending").values(next_attempt_at=now())
        session.execute(due)


@pytest.mark.parametrize("pipelining", [False, True])
def test_a_final_refusal_fails_at_once_and_names_nobody(
    databases: dict[str, Database], mail_server: MailServer, capfd: pytest.CaptureFixture[str], pipelining: bool
) -> None:
    mail_server.pipelining = pipelining
    mail_server.script.append("rcpt 550 5.1.1 <ana.munoz@correo.example>: no user Ana.Munoz here")
    cause, next_one = _queued(databases).id, _queued(databases, recipient="luis@correo.example").id
    tasks.send_due()
    delivery = _delivery(databases, cause)
    assert (delivery.status, delivery.last_error) == ("failed", "550 5.1.1 … no user … here")
    assert _delivery(databases, next_one).status == "delivered"
    assert mail_server.connections == 1
    failed = contracts.event_in(contracts.Envelope.model_validate(_published(databases)[0]))
    assert isinstance(failed, contracts.MessageFailed)
    assert (failed.message_id, failed.reason) == (delivery.id, delivery.last_error)
    out, err = capfd.readouterr()
    assert "ana" not in (out + err).lower()

    with databases["notifications"].tx() as session:
        service.retry(session, session.get_one(Delivery, delivery.id))
    tasks.send_due()
    delivery = _delivery(databases, cause)
    assert delivery.status == "delivered"
    versions = [
        envelope["subject_version"] for envelope in _published(databases) if envelope["subject"] == str(delivery.id)
    ]
    assert versions[0] < versions[1]


@pytest.mark.parametrize("trouble", ["nobody listens", "silent", "hangs after the message"])
def test_a_server_in_trouble_loses_nothing(
    databases: dict[str, Database], mail_server: MailServer, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr(settings(), "smtp_timeout", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if trouble == "hangs after the message":
            mail_server.script.append("hang")
        else:
            monkeypatch.setattr(settings(), "smtp_port", silent.getsockname()[1])
            if trouble == "silent":
                silent.listen()
        causes = [_queued(databases).id for _ in range(3)]
        tasks.send_due()
    states = [_delivery(databases, cause) for cause in causes]
    assert [delivery.status for delivery in states] == ["pending"] * 3
    assert [delivery.attempts for delivery in states] == [1, 0, 0]  # one asks, the others need not wait their turn out

    monkeypatch.setattr(settings(), "smtp_port", mail_server.port)
    _make_due(databases)
    tasks.send_due()
    assert [_delivery(databases, cause).status for cause in causes] == ["delivered"] * 3
    assert len({message["Message-ID"] for message in mail_server.received}) == len(mail_server.received) == 3


def test_it_gives_up_after_two_days_and_says_so(databases: dict[str, Database], mail_server: MailServer) -> None:
    mail_server.script.extend(["rcpt 451 later"] * 100)
    cause = _queued(databases).id
    begun = moment = now()
    for _ in range(service.MAX_ATTEMPTS):
        with moved_to(moment):
            tasks.send_due()
        moment = _delivery(databases, cause).next_attempt_at or moment
    delivery = _delivery(databases, cause)
    assert delivery.status == "failed"
    assert delivery.last_error == "Sin entrega tras 18 intentos. Lo último: 451 later"
    assert timedelta(days=1.6) < moment - begun < timedelta(days=2.6)
    assert [envelope["type"] for envelope in _published(databases)] == ["notifications.failed"]


def test_waits_grow_and_differ() -> None:
    random.seed(1)
    waits = [service.backoff(attempts).total_seconds() for attempts in range(1, 19)]
    assert service.backoff(0) == timedelta()
    assert 24 <= waits[0] <= 36
    assert all(later > earlier for earlier, later in pairwise(waits[:10]))
    assert max(waits) <= 6 * 3600 * 1.2
    assert len(set(waits)) == len(waits)


@pytest.mark.parametrize(
    ("recipient", "name"),
    [
        ("ana@correo.example\r\nBcc: todos@correo.example", "Ana"),
        ("ana@correo.example", "Ana\r\nBcc: todos@correo.example\r\n\r\nPague aquí"),
        ("Ana <ana@correo.example>, todos@correo.example", "Ana"),
        ("sin-arroba", "Ana"),
    ],
)
def test_nothing_in_a_name_or_address_becomes_a_header(
    databases: dict[str, Database], mail_server: MailServer, monkeypatch: pytest.MonkeyPatch, recipient: str, name: str
) -> None:
    pack = jurisdiction().model_copy(
        update={
            "messages": {"requests_answered.es.txt": "Hola {{ recipient_name }} {{ answer }}\n{{ recipient_name }}"}
        }
    )
    monkeypatch.setattr(sources, "jurisdiction", lambda: pack)
    cause = _queued(databases, recipient=recipient, name=name, answer="x\r\nBcc: otra@correo.example").id
    tasks.send_due()
    delivery = _delivery(databases, cause)
    if "\n" in name:
        [message] = mail_server.received
        assert message["Bcc"] is None
        assert message["Subject"] == "Hola Ana Bcc: todos@correo.example Pague aquí x"
        assert plain(message).splitlines() == [
            "Bcc: otra@correo.example",
            "Ana Bcc: todos@correo.example Pague aquí",
        ]
        assert mail_server.recipients == ["ana@correo.example"]
    else:
        assert mail_server.received == []
        assert (delivery.status, delivery.last_error) == ("failed", "La dirección del destinatario no es válida.")


@pytest.mark.parametrize("pipelining", [False, True])
def test_letters_outside_ascii_in_an_address(
    databases: dict[str, Database], mail_server: MailServer, pipelining: bool
) -> None:
    mail_server.pipelining = pipelining
    _queued(databases, recipient="ñandú@peñalosa.example")
    tasks.send_due()
    assert mail_server.recipients == ["ñandú@xn--pealosa-5za.example"]


def test_what_cannot_be_decrypted_fails_alone(databases: dict[str, Database], mail_server: MailServer) -> None:
    lost, good = _queued(databases).id, _queued(databases).id
    with databases["notifications"].tx() as session:
        session.execute(sa.text("update delivery set recipient = 'x' where cause_id = :id"), {"id": lost})
    tasks.send_due()
    delivery = _delivery(databases, lost)
    assert (delivery.status, _delivery(databases, good).status) == ("failed", "delivered")
    assert "descifrar" in str(delivery.last_error)


_SENDER = """
import sys
from tejido_notifications.delivery import tasks
print("ready", flush=True)
sys.stdin.readline()
runs = 1
while tasks.send_due():
    runs += 1
print(runs)
"""


def _sender_process(mail_server: MailServer, **more: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _SENDER],
        env={
            **os.environ,
            "NOTIFICATIONS_SMTP_PORT": str(mail_server.port),
            "NOTIFICATIONS_SMTP_SECURITY": "none",
            "NOTIFICATIONS_SMTP_TIMEOUT": "30",
            **more,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def _go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.close()


def test_two_senders_at_once_send_each_message_once(databases: dict[str, Database], mail_server: MailServer) -> None:
    for number in range(200):
        _queued(databases, recipient=f"persona{number}@correo.example")
    senders = [_sender_process(mail_server, NOTIFICATIONS_SMTP_CONNECTIONS="2") for _ in range(2)]
    for process in senders:
        _go(process)
    said = [process.stdout.read() for process in senders if process.stdout is not None]
    assert [process.wait(120) for process in senders] == [0, 0]
    runs = sum(int(text.split()[-1]) for text in said)
    assert mail_server.connections <= 2 * runs  # one for each line of a run of a few seconds, and not for each message
    assert sorted(mail_server.recipients) == sorted(f"persona{number}@correo.example" for number in range(200))
    assert len(_published(databases)) == 200


@pytest.mark.faults
def test_a_killed_sender_s_message_is_sent_by_the_next(databases: dict[str, Database], mail_server: MailServer) -> None:
    mail_server.script.append("hang")
    cause = _queued(databases).id
    process = _sender_process(mail_server, NOTIFICATIONS_SMTP_CONNECTIONS="1")
    _go(process)
    wait_until(lambda: mail_server.hanging, what="the sender is in the middle of a message")
    assert tasks.send_due() is False  # it is taken
    assert _delivery(databases, cause).status == "sending"
    process.kill()
    process.wait()
    wait_until(lambda: tasks.send_due() or _delivery(databases, cause).status == "delivered", 30)
    delivery = _delivery(databases, cause)
    assert [outcome for outcome, _ in _outcomes(databases, delivery)] == ["unknown", "accepted"]
    assert len(mail_server.received) == len(_published(databases)) == 1


def test_what_a_sender_that_is_gone_held_is_sent_by_any_line(
    databases: dict[str, Database], mail_server: MailServer
) -> None:
    database = databases["notifications"]
    cause = _queued(databases).id
    with senders.sender("email", 2) as first, senders.sender("email", 2) as second:
        assert first is not None
        assert second is not None
        with database.tx() as session:
            assert service.claim(session, "email", second.number) is not None
        with moved_to(now() + service.SETTLES), database.tx() as session:
            service.take_over(session, "email", first.number)
        assert _delivery(databases, cause).status == "sending"  # it has somebody
    tasks.send_due()
    assert _delivery(databases, cause).status == "sending"  # somebody who lost the number may be about to write it down
    with moved_to(now() + service.SETTLES):
        tasks.send_due()  # over the first line, for there is nothing to do for a second
    delivery = _delivery(databases, cause)
    assert [outcome for outcome, _ in _outcomes(databases, delivery)] == ["unknown", "accepted"]
    assert len(mail_server.received) == 1


def test_a_lease_that_ended_is_taken_over_and_a_late_word_still_counts(
    databases: dict[str, Database], mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings(), "lease", 300.0)
    monkeypatch.setattr(channels()["email"], "slots", 2)
    database = databases["notifications"]
    cause = _queued(databases).id
    with senders.sender("email", 2) as stuck:
        assert stuck is not None
        with database.tx() as session:
            lost = service.claim(session, "email", stuck.number)
        assert lost is not None
        tasks.send_due()
        assert _delivery(databases, cause).status == "sending"
        with moved_to(now() + timedelta(seconds=300)):
            tasks.send_due()
    assert _delivery(databases, cause).status == "delivered"

    with database.tx() as session:  # the sender thought dead comes back, with bad news and with good: nothing changes
        service.record(session, lost, Outcome("refused", "550 no"))
        service.record(session, lost, Outcome("accepted", "250 again"))
    delivery = _delivery(databases, cause)
    assert (delivery.status, delivery.evidence) == ("delivered", "250 2.0.0 … queued as 1")
    assert len(_published(databases)) == 1


def test_a_message_that_ends_its_senders_is_given_up(databases: dict[str, Database], mail_server: MailServer) -> None:
    cause = _queued(databases).id
    moment = now()
    for number in range(service.MAX_ATTEMPTS):
        with moved_to(moment), databases["notifications"].tx() as session:
            assert service.claim(session, "email", 0), number
        moment += 2 * service.SETTLES
        with moved_to(moment), databases["notifications"].tx() as session:
            service.take_over(session, "email", 0)
        moment = _delivery(databases, cause).next_attempt_at or moment
    assert _delivery(databases, cause).status == "failed"


def test_messages_are_accepted_while_the_server_hangs(
    databases: dict[str, Database], mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings(), "smtp_timeout", 60.0)
    mail_server.script.append("hang")
    _queued(databases)
    sender = threading.Thread(target=tasks.send_due)
    sender.start()
    wait_until(lambda: mail_server.hanging)
    for _ in range(20):
        _queued(databases)
    assert sender.is_alive()
    mail_server.hang_up()
    sender.join(60)
    assert not sender.is_alive()


def _message(recipient: str = "ana@correo.example") -> Message:
    return Message(new_id(), recipient, Letter("Asunto", "Texto\n", "es"))


@pytest.mark.parametrize("pipelining", [False, True])
def test_a_connection_that_went_stale_is_opened_anew(mail_server: MailServer, pipelining: bool) -> None:
    mail_server.pipelining = pipelining
    with Mailer(settings()) as mailer:
        assert mailer.send(_message()).result == "accepted"
        assert mailer.usable
        assert mailer._smtp is not None
        mailer._smtp.sock.shutdown(socket.SHUT_RDWR)
        assert mailer.send(_message()).result == "accepted"
        mailer.announce(message := _message())
        mailer._smtp.sock.shutdown(socket.SHUT_RDWR)
        assert mailer.send(message) == Outcome("deferred", code="dropped")  # nothing of it was said
        assert not mailer.usable
    assert mail_server.connections == 2
    assert len(mail_server.received) == 2


@pytest.mark.parametrize(
    ("script", "first", "connections"),
    [
        ([], "accepted", 1),
        (["data 451 4.3.0 Later"], "deferred", 1),
        (["data 554 5.7.1 No"], "refused", 1),
        (["mail 250", "mail 421 4.3.2 Enough"], "accepted", 2),
        (["mail 250", "mail 503 5.5.1 Not now"], "accepted", 2),
    ],
)
@pytest.mark.parametrize("pipelining", [False, True])
def test_an_expected_mail_is_sent_whatever_comes_of_the_one_before(
    mail_server: MailServer, script: list[str], first: str, connections: int, pipelining: bool
) -> None:
    mail_server.pipelining = pipelining
    mail_server.script.extend(script)
    with Mailer(settings()) as mailer:
        mailer.expect(eva := _message("eva@correo.example"))
        assert mailer.send(_message()).result == first
        assert mailer.send(eva).result == "accepted"
    assert mail_server.connections == connections
    assert mail_server.recipients == [*(["ana@correo.example"] if first == "accepted" else []), "eva@correo.example"]


def test_an_answer_is_read_though_nothing_can_be_said_any_more(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail_server.pipelining = True
    with Mailer(settings()) as mailer:
        assert mailer.send(_message()).result == "accepted"
        assert mailer._smtp is not None
        line = mailer._smtp.sock

        def said(_: object) -> bytes:
            line.shutdown(socket.SHUT_WR)
            return b"MAIL"

        mailer.announce(ana := _message())
        mailer.expect(eva := _message("eva@correo.example"))
        with monkeypatch.context() as patch:
            patch.setattr(email._Envelope, "at_once", said)
            assert mailer.send(ana).result == "accepted"
        assert mailer.send(eva).result == "accepted"
    assert (mail_server.connections, len(mail_server.received)) == (2, 3)


def test_an_expected_mail_that_does_not_come_leaves_nothing_behind(mail_server: MailServer) -> None:
    mail_server.pipelining = True
    with Mailer(settings()) as mailer:
        for number in range(3):  # the second time to the same recipient, which is as good
            mailer.expect(_message("eva@correo.example"))
            assert mailer.send(_message(("ana@", "eva@", "luis@")[number] + "correo.example")).result == "accepted"
        mailer.expect(_message("nadie@correo.example"))
        assert mailer.send(_message()).result == "accepted"
    assert mail_server.recipients == [f"{name}@correo.example" for name in ("ana", "eva", "luis", "ana")]
    assert mail_server.connections == 3
    assert [plain(message) for message in mail_server.received] == ["Texto\r\n"] * 4


@pytest.mark.parametrize("then", ["nobody", "gone"])
def test_a_no_to_the_recipient_stands_whatever_comes_after_it(mail_server: MailServer, then: str) -> None:
    mail_server.pipelining = True
    mail_server.script.extend(["rcpt 550 5.1.1 No such user", then])
    with Mailer(settings()) as mailer:
        refused = mailer.send(_message())
        assert (refused.result, refused.code) == ("refused", "5.1.1")
        assert mailer.send(_message()).result == "accepted"
    assert (mail_server.connections, len(mail_server.received)) == (2, 1)


@pytest.mark.parametrize("announced", [False, True])
@pytest.mark.parametrize("expecting", [False, True])
def test_a_connection_that_breaks_in_the_middle_of_a_text(
    mail_server: MailServer, announced: bool, expecting: bool
) -> None:
    mail_server.pipelining = True
    with Mailer(settings()) as mailer:
        assert mailer.send(_message()).result == "accepted"
        mail_server.script.append("cut")
        if expecting:
            mailer.expect(_message("eva@correo.example"))
        if announced:
            mailer.announce(message := _message())
            assert mailer.send(message).result in ("deferred", "unknown")  # as soon as it is noticed
        else:
            assert mailer.send(_message()).result in ("deferred", "unknown")
        assert not mailer.usable
        assert mailer.send(_message()).result == "accepted"
    assert (mail_server.connections, len(mail_server.received)) == (2, 2)


def test_without_the_security_that_was_asked_for_nothing_is_sent(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings(), "smtp_security", "starttls")
    with Mailer(settings()) as mailer:
        outcome = mailer.send(_message())
    assert (outcome.result, outcome.code) == ("deferred", "not_offered")
    assert mail_server.received == []
