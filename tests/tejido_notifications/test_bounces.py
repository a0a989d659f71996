"""What comes back: reports by a signed call and in a mailbox, as servers write them and as nobody should."""

import base64
import ipaddress
import json
import re
import socketserver
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook

from tejido_notifications.app import create_app
from tejido_notifications.bounces import dsn, mailbox, service, tasks
from tejido_notifications.bounces.reports import words
from tejido_notifications.contacts import service as contacts
from tejido_notifications.delivery import service as delivery
from tejido_notifications.models import Address, Delivery, OptOut
from tejido_notifications.settings import settings
from tejido_shared.clock import now
from tejido_shared.db import Database
from tejido_shared.ids import new_id

ANA = "ana.munoz@correo.example"
ID = UUID("0192f0c1-2222-7000-8000-00000000abcd")
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


def sent(database: Database, template: str = "requests_answered", address: str = ANA) -> UUID:
    """A message that the mail server took."""
    cause = delivery.Cause(new_id(), "requests.answered", new_id(), now())
    with database.tx() as session:
        delivery.queue(
            session, cause, audience="citizen", address=address, language="es", context="{}", template=template
        )
    with database.tx() as session:
        found = session.scalars(sa.select(Delivery).where(Delivery.cause_id == cause.id)).one()
        found.status, found.next_attempt_at, found.delivered_at = "delivered", None, now()
        return found.id


def state(database: Database, delivery_id: UUID) -> tuple[str, str | None]:
    with database.tx() as session:
        found = session.get_one(Delivery, delivery_id)
        return found.status, found.last_error


def known(database: Database, address: str = ANA) -> contacts.Known | None:
    with database.tx() as session:
        return contacts.known(session, contacts.marks("email", address))


# Reports as mail servers write them


def report(blocks: str, returned: str, *, kind: str = "delivery-status", top: str = "") -> bytes:
    mail = f"""Return-Path: <>
From: MAILER-DAEMON@mx.correo.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: avisos@municipio.example
{top}MIME-Version: 1.0
Content-Type: multipart/report; report-type={kind};
\tboundary="9B095B5ADSN=_01"

This is a MIME-encapsulated message.

--9B095B5ADSN=_01
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--9B095B5ADSN=_01
Content-Description: Delivery report
Content-Type: message/{kind}

{blocks}
--9B095B5ADSN=_01
{returned}
--9B095B5ADSN=_01--
"""
    return mail.replace("\n", "\r\n").encode()


def original(delivery_id: UUID, as_type: str = "message/rfc822", body: str = "\nEstimada Ana\n") -> str:
    return (
        f"Content-Type: {as_type}\n\nReceived: by mx\nFrom: Alcaldia <avisos@municipio.example>\nTo: {ANA}\n"
        f"Message-ID:\n <{delivery_id}@municipio.example>\nSubject: =?utf-8?q?Respuesta?=\n{body}"
    )


def postfix(delivery_id: UUID = ID) -> bytes:
    return report(
        f"""Reporting-MTA: dns; mx.correo.example
X-Postfix-Queue-ID: 4SdY9B095B5A
X-Postfix-Sender: rfc822; avisos@municipio.example
Arrival-Date: Fri,  4 Dec 2026 18:40:00 -0500 (-05)

Final-Recipient: rfc822; {ANA}
Original-Recipient: rfc822;{ANA}
Action: failed
Status: 5.1.1
Remote-MTA: dns; mail.correo.example
Diagnostic-Code: smtp; 550 5.1.1 <{ANA}>: Recipient address rejected:
    User ana.munoz unknown in virtual mailbox table
""",
        original(delivery_id),
    )


def exim(delivery_id: UUID = ID) -> bytes:
    return report(
        f"""Reporting-MTA: dns; exim.municipio.example

Action: failed
Final-Recipient: rfc822;{ANA}
Status: 5.0.0
Remote-MTA: dns; mx.correo.example
Diagnostic-Code: smtp; 550-5.1.1 The email account that you tried to reach does not exist on 5.9.12.33. Please try
 550 5.1.1 again.
""",
        original(delivery_id, "text/rfc822-headers", ""),
        top=f"X-Failed-Recipients: {ANA}\nAuto-Submitted: auto-replied\n",
    )


