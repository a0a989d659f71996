"""What each channel says to its other side, and what it makes of the answers: over real sockets, with other sides that misbehave."""

import io
import json
import logging
import socket
import threading
import time
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dkim
import http_ece
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from fastapi.testclient import TestClient
from hypothesis import example, given
from hypothesis import settings as tried
from hypothesis import strategies as st
from py_vapid import Vapid02
from pydantic import SecretStr

from tejido_notifications.app import create_app
from tejido_notifications.channels import Attached, Message, Outcome
from tejido_notifications.channels.email import EmailChannel, Mailer, Signer
from tejido_notifications.channels.in_app import InAppChannel
from tejido_notifications.channels.relayed import RelayedChannel
from tejido_notifications.channels.web_push import PushSubscription, WebPushChannel, _is_among, _origin, public_key
from tejido_notifications.letters.writing import Letter, Unsendable, one_line
from tejido_notifications.models import InAppMessage
from tejido_notifications.settings import NotificationsSettings, settings
from tejido_shared.clock import now
from tejido_shared.db import Database
from tejido_shared.ids import new_id

from .conftest import MailServer

LETTER = Letter("Su solicitud tiene respuesta: léala", "Señora Ana:\n\nSí.\n.\nCordialmente\n", "es")
TWIN = Letter(LETTER.subject, LETTER.body, "es", html="<p>Señora Ana:</p>\n<p>Sí.</p>\n")
CALENDAR = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nSUMMARY:Reuni\xc3\xb3n\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
ANA, PHONE = "ana.munoz@correo.example", "+573001234567"


def _message(recipient: str = ANA, letter: Letter = LETTER, **more: Any) -> Message:
    return Message(new_id(), recipient, letter, **more)


def _pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


# --- e-mail ------------------------------------------------------------------------------------------------------------------


def test_a_mail_has_its_twin_its_invitation_and_its_way_out(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings(), "bounce_sender", "rebotes@idpac.example.org")
    senders = []

    async def handle_mail(_: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]) -> str:
        envelope.mail_from = address
        senders.append(address)
        return "250 OK"

    mail_server.handle_MAIL = handle_mail  # type: ignore[attr-defined]
    headers = {"List-Unsubscribe": "<https://example.org/u/1>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    files = (
        Attached("reunión.ics", "text/calendar; charset=utf-8", CALENDAR),
        Attached("acta.pdf", "application/pdf", bytes(range(256))),
    )
    with EmailChannel(settings()).open() as line:
        assert line.send(_message(letter=TWIN, headers=headers, attached=files)).result == "accepted"
        assert line.send(_message(letter=TWIN)).result == "accepted"
        assert line.send(_message()).result == "accepted"
    mail, twins, plain = mail_server.received
    assert senders == ["rebotes@idpac.example.org"] * 3
    assert mail["From"].addresses[0].addr_spec == "atencion@idpac.example.org"
    assert {name: mail[name] for name in headers} == headers

    alternative, *attachments = mail.iter_parts()
    text, html, invitation = alternative.iter_parts()
    assert alternative.get_content_type() == "multipart/alternative"
    assert (text.get_content_type(), _lines(text)) == ("text/plain", TWIN.body)
    assert (html.get_content_type(), _lines(html)) == ("text/html", TWIN.html)
    assert invitation.get_content_type() == "text/calendar"
    assert invitation["Content-Type"].params["method"] == "REQUEST"
    assert [part.get_filename() for part in attachments] == ["reunión.ics", "acta.pdf"]
    assert [part.get_content_type() for part in attachments] == ["application/ics", "application/pdf"]
    assert [part.get_content() for part in attachments] == [CALENDAR, bytes(range(256))]
    assert [part.get_content_type() for part in twins.iter_parts()] == ["text/plain", "text/html"]
    assert (plain.get_content_type(), _lines(plain)) == ("text/plain", LETTER.body)


def _lines(part: Any) -> str:
    return str(part.get_content()).replace("\r\n", "\n")


