"""A mail server on loopback that misbehaves on demand, and real events of the requests service."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tejido_notifications.events import HANDLERS
from tejido_notifications.settings import settings
from tejido_shared import contracts
from tejido_shared.clock import moved_to
from tejido_shared.db import Database
from tejido_shared.inbox import receive
from tejido_shared.seam import outbox

FRIDAY_EVENING = datetime(2026, 12, 4, 23, 40, tzinfo=UTC)  # 18:40 in Bogotá; Tuesday the 8th is a holiday


logging.getLogger("mail.log").setLevel(logging.WARNING)  # it writes every address


class MailServer(Controller):
    """Takes mail. `script` says what to do with the next messages instead: `rcpt <reply>`, `data <reply>`, `drop` or `hang`."""

    def __init__(self) -> None:
        self.script: deque[str] = deque()
        self.received: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.connections = 0
        self.hanging = 0
        super().__init__(self, hostname="127.0.0.1", port=0)

    def factory(self) -> SMTP:
        self.connections += 1
        return _Conversation(self)

    def _trigger_server(self) -> None:  # the controller knocks at the port it was given, which is none
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        super()._trigger_server()

    def next(self, *kinds: str) -> str | None:
        return self.script.popleft() if self.script and self.script[0].startswith(kinds) else None

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]) -> str:
        if scripted := self.next("rcpt"):
            return scripted.removeprefix("rcpt ")
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:
        if scripted := self.next("data"):
            return scripted.removeprefix("data ")
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
        match self._mail_server.next("drop", "hang"):
            case "drop":
                await self.push("354 go on")
                self.transport.close()  # type: ignore[union-attr]
            case "hang":
                await self.push("354 go on")
                self._mail_server.hanging += 1
                await asyncio.sleep(60)
            case _:
                await super().smtp_DATA(arg)


@pytest.fixture
def mail_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    server.connections = 0  # its own knock at the door
    monkeypatch.setattr(settings(), "smtp_port", server.port)
    monkeypatch.setattr(settings(), "smtp_security", "none")
    monkeypatch.setattr(settings(), "smtp_timeout", 5.0)
    yield server
    server.stop()


def file_request(databases: dict[str, Database], **petitioner: Any) -> tuple[Any, contracts.Envelope]:
    """Files a request as a citizen would, on a Friday evening. Returns it and the event that tells of it."""
    from tejido_requests import schemas, service

    person = {"name": "Ana María Muñoz", "email": "ana.munoz@correo.example", **petitioner}
    filing = service.Filing(
        subject="Arreglo del salón comunal",
        reasons="Se llueve",
        petitioner=schemas.Petitioner(**person),
        attachments=[],
        request_type=None,
        organization_id=None,
        project_id=None,
        language="es",
        channel="web",
        verbal=False,
        received_at=None,
        due_date=None,
        filed_by=None,
        received_by=None,
    )
    with moved_to(FRIDAY_EVENING), databases["requests"].tx() as session:
        request = service.file(session, filing)
    return request, last_event(databases, "requests.submitted")


def last_event(databases: dict[str, Database], type_: str, publisher: str = "requests") -> contracts.Envelope:
    """The youngest event of this type that waits in the publisher's outbox."""
    query = sa.select(outbox.c.envelope).where(outbox.c.envelope["type"].astext == type_).order_by(outbox.c.id.desc())
    with databases[publisher].tx() as session:
        return contracts.Envelope.model_validate(session.scalars(query.limit(1)).one())


def deliver_event(databases: dict[str, Database], envelope: contracts.Envelope, sent: int = 1) -> bool:
    """Brings an event to the notifications service as the relay would. Returns whether it was confirmed."""
    letter = {"envelope": envelope.model_dump(mode="json"), "sent": sent}
    return receive(databases["notifications"], HANDLERS, [letter]) == [envelope.id]