def exchange(delivery_id: UUID = ID) -> bytes:
    """Without the message: only what it answers names it."""
    return report(
        f"""Reporting-MTA: dns;BN8NAM11.prod.protection.outlook.com
Received-From-MTA: dns;mx.municipio.example
Arrival-Date: Fri, 4 Dec 2026 23:40:02 +0000

Final-Recipient: rfc822;{ANA}
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient {ANA} not found by SMTP address lookup
X-Display-Name: Ana Munoz
""",
        "Content-Type: text/plain\n\nnothing",
        top=f"In-Reply-To: <{delivery_id}@municipio.example>\nReferences: <{delivery_id}@municipio.example>\n",
    )


def international(delivery_id: UUID = ID) -> bytes:
    """RFC 6533."""
    return report(
        """Reporting-MTA: dns; mx.correo.example

Final-Recipient: utf-8; ñandú@correo.example
Action: failed
Status: 5.1.6
Diagnostic-Code: smtp; 550 5.1.6 Mailbox ñandú has moved
""",
        original(delivery_id, "message/global-headers", ""),
        kind="global-delivery-status",
    )


def with_status(action: str, code: str, said: str = "", delivery_id: UUID = ID) -> bytes:
    blocks = f"Reporting-MTA: dns; mx\n\nFinal-Recipient: rfc822; {ANA}\nAction: {action}\nStatus: {code}\n"
    return report(blocks + (f"Diagnostic-Code: smtp; {said}\n" if said else ""), original(delivery_id))


@pytest.mark.parametrize(
    ("raw", "kind", "of_address", "reason"),
    [
        (
            postfix(),
            "permanent",
            True,
            "smtp; 550 5.1.1 … Recipient address rejected: User … unknown in virtual mailbox table",
        ),
        (exim(), "permanent", True, "smtp; 550-5.1.1 The email account that you tried to reach"),
        (exchange(), "permanent", True, "smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient … not found"),
        (international(), "permanent", True, "smtp; 550 5.1.6 Mailbox"),
        (with_status("delayed", "4.4.1"), "transient", False, "4.4.1"),
        (with_status("failed (expired)", "4.4.7"), "permanent", False, "4.4.7"),
        (with_status("failed", "5.2.2", "552 5.2.2 Mailbox full"), "permanent", False, "smtp; 552 5.2.2 Mailbox full"),
        (with_status("failed", "5.0.0", "550 5.7.1 Spam"), "permanent", False, "smtp; 550 5.7.1 Spam"),
        (with_status("failed", "5.4.1", "550 5.4.1 Access denied"), "permanent", True, "smtp; 550 5.4.1 Access denied"),
        (with_status("delivered", "2.0.0"), "transient", True, "2.0.0"),
        (with_status("failed", ""), "permanent", True, "5.0.0"),
    ],
)
def test_reports_as_servers_write_them(raw: bytes, kind: str, of_address: bool, reason: str) -> None:
    told = dsn.read(raw)
    assert told is not None
    assert (told.delivery_id, told.kind, told.of_address) == (ID, kind, of_address)
    assert told.reason.startswith(reason)
    assert "@" not in told.reason
    assert "munoz" not in told.reason


NO_REPORTS = [
    b"",
    b"\x00\xff" * 100,
    b"From: ana@correo.example\r\nSubject: Re: Respuesta\r\n\r\nNo me llega nada\r\n",
    postfix().replace(str(ID).encode(), b"20261204.4711"),
    postfix().replace(b"message/delivery-status", b"text/plain"),
    postfix().replace(b"Action: failed", b"X-Action: failed"),
    postfix().replace(b"multipart/report", b"text/plain"),
    postfix().replace(b"=_01", b"=_02", 1),
    b"Content-Type: multipart/report; boundary=a\r\n\r\n"
    + b"--a\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n" * 3000,
]


@pytest.mark.parametrize("raw", NO_REPORTS, ids=range(len(NO_REPORTS)))
def test_what_is_no_report_is_none(raw: bytes) -> None:
    assert dsn.read(raw) is None


