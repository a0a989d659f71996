"""A mail server on loopback that misbehaves on demand, and events as the requests service publishes them."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tejido_notifications.channels.configured import channels
from tejido_notifications.delivery import service, tasks
from tejido_notifications.events import HANDLERS
from tejido_notifications.letters import samples
from tejido_notifications.models import Delivery
from tejido_notifications.settings import settings
from tejido_shared import contracts
from tejido_shared.clock import now
from tejido_shared.db import Database
from tejido_shared.ids import new_id
from tejido_shared.inbox import receive
from tejido_shared.personal import seal
from tejido_shared.seam import outbox

FRIDAY_EVENING = datetime(2026, 12, 4, 23, 40, tzinfo=UTC)  # 18:40 in Bogotá; Tuesday the 8th is a holiday
NUMBER, CODE = "BOG-2026-000001-37", "K7QM2XRD"


logging.getLogger("mail.log").setLevel(logging.WARNING)  # it writes every address


ANA = "ana.munoz@correo.example"
LEGAL, SERVICE, CAMPAIGN = "requests.submitted", "requests.message_undelivered", "notifications.call"


class MailServer(Controller):
    """Takes mail. `script` says what to do with the next messages instead: `mail <reply>`, `rcpt <reply>`, `data <reply>`, `drop` once
    it has come, `cut` in its middle, `hang`, `gone` when it should be asked for, or `nobody`, to ask for the text though
    nobody is to have it."""

    def __init__(self) -> None:
        self.script: deque[str] = deque()
        self.received: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.connections = 0
        self.hanging: list[_Conversation] = []
        self.pipelining = False
        self.before_accepting: Callable[[], object] = lambda: None
        super().__init__(self, hostname="127.0.0.1", port=0)

    def factory(self) -> SMTP:
        self.connections += 1
        return _Conversation(self)

    def _trigger_server(self) -> None:  # the controller knocks at the port it was given, which is none
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        super()._trigger_server()

    def next(self, *kinds: str) -> str | None:
        return self.script.popleft() if self.script and self.script[0].startswith(kinds) else None

    def hang_up(self) -> None:
        """Ends the conversations that hang."""
        for conversation in self.hanging:
            self.loop.call_soon_threadsafe(conversation.transport.close)  # type: ignore[union-attr]

    async def handle_EHLO(
        self, _: SMTP, session: Session, __: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [responses[0], *(["250-PIPELINING"] if self.pipelining else []), *responses[1:]]

    async def handle_MAIL(self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        scripted = self.next("mail")
        if scripted is not None and not scripted.startswith("mail 250"):
            return scripted.removeprefix("mail ")
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]) -> str:
        scripted = self.next("rcpt")
        if scripted is not None and not scripted.startswith("rcpt 250"):
            return scripted.removeprefix("rcpt ")
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:
        if scripted := self.next("data"):
            return scripted.removeprefix("data ")
        self.before_accepting()
        content = envelope.content
        assert isinstance(content, bytes)
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.received.append(message)
        self.recipients += envelope.rcpt_tos
        return f"250 2.0.0 <{envelope.rcpt_tos[0]}> queued as {len(self.received)}"


class _Conversation(SMTP):
    def __init__(self, server: MailServer) -> None:
        super().__init__(server, enable_SMTPUTF8=True, hostname="mail.example.org")
        self._mail_server = server

    async def smtp_DATA(self, arg: str) -> None:
        match self._mail_server.next("drop", "cut", "hang", "gone", "nobody"):
            case "drop":
                await self.push("354 go on")
                while await self._reader.readline() != b".\r\n":  # type: ignore[union-attr]
                    pass
                self.transport.close()  # type: ignore[union-attr]
            case "cut":
                await self.push("354 go on")
                await self._reader.readline()  # type: ignore[union-attr]
                self.transport.abort()  # type: ignore[union-attr]
            case "gone":
                self.transport.close()  # type: ignore[union-attr]
            case "nobody":
                await self.push("354 go on")
                assert await self._reader.readline() == b""  # type: ignore[union-attr]
            case "hang":
                await self.push("354 go on")
                self._mail_server.hanging.append(self)
                await asyncio.sleep(60)
            case _:
                await super().smtp_DATA(arg)


@pytest.fixture
def database(databases: dict[str, Database]) -> Database:
    return databases["notifications"]


@pytest.fixture
def mail_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    server.connections = 0  # its own knock at the door
    monkeypatch.setattr(settings(), "smtp_port", server.port)
    monkeypatch.setattr(settings(), "smtp_security", "none")
    monkeypatch.setattr(settings(), "smtp_timeout", 5.0)
    monkeypatch.setattr(
        channels()["email"], "slots", 1
    )  # one line, or what is scripted would meet whichever comes first
    monkeypatch.setattr(tasks, "RUN_SECONDS", 60.0)  # one run sends all that is due, on a slow machine too
    yield server
    server.stop()


def plain(message: EmailMessage) -> str:
    """The text of a mail."""
    body = message.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert isinstance(text, str)
    return text


def told(kind: type[contracts.Event], /, *, subject_version: int = 1, **fields: Any) -> contracts.Envelope:
    """An event of one request of Ana's. Every other field of it has to be given, plain; what travels sealed is sealed here."""
    request = {
        "request_id": new_id(),
        "number": NUMBER,
        "type_name": "Petición de interés general",
        "office": "asuntos-comunales",
        "received_at": FRIDAY_EVENING,
        "recipient_name": "Ana María Muñoz",
        "recipient_email": "ana.munoz@correo.example",
    }
    given = {name: value for name, value in request.items() if name in kind.model_fields} | fields
    for name, field in kind.model_fields.items():
        if "Sealed" in str(field.annotation) and given.get(name) is not None:
            given[name] = seal(given[name])
    return contracts.envelope_of(
        kind(**given),
        event_id=new_id(),
        subject_version=subject_version,
        occurred_at=FRIDAY_EVENING,
        correlation_id="c-1",
        traceparent=None,
    )