@tried(max_examples=200, deadline=None)
@given(subject=st.text(min_size=1), body=st.text(), html=st.text())
@example(subject="0", body="é" * 400, html="é" * 400)  # one long line
def test_whatever_is_written_arrives_and_nothing_in_it_becomes_a_header(subject: str, body: str, html: str) -> None:
    letter = Letter(one_line(subject), body, "es", html=html)
    raw = Mailer(settings())._content(_message(letter=letter), ANA)
    mail = message_from_bytes(raw, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    assert str(mail["Subject"]).split() == letter.subject.split()
    assert mail.keys() == [
        *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Language", "MIME-Version"),
        *(["Content-Type"] if html else ["Content-Type", "Content-Transfer-Encoding"]),
    ]
    assert not mail.defects
    parts = list(mail.iter_parts()) if html else [mail]
    expected = [text.replace("\r\n", "\n").replace("\r", "\n") for text in (body, html)]
    found = [part.get_payload(decode=True).decode().replace("\r\n", "\n") for part in parts]  # type: ignore[union-attr]
    assert found == expected[: len(parts)]
    assert all(len(line) < 998 for line in raw.split(b"\r\n"))


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_a_signed_mail_is_verified_as_it_came_over_the_wire(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
    if kind == "rsa":
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        pytest.importorskip("nacl", reason="dkimpy verifies Ed25519 with it")
        key = ed25519.Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    monkeypatch.setattr(settings(), "dkim_key", SecretStr(_pem(key).replace("\n", "\\n")))
    wire = []
    take = mail_server.handle_DATA

    async def handle_data(smtp: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        wire.append(envelope.content)
        return await take(smtp, session, envelope)

    monkeypatch.setattr(mail_server, "handle_DATA", handle_data)
    with EmailChannel(settings()).open() as line:
        way_out = {"List-Unsubscribe": "<https://example.org/u/1>"}
        line.send(_message(letter=TWIN, headers=way_out))
        line.send(_message(letter=Letter("Sin acentos", "Texto  con   blancos \n\n\n", "es")))
        line.send(_message("ñandú@correo.example"))
    names = []
    record = b"v=DKIM1; k=%s; p=%s" % (kind.encode(), b64encode(public))

    def dns(name: bytes, **_: object) -> bytes:
        names.append(name)
        return record

    assert len(wire) == 3
    for raw in wire:
        assert dkim.verify(raw, dnsfunc=dns)
        for forged in (
            raw.replace(b"\r\nTo: ", b"\r\nFrom: otra@correo.example\r\nTo: "),
            raw.replace(b"Subject: ", b"Subject: No "),
            raw.replace(b"blancos", b"negros").replace(b"=C3=AD.", b"No."),
        ):
            assert forged != raw
            assert not dkim.verify(forged, dnsfunc=dns)
    assert set(names) == {b"tejido._domainkey.idpac.example.org."}


def test_a_key_that_cannot_sign_is_named() -> None:
    for bad in ("nada", _pem(ec.generate_private_key(ec.SECP256R1()))):
        with pytest.raises(ValueError, match="DKIM_KEY"):
            Signer(bad, "tejido")


@pytest.mark.parametrize(
    ("answer", "result", "code"),
    [
        ("rcpt 550 5.1.1 <ana.munoz@correo.example>: no such user", "refused", "5.1.1"),
        ("rcpt 550 nobody here", "refused", "550"),
        ("rcpt 552 5.2.2 over quota", "refused", "full"),
        ("rcpt 452 4.2.2 mailbox full", "deferred", "full"),
        ("data 452 4.3.1 disk", "deferred", "4.3.1"),
        ("rcpt 451 4.7.1 try later", "deferred", "greylisted"),
        ("rcpt 450 Greylisted for 300 seconds", "deferred", "greylisted"),
        ("rcpt 450 4.2.0 ana.munoz: Recipient address rejected: Graylisted", "deferred", "greylisted"),
        ("data 554 5.7.1 spam", "refused", "5.7.1"),
        ("data 250 2.0.0 queued", "accepted", None),
    ],
)
def test_an_answer_has_a_code_and_names_nobody(
    mail_server: MailServer, answer: str, result: str, code: str | None
) -> None:
    mail_server.script.append(answer)
    with EmailChannel(settings()).open() as line:
        outcome = line.send(_message())
        assert (outcome.result, outcome.code) == (result, code)
        assert "ana" not in outcome.reply.lower()
        assert line.usable
        assert line.send(_message()).result == "accepted"
    assert mail_server.connections == 1


def test_a_connection_is_cleared_only_after_a_message_that_did_not_end_well(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleared = []
    clear = SMTP.smtp_RSET

    async def smtp_rset(smtp: SMTP, arg: str) -> None:
        cleared.append(1)
        await clear(smtp, arg)

    monkeypatch.setattr(SMTP, "smtp_RSET", smtp_rset)
    with EmailChannel(settings()).open() as line:
        assert [line.send(_message()).result for _ in range(5)] == ["accepted"] * 5
        assert cleared == []
        mail_server.script.append("rcpt 550 5.1.1 no")
        assert [line.send(_message()).result for _ in range(3)] == ["refused", "accepted", "accepted"]
        assert cleared == [1]
        assert isinstance(line, Mailer)
        assert line._smtp is not None
        assert line._smtp.sock is not None
        line._smtp.sock.shutdown(socket.SHUT_RDWR)
        assert line.send(_message()).result == "accepted"
        mail_server.script.append("drop")
        assert (line.send(_message()), line.usable) == (Outcome("unknown", code="dropped"), False)
        assert line.send(_message()).result == "accepted"
    assert mail_server.connections == 3
    assert len(mail_server.received) == 9


# --- services that Apprise knows ---------------------------------------------------------------------------------------------


class Provider(ThreadingHTTPServer):
    """Answers a call whose path holds a status with that status; keeps what it was sent. `hang` and `cut` are what they say."""

    daemon_threads = True

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, str], bytes]] = []
        self.answer_headers: dict[str, str] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                provider.calls.append((self.path, dict(self.headers), body))
                asked = self.path.split("/")[1]
                if asked == "hang":
                    time.sleep(1.5)
                if asked in ("hang", "cut"):
                    self.connection.close()
                    return
                self.send_response(int(asked))
                for name, value in provider.answer_headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

            def finish(self) -> None:
                with suppress(ValueError, OSError):  # we have closed it
                    super().finish()

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def provider() -> Iterator[Provider]:
    server = Provider()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def every_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What a log of level DEBUG would hold."""
    root, written = logging.getLogger(), io.StringIO()
    handler = logging.StreamHandler(written)
    monkeypatch.setattr(root, "level", logging.DEBUG)
    root.manager._clear_cache()  # type: ignore[attr-defined]
    root.addHandler(handler)
    yield written
    root.removeHandler(handler)


def _relayed(provider: Provider, path: str, query: str = "") -> RelayedChannel:
    template = f"json://usuaria:clavesecreta@127.0.0.1:{provider.server_port}/{path}/{{address}}{query}"
    return RelayedChannel("sms", template, settings())


@pytest.mark.parametrize(
    ("path", "result", "code"),
    [
        ("200", "accepted", None),
        ("400", "refused", "400"),
        ("404", "refused", "404"),
        ("401", "deferred", "401"),
        ("429", "deferred", "busy"),
        ("500", "deferred", "500"),
        ("503", "deferred", "503"),
        ("302", "refused", "302"),
        ("hang", "unknown", "no_answer"),
        ("cut", "unknown", "dropped"),
    ],
)
def test_what_a_service_answers_is_told_apart_and_names_nobody(
    provider: Provider,
    every_log: io.StringIO,
    capfd: pytest.CaptureFixture[str],
    path: str,
    result: str,
    code: str | None,
) -> None:
    provider.answer_headers["Location"] = f"http://127.0.0.1:{provider.server_port}/200/otra"
    with _relayed(provider, path, "?rto=0.4").open() as line:
        outcome = line.send(_message(PHONE))
        assert line.usable
    assert (outcome.result, outcome.code) == (result, code)
    [(called, _, body)] = provider.calls
    assert called == f"/{path}/{PHONE}"
    said = json.loads(body)
    assert (said["title"], said["message"]) == (LETTER.subject, LETTER.body.strip())
    out, err = capfd.readouterr()
    for private in ("3001234567", "clavesecreta", "usuaria", "Ana", "127.0.0.1"):
        assert private not in outcome.reply + out + err + every_log.getvalue(), private


def test_many_messages_at_once_each_have_their_own_answer(provider: Provider) -> None:
    paths = ["200", "400", "429", "503"] * 6

    def send(path: str) -> str:
        with _relayed(provider, path).open() as line:
            return line.send(_message(PHONE)).result

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(send, paths))
    assert results == ["accepted", "refused", "deferred", "deferred"] * 6


def test_a_service_that_cannot_be_asked(provider: Provider) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        channel = RelayedChannel("sms", f"json://127.0.0.1:{nobody.getsockname()[1]}/{{address}}", settings())
        with channel.open() as line:
            assert line.send(_message(PHONE)) == Outcome("deferred", code="unreachable")
    for bad in ("json://127.0.0.1/todos", "nadie://{address}", "twilio://{address}"):
        with RelayedChannel("sms", bad, settings()).open() as line:
            assert line.send(_message(PHONE)) == Outcome("deferred", code="misconfigured")
    for nobody_s in ("", "+57300,+57301", "300/301", "300 301", "x\r\ny", "a&b", "%2B57"):
        with _relayed(provider, "200").open() as line:
            with pytest.raises(Unsendable):
                line.send(_message(nobody_s))
    assert provider.calls == []


def test_a_recipient_the_service_would_drop_is_never_sent() -> None:
    """Twilio's plug-in, without a valid recipient, would send to the sender's own number and be content."""
    template = "twilio://AC" + "a" * 32 + ":" + "b" * 32 + "@+15005550006/{address}"
    with RelayedChannel("sms", template, settings()).open() as line, pytest.raises(Unsendable):
        line.send(_message("ana"))


def test_rates_are_those_of_the_settings() -> None:
    rates = {"email": 10.0, "sms": 0.5, "web_push": 3.0}
    asked = NotificationsSettings(rates=rates)
    channels = EmailChannel(asked), RelayedChannel("sms", "json://x/{address}", asked), WebPushChannel(asked)
    assert [channel.rate for channel in channels] == [10.0, 0.5, 3.0]
    assert (RelayedChannel("whatsapp", "json://x/{address}", asked).rate, InAppChannel().rate) == (None, None)


# --- web push ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def push_key(monkeypatch: pytest.MonkeyPatch) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    raw = _b64url(key.private_numbers().private_value.to_bytes(32, "big"))
    monkeypatch.setattr(settings(), "web_push_key", SecretStr(raw))
    return raw


def test_a_page_learns_what_to_subscribe_with(
    databases: dict[str, Database], push_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TestClient(create_app()) as client:
        served = client.get("/v1/push-key").json()["application_server_key"]
        public = ec.derive_private_key(int.from_bytes(_unb64url(push_key), "big"), ec.SECP256R1()).public_key()
        assert _unb64url(served) == public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        monkeypatch.setattr(settings(), "web_push_key", SecretStr(""))
        assert client.get("/v1/push-key").json() == {"application_server_key": None}


class Browser:
    """What subscribes: it has the private key that alone opens its messages."""

    def __init__(self, endpoint: str) -> None:
        self.key, self.auth = ec.generate_private_key(ec.SECP256R1()), b"0123456789abcdef"
        point = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.address = json.dumps(
            {"endpoint": endpoint, "keys": {"p256dh": _b64url(point), "auth": _b64url(self.auth)}}
        )

    def opened(self, content: bytes) -> dict[str, str]:
        said: dict[str, str] = json.loads(http_ece.decrypt(content, private_key=self.key, auth_secret=self.auth))
        return said


def _b64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64url(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_a_browser_opens_what_it_is_pushed(provider: Provider, push_key: str) -> None:
    origin = f"http://127.0.0.1:{provider.server_port}"
    browser = Browser(f"{origin}/201/endpoint-secreto")
    long = Letter("漢" * 300, "😀" * 3000, "es")
    first, second = _message(browser.address), _message(browser.address, long)
    with WebPushChannel(settings(), frozenset({origin})).open() as line:
        assert line.send(first) == Outcome("accepted", "201 Created")
        assert line.send(second).result == "accepted"
    (_, headers, body), (_, _, large) = provider.calls
    expected = {"title": LETTER.subject, "body": LETTER.body.strip(), "url": settings().common.public_url}
    assert browser.opened(body) == {"id": str(first.id), **expected}
    assert len(large) < 3000
    assert browser.opened(large)["title"].startswith("漢漢")
    assert (headers["Content-Encoding"], headers["Topic"]) == ("aes128gcm", first.id.hex)
    assert int(headers["TTL"]) > 0
    assert Vapid02.verify(headers["Authorization"])
    assert headers["Authorization"].endswith(f",k={public_key(settings())}")


@pytest.mark.parametrize(
    ("status", "result", "code"),
    [
        (404, "refused", "gone"),
        (410, "refused", "gone"),
        (429, "deferred", "busy"),
        (503, "deferred", "busy"),
        (500, "deferred", "500"),
        (401, "deferred", "401"),
        (403, "refused", "403"),
        (413, "refused", "413"),
        (307, "refused", "307"),
    ],
)
def test_what_a_push_service_answers(provider: Provider, push_key: str, status: int, result: str, code: str) -> None:
    origin = f"http://127.0.0.1:{provider.server_port}"
    provider.answer_headers = {"Retry-After": "120", "Location": f"{origin}/201/otra"}
    with WebPushChannel(settings(), frozenset({origin})).open() as line:
        outcome = line.send(_message(Browser(f"{origin}/{status}/endpoint-secreto").address))
    assert (outcome.result, outcome.code) == (result, code)
    assert outcome.wait == (120.0 if code == "busy" else None)
    assert "secreto" not in outcome.reply
    assert len(provider.calls) == 1  # nobody is led elsewhere


def test_a_date_to_try_again_and_a_push_service_that_breaks_off(provider: Provider, push_key: str) -> None:
    origin = f"http://127.0.0.1:{provider.server_port}"
    with WebPushChannel(settings(), frozenset({origin, "http://127.0.0.1:9"})).open() as line:
        provider.answer_headers = {"Retry-After": format_datetime(now())}
        assert line.send(_message(Browser(f"{origin}/429/x").address)).wait == pytest.approx(0, abs=2)
        provider.answer_headers = {"Retry-After": "pronto"}
        assert line.send(_message(Browser(f"{origin}/429/x").address)).wait is None
        assert line.send(_message(Browser(f"{origin}/cut/x").address)) == Outcome("unknown", code="dropped")
        assert line.usable
        assert line.send(_message(Browser("http://127.0.0.1:9/x").address)) == Outcome("deferred", code="unreachable")
        assert not line.usable


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://fcm.googleapis.com/x",
        "https://fcm.googleapis.com:8443/x",
        "https://example.org/x",
        "https://fcm.googleapis.com.example.org/x",
        "https://evilfcm.googleapis.com/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://localhost/fcm.googleapis.com",
        "http://127.0.0.1:{port}/201/x",
    ],
)
def test_nobody_but_a_push_service_is_called(provider: Provider, push_key: str, endpoint: str) -> None:
    with WebPushChannel(settings()).open() as line:
        address = Browser(endpoint.replace("{port}", str(provider.server_port))).address
        assert line.send(_message(address)) == Outcome("refused", code="push_host")
    assert provider.calls == []


@pytest.mark.parametrize(
    "address",
    [
        "",
        "null",
        "{}",
        Browser("https://user@fcm.googleapis.com/x").address,
        Browser("ftp://fcm.googleapis.com/x").address,
        Browser("https://fcm.googleapis.com:puerto/x").address,
        Browser("https:///x").address,
        json.dumps({"endpoint": "https://fcm.googleapis.com/x", "keys": {"p256dh": "AAAA", "auth": "AAAA"}}),
        json.dumps({"endpoint": "https://fcm.googleapis.com/x", "keys": {"p256dh": "ñ", "auth": "="}}),
    ],
)
def test_what_is_no_subscription_is_never_sent(push_key: str, address: str) -> None:
    with WebPushChannel(settings()).open() as line, pytest.raises(Unsendable):
        line.send(_message(address))


def test_subdomains_of_push_services_are_push_services(push_key: str) -> None:
    for endpoint in ("https://fcm.googleapis.com/x", "https://WNS2-PAR02P.notify.windows.com/w/?token=1"):
        assert _is_among(
            _origin(PushSubscription.model_validate_json(Browser(endpoint).address).endpoint), settings().web_push_hosts
        )


# --- the application's own boxes ---------------------------------------------------------------------------------------------


def test_a_message_is_put_into_its_box_once(databases: dict[str, Database]) -> None:
    message = _message("account:ana", about=new_id())
    with InAppChannel().open() as line:
        assert [line.send(message).result for _ in range(3)] == ["accepted"] * 3
        for nobody in ("ana", "mailbox:ana", "account:", "account:a b"):
            with pytest.raises(Unsendable):
                line.send(_message(nobody))
    with databases["notifications"].tx() as session:
        [kept] = session.query(InAppMessage).all()
    assert (kept.id, kept.box, kept.about) == (message.id, "account:ana", message.about)
    assert (kept.title, kept.body, kept.read_at) == (LETTER.subject, LETTER.body, None)