@given(
    st.sampled_from([postfix(), exim(), exchange(), international()]),
    st.integers(0, 2000),
    st.integers(0, 60),
    st.binary(max_size=20),
)
def test_broken_ones_are_read_or_left(raw: bytes, start: int, length: int, instead: bytes) -> None:
    told = dsn.read(raw[:start] + instead + raw[start + length :])
    assert told is None or told.delivery_id is not None
    dsn.read(raw[:start])


def test_reasons_hold_no_address() -> None:
    assert words("550 <a.b@x.example> no such user\r\n ANA.MUNOZ!", "ana.munoz@x.example") == "550 … no such user …!"
    assert len(words("a" * 10**6)) == 500


# What they mean


def test_a_bounce_means_that_it_did_not_arrive(database: Database) -> None:
    message = sent(database)
    told = dsn.read(postfix(message))
    assert told is not None
    with database.tx() as session:
        assert service.report(session, told)
    assert state(database, message) == ("bounced", told.reason)
    found = known(database)
    assert found is not None
    assert found.bounced
    with database.tx() as session:
        assert session.scalars(sa.select(Address)).one().value == ANA
        assert [row[0] for row in session.execute(sa.text("select envelope->>'type' from outbox"))] == [
            "notifications.failed"
        ]
        session.execute(sa.update(Address).values(bounced_at=None))  # it was verified anew
    with database.tx() as session:
        assert not service.report(session, told), "told again"
    assert not (known(database) or found).bounced

    full = sent(database)
    told = dsn.read(with_status("failed", "5.2.2", "552 5.2.2 Mailbox full", full))
    assert told is not None
    with database.tx() as session:
        assert service.report(session, told)
    assert state(database, full)[0] == "bounced"
    assert not (known(database) or found).bounced, "the mailbox is there"

    shared = sent(database, address="oficina@municipio.example")
    told = dsn.read(postfix(shared))
    assert told is not None
    with database.tx() as session:
        assert service.report(session, told)
    assert state(database, shared)[0] == "bounced"
    assert known(database, "oficina@municipio.example") is None, "one of many behind the address is gone"

    later = sent(database)
    told = dsn.read(with_status("delayed", "4.4.1", "", later))
    assert told is not None
    with database.tx() as session:
        assert not service.report(session, told)
    assert state(database, later)[0] == "delivered"


# By a signed call


@pytest.fixture
def client(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(settings(), "bounce_secret", SecretStr(SECRET))
    with TestClient(create_app()) as client:
        yield client


def post(
    client: TestClient,
    body: Any,
    *,
    secret: str = SECRET,
    at: datetime | None = None,
    said: dict[str, Any] | None = None,
) -> Any:
    data, at = json.dumps(body), at or datetime.now(UTC)
    signed = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", at, data),
        "Content-Type": "application/json",
    }
    return client.post("/v1/bounces", content=data, headers={**signed, **(said or {})})


def test_a_provider_tells_what_came_back(client: TestClient, database: Database) -> None:
    message, call, legal = sent(database), sent(database, "notifications_call", "bea@correo.example"), sent(database)
    body = [
        {"message_id": f"<{message}@municipio.example>", "kind": "permanent", "reason": f"550 5.1.1 <{ANA}> unknown"},
        {"recipient": "Eva@Correo.example", "kind": "permanent", "reason": "no such user: eva"},
        {"message_id": f"{call}@municipio.example", "kind": "complaint"},
        {"message_id": f"{legal}@municipio.example", "kind": "complaint"},
        {"message_id": f"{legal}@municipio.example", "kind": "transient", "reason": "busy"},
        {"message_id": "<4711@other.example>", "recipient": "x@y.example", "kind": "transient"},
        {"message_id": f"<{new_id()}@municipio.example>", "kind": "permanent"},
    ]
    first = post(client, body)
    assert (first.status_code, first.json()) == (200, {"handled": 3})
    assert state(database, message) == ("bounced", "550 5.1.1 … unknown")
    assert state(database, legal)[0] == "delivered"
    again = post(client, body)
    assert again.status_code == 200
    eva = known(database, "eva@correo.example")
    assert eva is not None
    assert eva.bounced
    assert eva.unwanted("service")
    assert not eva.unwanted("legal")
    with database.tx() as session:
        assert [(one.category, one.how) for one in session.scalars(sa.select(OptOut))] == [("campaign", "complaint")]
        assert session.scalar(sa.select(sa.func.count()).select_from(Address)) == 3