def filed(**fields: Any) -> contracts.Envelope:
    """What tells of a request filed on a Friday evening before a holiday."""
    given = {
        "request_type": "peticion-interes-general",
        "due_date": date(2026, 12, 29),
        "term": "15 días hábiles",
        "article": "Ley 1755 de 2015, art. 14 inc. 1",
        "days": list(_days()),
        "tracking_code": CODE,
    }
    return told(contracts.RequestSubmitted, **{**given, **fields})


def _days() -> Iterator[contracts.CountedDay]:
    closed = {8: "Inmaculada Concepción (Ley 51 de 1983)", 25: "Navidad (Ley 51 de 1983)"}
    ordinal = 0
    for day in (date(2026, 12, 4) + timedelta(days=n) for n in range(1, 26)):
        why_not = "fin de semana" if day.weekday() > 4 else closed.get(day.day)
        ordinal += why_not is None
        yield contracts.CountedDay(day=day, ordinal=None if why_not else ordinal, why_not=why_not)


CITIZEN_EVENTS: dict[type[contracts.Event], dict[str, Any]] = {
    contracts.RequestCompletionAsked: {
        "asked_at": FRIDAY_EVENING,
        "what": "El plano del salón.\nLa firma.",
        "complete_until": date(2027, 1, 4),
        "days_left": 9,
        "may_be_extended": True,
    },
    contracts.RequestExtensionAnnounced: {
        "notice_id": new_id(),
        "announced_at": FRIDAY_EVENING,
        "reasons": "Hay que visitar el salón.",
        "due_date": date(2026, 12, 29),
        "new_due_date": date(2027, 1, 20),
    },
    contracts.RequestDueDateMoved: {
        "moved_at": FRIDAY_EVENING,
        "cause": "closure",
        "old_due_date": date(2026, 12, 29),
        "new_due_date": date(2026, 12, 30),
        "act": "Día cívico (Decreto 999 de 2026)",
    },
    contracts.RequestTransferred: {
        "transferred_at": FRIDAY_EVENING,
        "authority": "Acueducto de Bogotá",
        "reasons": "El acueducto repara las redes.",
        "evidence": "Oficio S-2026-000009-11",
    },
    contracts.RequestWithdrawn: {
        "withdrawn_at": FRIDAY_EVENING,
        "tacit": True,
        "reasons": "No llegó el plano.",
    },
    contracts.RequestAnswered: {
        "answer_id": new_id(),
        "answered_at": FRIDAY_EVENING,
        "answer": "Sí: la obra empieza en enero.\n\nCordialmente",
        "answer_number": "BOG-S-2026-000007-11",
        "appeal_until": "dentro de los 10 días siguientes, ante esta oficina.",
    },
}
"""What a citizen is told after the acknowledgement, with every field that may be given."""


def deliver_event(databases: dict[str, Database], envelope: contracts.Envelope, sent: int = 1) -> bool:
    """Brings an event to the notifications service as the relay would. Returns whether it was confirmed."""
    letter = {"envelope": envelope.model_dump(mode="json"), "sent": sent}
    return receive(databases["notifications"], HANDLERS, [letter]) == [envelope.id]


def queued(
    database: Database, kind: str = LEGAL, address: str = ANA, *, at: datetime | None = None, **more: Any
) -> UUID:
    """The cause of a message that was queued, or was not wanted."""
    cause = service.Cause(new_id(), kind, new_id(), now())
    with database.tx() as session:
        service.queue(
            session,
            cause,
            audience="citizen",
            address=address,
            language="es",
            context=samples.sample(kind, full=True),
            send_from=at,
            **more,
        )
    return cause.id


def found(database: Database, cause: UUID) -> list[Delivery]:
    query = sa.select(Delivery).where(Delivery.cause_id == cause, Delivery.channel != "webhook")
    with database.tx() as session:
        return list(session.scalars(query.order_by(Delivery.created_at, Delivery.id)))


def only(database: Database, cause: UUID) -> Delivery:
    [delivery] = found(database, cause)
    return delivery


def published(database: Database) -> list[tuple[str, str]]:
    """Type and message of what was announced."""
    with database.tx() as session:
        return [(one["type"], one["subject"]) for one in session.scalars(sa.select(outbox.c.envelope))]