def test_nobody_else_does(client: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    body = [{"recipient": ANA, "kind": "permanent"}]
    other = "whsec_" + base64.b64encode(b"x" * 32).decode()
    refused = [
        post(client, body, secret=other),
        post(client, body, at=datetime.now(UTC) - timedelta(minutes=6)),
        post(client, body, said={"webhook-signature": "v1,AAAA"}),
        post(client, body, said={"webhook-signature": "v1"}),
        post(client, body, said={"webhook-signature": "v1,ñ".encode()}),
        post(client, body, said={"webhook-timestamp": "inf"}),
        client.post("/v1/bounces", json=body),
    ]
    monkeypatch.setattr(settings(), "bounce_secret", SecretStr(""))
    refused.append(post(client, body))
    for answer in refused:
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:tejido:problem:bounce_unsigned")
    assert known(database) is None
    monkeypatch.setattr(settings(), "bounce_secret", SecretStr(SECRET))
    flawed: list[Any] = [
        [],
        [{"kind": "permanent"}],
        [{"recipient": "x", "kind": "permanent"}],
        [{"recipient": ANA, "kind": "no"}],
        {},
    ]
    for bad in flawed:
        assert post(client, bad).status_code == 422


# In a mailbox


class Mails(dict[str, bytes]):
    """What lies in a mailbox, by name, and what was asked of it. `script`: commands that break the line."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.script: list[str] = []
        self.password = "s p@ss/1"


class _Conversation(socketserver.StreamRequestHandler):
    mails: Mails

    def say(self, *lines: str | bytes) -> None:
        for line in lines:
            self.wfile.write((line if isinstance(line, bytes) else line.encode()) + b"\r\n")

    def handle(self) -> None:
        self.greet()
        for raw in self.rfile:
            line = raw.decode().rstrip("\r\n")
            self.mails.asked.append(line)
            if self.mails.script and self.mails.script[0] in line:
                self.mails.script.pop(0)
                return
            if not self.answer(line):
                return

    def greet(self) -> None: ...
    def answer(self, line: str) -> bool: ...  # type: ignore[empty-body]


class Pop3(_Conversation):
    def greet(self) -> None:
        self.names = list(self.mails)
        self.gone: list[str] = []
        self.say("+OK ready")

    def answer(self, line: str) -> bool:
        command, _, rest = line.partition(" ")
        match command:
            case "USER":
                self.say("+OK")
            case "PASS":
                self.say("+OK" if rest == self.mails.password else "-ERR no")
            case "UIDL":
                self.say("+OK", *(f"{n} {name}" for n, name in enumerate(self.names, 1)), ".")
            case "TOP":
                mail = self.mails[self.names[int(rest.split()[0]) - 1]]
                stuffed = [b"." + one if one.startswith(b".") else one for one in mail.split(b"\r\n")]
                self.say("+OK", *stuffed, ".")
            case "DELE":
                self.gone.append(self.names[int(rest) - 1])
                self.say("+OK")
            case "QUIT":
                for name in self.gone:
                    del self.mails[name]
                self.say("+OK")
                return False
            case _:
                self.say("-ERR what")
        return True


class Imap(_Conversation):
    def greet(self) -> None:
        self.say("* OK ready")

    def answer(self, line: str) -> bool:
        tag, _, rest = line.partition(" ")
        names = list(self.mails)
        match rest.split(" ")[0], rest:
            case "CAPABILITY", _:
                self.say("* CAPABILITY IMAP4rev1 UIDPLUS")
            case "LOGIN", _ if f'"{self.mails.password}"' not in rest:
                self.say(f"{tag} NO who")
                return True
            case "SELECT", _:
                self.say(f"* {len(names)} EXISTS", "* OK [UIDVALIDITY 7] valid")
            case "UID", _ if "SEARCH" in rest:
                self.say("* SEARCH " + " ".join(names))
            case "UID", _ if found := re.fullmatch(r"UID FETCH (\d+) \(BODY\.PEEK\[\]<0\.\d+>\)", rest):
                mail = self.mails[found[1]]
                self.say(f"* 1 FETCH (UID {found[1]} BODY[]<0> {{{len(mail)}}}", mail + b")")
            case "UID", _ if found := re.fullmatch(r"UID EXPUNGE (\d+)", rest):
                del self.mails[found[1]]
            case "LOGOUT", _:
                self.say("* BYE", f"{tag} OK")
                return False
        self.say(f"{tag} OK done")
        return True


@pytest.fixture(params=["pop3s", "imaps"])
def mails(
    request: pytest.FixtureRequest, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Mails]:
    """A mailbox on loopback, over TLS, that the task is set to read."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "both.pem").write_bytes(private + pem)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "both.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "both.pem"))

    held = Mails()
    kind = {"pop3s": Pop3, "imaps": Imap}[request.param]
    handler = type("Handler", (kind,), {"mails": held})
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"{request.param}://avisos%40municipio.example:s%20p%40ss%2F1@127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr(settings(), "bounce_url", SecretStr(url))
    monkeypatch.setattr(mailbox, "TIMEOUT", 5.0)
    tasks._left.clear()
    tasks._broke.clear()
    yield held
    server.shutdown()
    server.server_close()


def fetches(mails: Mails) -> int:
    return sum("TOP" in line or "FETCH" in line for line in mails.asked)


def test_bounces_are_taken_from_the_mailbox_and_nothing_else_is(mails: Mails, database: Database) -> None:
    lost, late = sent(database), sent(database, address="bea@correo.example")
    mails |= {
        "11": NO_REPORTS[2],
        "12": postfix(lost),
        "13": with_status("delayed", "4.4.1", "", late),
        "14": exim(new_id()),
        "15": NO_REPORTS[4],
        "16": b"Subject: \xff\xfe\r\n\r\n.\r\n..\r\n",
    }
    assert tasks.read_mailbox() == 3
    assert sorted(mails) == ["11", "15", "16"]
    assert (state(database, lost)[0], state(database, late)[0]) == ("bounced", "delivered")
    assert fetches(mails) == 6
    mails["17"] = exchange(late)
    assert tasks.read_mailbox() == 1
    assert state(database, late)[0] == "bounced"
    assert fetches(mails) == 7, "what is none is not fetched again"
    assert tasks.read_mailbox() == 0


def test_what_is_not_on_record_is_not_deleted(
    mails: Mails, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, also = sent(database), sent(database, address="bea@correo.example")
    mails |= {"21": postfix(lost), "22": postfix(also)}
    report_it = service.report

    def fails_late(session: Any, told: Any) -> bool:
        done = report_it(session, told)
        if told.delivery_id == also:
            raise sa.exc.OperationalError("commit", {}, Exception())
        return done

    with monkeypatch.context() as broken:
        broken.setattr(service, "report", fails_late)
        with pytest.raises(sa.exc.OperationalError):
            tasks.read_mailbox()
    assert (state(database, lost)[0], state(database, also)[0]) == ("bounced", "delivered")
    assert list(mails) == ["22"]

    # The line breaks between the record and the deletion: it is read again, and changes nothing.
    mails.script += ["DELE", "STORE"][:1] if "TOP" in " ".join(mails.asked) else ["STORE"]
    assert tasks.read_mailbox() == 0
    assert (state(database, also)[0], list(mails)) == ("bounced", ["22"])
    assert tasks.read_mailbox() == 1
    assert not mails
    with database.tx() as session:
        assert session.scalar(sa.text("select count(*) from outbox")) == 2


def test_a_mailbox_that_is_away_or_broken_is_no_error(mails: Mails, database: Database) -> None:
    lost = sent(database)
    mails |= {"31": b"Subject: breaks the line\r\n\r\n", "32": postfix(lost)}
    mails.password, right = "changed", mails.password
    assert tasks.read_mailbox() == 0
    mails.password = right
    command = "TOP 1 " if settings().bounce_url.get_secret_value().startswith("pop3s") else "FETCH 31"
    mails.script += [command] * 3
    assert [tasks.read_mailbox() for _ in range(4)] == [0, 0, 0, 1]
    assert list(mails) == ["31"]


@pytest.mark.parametrize(
    "url", ["pop3s://a:b@127.0.0.1:1", "imaps://a:b@127.0.0.1:1/INBOX", "", "http://x", "imaps://h:x"]
)
def test_no_mailbox(url: str, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "bounce_url", SecretStr(url))
    assert tasks.read_mailbox() == 0
