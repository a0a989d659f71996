"""Other systems are told: signed, once, without personal data; and one of them in trouble troubles nobody else."""

import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tejido_notifications.app import create_app
from tejido_notifications.channels import Message, Outcome, retry_after
from tejido_notifications.channels.webhook import WebhookChannel
from tejido_notifications.delivery import tasks
from tejido_notifications.letters.writing import Letter
from tejido_notifications.models import Delivery, KnownEvent, Subscription
from tejido_notifications.settings import settings
from tejido_notifications.webhooks import queries, service, targets
from tejido_shared import contracts
from tejido_shared.clock import moved_to, now
from tejido_shared.contracts import Envelope, event_in
from tejido_shared.db import Database
from tejido_shared.ids import new_id
from tejido_shared.testing import Issuer, environment, wait_until

from .conftest import CITIZEN_EVENTS, CODE, FRIDAY_EVENING, filed, told

Answer = Callable[[BaseHTTPRequestHandler], None]
PRIVATE = ("ana maría", "muñoz", "correo.example", CODE.lower(), "plano", "visitar", "gaaaa")
"""Of Ana and her request; and the beginning of what is sealed."""


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(http: BaseHTTPRequestHandler) -> None:
        http.send_response(code)
        for name, value in headers.items():
            http.send_header(name.replace("_", "-"), value)
        http.send_header("Content-Length", str(len(body)))
        http.end_headers()
        http.wfile.write(body)

    return answer


def slow(seconds: float) -> Answer:
    def answer(http: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        status(200)(http)

    return answer


def raw(first: bytes, piece: bytes = b"", every: float = 0.0, times: int = 0) -> Answer:
    """Not HTTP at all, or endless."""

    def answer(http: BaseHTTPRequestHandler) -> None:
        http.close_connection = True
        http.wfile.write(first)
        for _ in range(times):
            http.wfile.write(piece)
            time.sleep(every)

    return answer


class Receiver:
    """Another system on loopback, which checks signatures as its maker would. `answer` may be changed at any time."""

    def __init__(self, answer: Answer | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer or status(204)
        self.secrets: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.busy = self.most_busy = self.calls = 0
        receiver, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                with lock:
                    receiver.calls += 1
                    receiver.busy += 1
                    receiver.most_busy = max(receiver.busy, receiver.most_busy)
                try:
                    content = self.rfile.read(int(self.headers["content-length"]))
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    for secret in receiver.secrets:
                        Webhook(secret).verify(content, headers)
                    receiver.headers.append(headers)
                    receiver.answer(self)
                    receiver.bodies.append(json.loads(content))
                except (WebhookVerificationError, ConnectionError, ssl.SSLError):
                    self.close_connection = True

            def send_response(self, code: int, message: str | None = None) -> None:
                with lock:  # from now on the caller may know, and call again
                    receiver.busy -= 1
                super().send_response(code, message)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def ids(self) -> list[str]:
        return [body["id"] for body in self.bodies]


@pytest.fixture
def receivers() -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def make(*args: Any, **more: Any) -> Receiver:
        made.append(Receiver(*args, **more))
        return made[-1]

    yield make
    for receiver in made:
        receiver.close()


@pytest.fixture
def database(databases: dict[str, Database], monkeypatch: pytest.MonkeyPatch) -> Database:
    """The service's database; receivers on loopback may be called."""
    monkeypatch.setattr(settings(), "webhook_timeout", 1.0)
    channel = WebhookChannel(settings(), loopback=True)
    monkeypatch.setattr(tasks, "channels", lambda: {"webhook": channel})
    return databases["notifications"]


@pytest.fixture
def client(database: Database) -> Iterator[TestClient]:
    with TestClient(create_app()) as client:
        yield client


def subscribed(database: Database, receiver: Receiver | str, *events: str, **filters: list[Any]) -> UUID:
    """A subscription of a receiver on loopback, which the routes would refuse."""
    url = receiver if isinstance(receiver, str) else receiver.url
    secret = service.new_secret()
    subscription = Subscription(
        name="SIG", url=url, events=list(events or ("*",)), filters=filters, secret=secret, created_by="admin-1"
    )
    with database.tx() as session:
        session.add(subscription)
    if isinstance(receiver, Receiver):
        receiver.secrets = [secret]
    return subscription.id


def tell(database: Database, *envelopes: Envelope) -> None:
    for envelope in envelopes:
        with database.tx() as session:
            service.tell(session, event_in(envelope), envelope)


def deliveries(database: Database, subscription: UUID) -> list[Delivery]:
    with database.tx() as session:
        return list(session.scalars(sa.select(Delivery).where(queries.of(subscription)).order_by(Delivery.created_at)))


def read(database: Database, subscription: UUID) -> Subscription:
    with database.tx() as session:
        return session.get_one(Subscription, subscription)


def call(database: Database, subscription: UUID, channel: WebhookChannel | None = None) -> Outcome:
    """One call, without anything around it."""
    body = json.dumps({"id": str(new_id()), "type": "requests.submitted", "data": {"número": 1}}, ensure_ascii=False)
    with (channel or WebhookChannel(settings(), loopback=True)).open() as line:
        outcome = line.send(Message(new_id(), "", Letter("", body, "es"), recipient_key=str(subscription)))
        assert line.usable
    return outcome


# What they are told


def test_each_is_told_once_what_it_asked_for(database: Database, receivers: Callable[..., Receiver]) -> None:
    everything, answers, one_office, none = (receivers() for _ in range(4))
    subscribed(database, everything)
    subscribed(database, answers, "requests.ans*", "registry.organization_changed")
    subscribed(database, one_office, "requests.*", office=["asuntos-comunales", "obras"], verbal=[False])
    subscribed(database, none, "*", office=["hacienda"])
    submitted, verbal = filed(), filed(verbal=True)
    answered = told(contracts.RequestAnswered, **CITIZEN_EVENTS[contracts.RequestAnswered])
    for _ in range(2):
        tell(database, submitted, verbal, answered)
    tasks.send_due()
    tasks.send_due()

    ids = {name: str(one.id) for name, one in (("submitted", submitted), ("verbal", verbal), ("answered", answered))}
    assert sorted(everything.ids) == sorted(ids.values())
    assert answers.ids == [ids["answered"]]
    assert one_office.ids == [ids["submitted"]]
    assert none.calls == 0
    assert [headers["webhook-id"] for headers in everything.headers] == everything.ids
    body = one_office.bodies[0]
    assert (body["type"], body["subject"]) == ("requests.submitted", str(submitted.subject))
    assert datetime.fromisoformat(body["timestamp"]) == submitted.occurred_at
    assert body["data"]["due_date"] == "2026-12-29"
    assert "traceparent" not in body
    with database.tx() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(KnownEvent)) == 3


def test_nothing_sealed_is_told_of_any_event(database: Database) -> None:
    events = [filed(), *(told(kind, **fields) for kind, fields in CITIZEN_EVENTS.items())]
    reminder: dict[str, Any] = {"clock": "answer", "threshold": "-1", "due_date": "2026-12-29", "to": ["assignee"]}
    events.append(
        told(
            contracts.RequestReminder,
            **reminder,
            send_from=FRIDAY_EVENING,
            assignee="a-1",
            assignee_email="ana@correo.example",
        )
    )
    tell(database, *events)
    with database.tx() as session:
        known = {event.type: event.body for event in session.scalars(sa.select(KnownEvent))}
    assert len(known) == len(events)
    for event in events:
        data = known[event.type]["data"]
        assert data, event.type
        assert not [word for word in PRIVATE if word in json.dumps(known[event.type], ensure_ascii=False).lower()]
        sealed = {n for n, f in contracts.EVENTS[event.type].model_fields.items() if "Sealed" in str(f.annotation)}
        assert set(data) == set(event.data) - sealed - {"assignee"}  # the account of an official
    # Nor a mail server's words, which may name the recipient and more.
    about = {"message_id": new_id(), "cause_id": new_id(), "cause_type": "requests.answered", "about": new_id()}
    for event in (
        contracts.MessageFailed(**about, failed_at=now(), reason="550 Buzón de Ana, tel. 300 123 4567"),
        contracts.MessageDelivered(**about, delivered_at=now(), evidence="250 Ok, Ana"),
    ):
        told_of = contracts.envelope_of(
            event, event_id=new_id(), subject_version=1, occurred_at=now(), correlation_id="", traceparent=None
        )
        assert set(service.public(event, told_of)["data"]) == set(type(event).model_fields) - {"reason", "evidence"}
    # Nor what a newer publisher adds: nobody here can say whether it is sealed.
    newer = filed()
    newer = newer.model_copy(update={"data": {**newer.data, "recipient_phone": "300"}})
    assert "recipient_phone" not in service.public(event_in(newer), newer)["data"]


@given(st.text("ab.*", max_size=4), st.text("ab.", max_size=4))
def test_a_star_stands_for_any_end(pattern: str, name: str) -> None:
    begins = pattern.endswith("*") and name[: len(pattern) - 1] == pattern[:-1]
    assert service._is_among(name, [pattern]) == (begins or name == pattern)


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        ({"to": ["head"]}, True),
        ({"to": ["authority", "office"]}, True),
        ({"to": ["citizen"]}, False),
        ({"verbal": [1]}, False),
        ({"verbal": [True]}, True),
        ({"n": [True]}, False),
        ({"n": [1, 2]}, True),
        ({"missing": ["x"]}, False),
        ({"n": [1], "to": ["head"]}, True),
        ({"n": [2], "to": ["head"]}, False),
    ],
)
def test_filters(filters: dict[str, Any], passes: bool) -> None:
    body = {"type": "a.b", "data": {"to": ["office", "head"], "verbal": True, "n": 1, "empty": None}}
    assert service._wants(["*"], filters, body) is passes


# Receivers in trouble


@pytest.mark.parametrize(
    ("answer", "result", "code", "reply"),
    [
        (status(200, b"x" * 300_000), "accepted", None, "200 OK"),
        (raw(b"HTTP/1.1 200 OK\r\n\r\n", b"x", 0.2, 50), "accepted", None, "200 OK"),
        (status(410), "refused", "gone", "410 Gone"),
        (status(404, b"\n<b>no\x00 such</b> hook\nmore"), "deferred", "404", "404 Not Found: <b>no such</b> hook"),
        (status(500, b"ask bob@a.example at +57 300 1234567 or https://a.example/?t=1 now"), "deferred", "500", None),
        (status(400, b"\xff\xfe" + b"y" * 100_000), "deferred", "400", None),
        (status(302, Location="http://127.0.0.1:1/"), "deferred", "redirected", "302 Found"),
        (status(429, Retry_After="120"), "deferred", "busy", "429 Too Many Requests"),
        (status(503), "deferred", "busy", "503 Service Unavailable"),
        (status(799), "deferred", "799", "799"),
        (raw(b""), "unknown", "dropped", None),
        (raw(b"\x00\x01 not HTTP at all\r\n\r\n"), "unknown", "dropped", None),
        (raw(b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"b" * 2000 + b"\r\n", 0.0, 200), "unknown", "dropped", None),
        (raw(b"HTTP/1.1 200 OK\r\nX-A: ", b"b", 0.2, 50), "unknown", "no_answer", None),
        (
            raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 3, b"HTTP/1.1 100 Continue\r\n\r\n", 0.2, 50),
            "unknown",
            "no_answer",
            None,
        ),
        (slow(5), "unknown", "no_answer", None),
    ],
)
def test_whatever_a_receiver_answers_it_is_over_in_time(
    database: Database,
    receivers: Callable[..., Receiver],
    answer: Answer,
    result: str,
    code: str | None,
    reply: str | None,
) -> None:
    subscription = subscribed(database, receivers(answer))
    started = time.monotonic()
    outcome = call(database, subscription)
    assert time.monotonic() - started < 1.6
    assert (outcome.result, outcome.code) == (result, code)
    assert reply is None or outcome.reply == reply
    assert outcome.reply
    assert len(outcome.reply) <= 200
    assert outcome.reply.isprintable()
    assert not [word for word in ("bob", "1234567", "a.example", "t=1") if word in outcome.reply]
    assert outcome.wait == (120 if code == "busy" and "429" in outcome.reply else None)


def test_who_is_not_there(database: Database, receivers: Callable[..., Receiver]) -> None:
    gone = Receiver()
    gone.close()
    assert call(database, subscribed(database, gone)).code == "unreachable"
    assert call(database, subscribed(database, "https://no-such-name.invalid/")).code == "unreachable"
    assert (call(database, new_id()).result, call(database, new_id()).code) == ("refused", "no_subscription")
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert [retry_after(said) for said in ("", "soon", "-5", "9" * 20, "²")] == [None] * 5


def test_connections_are_kept_and_one_that_ended_is_not_used(
    database: Database, receivers: Callable[..., Receiver]
) -> None:
    receiver = receivers()
    subscription = subscribed(database, receiver)
    tell(database, *(filed() for _ in range(5)))
    ports: set[int] = set()

    def answer(http: BaseHTTPRequestHandler) -> None:
        ports.add(http.client_address[1])
        http.close_connection = len(receiver.bodies) == 2  # without a word about it
        status(204)(http)

    receiver.answer = answer
    tasks.send_due()
    assert len(receiver.bodies) == 5
    assert len(ports) == 2
    assert [delivery.status for delivery in deliveries(database, subscription)] == ["delivered"] * 5


def test_a_slow_receiver_slows_only_itself(database: Database, receivers: Callable[..., Receiver]) -> None:
    """Each call to one of them takes longer than all calls to the others together."""
    sluggish, quick = receivers(slow(0.8)), [receivers() for _ in range(4)]
    for receiver in (sluggish, *quick):
        subscribed(database, receiver)
    tell(database, *(filed() for _ in range(20)))
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            tasks.send_due()
            time.sleep(0.05)

    workers = [threading.Thread(target=work) for _ in range(2)]
    started = time.monotonic()
    try:
        for worker in workers:
            worker.start()
        wait_until(lambda: all(len(receiver.bodies) == 20 for receiver in quick), 10, "all is told to the quick ones")
        took = time.monotonic() - started
        told_the_slow_one = len(sluggish.bodies)
        late = filed()
        tell(database, late)
        took_later = wait_until(lambda: all(str(late.id) in receiver.ids for receiver in quick), 10, "what came later")
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    print(f"80 calls in {took:.1f} s beside {told_the_slow_one} slow ones; one more in {took_later:.2f} s")
    assert told_the_slow_one <= took / 0.8 + 1
    assert took < 20 * 0.8 / 2
    assert took_later < 2
    assert [receiver.most_busy for receiver in (sluggish, *quick)] == [1] * 5
    assert all(len(set(receiver.ids)) == len(receiver.ids) for receiver in quick)


def test_a_failing_receiver_rests_as_a_whole(database: Database, receivers: Callable[..., Receiver]) -> None:
    receiver = receivers(status(500))
    subscription = subscribed(database, receiver)
    tell(database, *(filed() for _ in range(10)))
    tasks.send_due()
    assert receiver.calls == 1
    receiver.answer = status(204)
    tasks.send_due()
    assert receiver.calls == 1
    with moved_to(now() + timedelta(seconds=13)):
        receiver.secrets.clear()  # its own clock does not run ahead
        tasks.send_due()
        assert receiver.calls == 10  # the first one's own wait is longer
    with moved_to(now() + timedelta(minutes=1)):
        tasks.send_due()
    assert receiver.calls == 11
    assert len(set(receiver.ids)) == 10
    row = read(database, subscription)
    assert (row.failing_since, row.rests_until, row.version) == (None, None, 1)


def test_rests_grow_to_an_hour_and_after_five_days_it_is_stopped(database: Database) -> None:
    subscription = subscribed(database, "http://127.0.0.1:1/")
    begin = now()

    def fails(after: timedelta, outcome: Outcome) -> Subscription:
        with moved_to(begin + after), database.tx() as session:
            service.heard(session, subscription, outcome)
        return read(database, subscription)

    failure, rests = Outcome("deferred", "500", "500"), []
    for after in (0, 10, 60, 600, 3600, 86_400):
        row = fails(timedelta(seconds=after), failure)
        assert row.rests_until is not None
        rests.append((row.rests_until - begin).total_seconds() - after)
    for rest, expected in zip(rests, (10, 10, 60, 600, 3600, 3600), strict=True):
        assert 0.79 * expected < rest < 1.22 * expected
    assert row.failing_since is not None
    assert fails(timedelta(days=4.9), failure).active
    assert fails(timedelta(days=4.95), Outcome("unsendable", "x", "undecryptable")) is not None
    row = fails(timedelta(days=5.01), failure)
    assert (row.active, row.version) == (False, 1)

    other = subscribed(database, "http://127.0.0.1:1/")
    with database.tx() as session:
        service.heard(session, other, Outcome("deferred", "429", "busy", wait=900.0))
    resting = read(database, other).rests_until
    assert resting is not None
    assert resting > now() + timedelta(seconds=880)
    with database.tx() as session:
        service.heard(session, other, Outcome("accepted", "200"))
    assert read(database, other).rests_until is None


# Where they may be


PUBLIC, OURS = ("93.184.216.34", "2606:2800:220:1::1"), ("10.1.2.3", "172.16.9.9", "192.168.1.1", "fd12:3456::1")
NOBODYS = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "169.254.169.254", "100.100.100.200", "168.63.129.16", "100.64.0.1"),
    *("224.0.0.1", "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "ff02::1", "fec0::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::1"),
    *("2001:0:7f00:1::1", "fd00:ec2::254", "::127.0.0.1", "198.18.0.1", "192.0.2.1"),
]


def test_addresses() -> None:
    for address in PUBLIC:
        assert targets.may_be_called(address, private=False)
        assert targets.may_be_called(f"::ffff:{address}" if "." in address else address, private=True)
    for address in OURS:
        assert not targets.may_be_called(address, private=False)
        assert targets.may_be_called(address, private=True)
    for address in NOBODYS:
        assert not targets.may_be_called(address, private=False), address
        assert not targets.may_be_called(address, private=True), address


@given(st.ip_addresses())
def test_what_may_be_called_is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if targets.may_be_called(str(address), private=False):
        assert not address.is_loopback
        assert not address.is_multicast
        inner = ipaddress.ip_address(int(address) & 0xFFFF_FFFF) if str(address).startswith("64:ff9b::") else address
        assert inner.is_global


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://sig.example.gov.co/hook?token=1", None),
        ("https://sig.example.gov.co:8443/hook", None),
        ("https://ñandú.example/", None),
        ("http://sig.example.gov.co/", "webhook_https"),
        ("ftp://sig.example.gov.co/", "webhook_https"),
        ("https://", "webhook_url"),
        ("https://u:p@sig.example.gov.co/", "webhook_url"),
        ("https://sig.example.gov.co\\@evil/", "webhook_url"),
        ("https://sig.example.gov.co/#x", "webhook_url"),
        ("https://sig_.example..co/", "webhook_url"),
        (f"https://{'a' * 70}.example/", "webhook_url"),
        ("https://[::1/", "webhook_url"),
        ("https://sig.example.gov.co:22/", "webhook_port"),
        ("https://sig.example.gov.co:99999/", "webhook_port"),
        ("https://localhost/", "webhook_address"),
        ("https://127.0.0.1/", "webhook_address"),
        ("https://127.1/", "webhook_address"),
        ("https://0x7f000001/", "webhook_address"),
        ("https://2130706433/", "webhook_address"),
        ("https://[::1]/", "webhook_address"),
        ("https://[::ffff:10.0.0.1]/", "webhook_address"),
        ("https://169.254.169.254/latest/meta-data", "webhook_address"),
        ("https://10.0.0.1/", "webhook_address"),
    ],
)
def test_addresses_on_the_web(url: str, problem: str | None) -> None:
    assert targets.problem_of(url, private=False) == problem
    assert targets.problem_of("https://10.0.0.1/", private=True) is None


def resolving(monkeypatch: pytest.MonkeyPatch, name: str, *addresses: str) -> list[str]:
    """Lets a name lead to these addresses; returns which names were asked for."""
    asked, real = [], socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        asked.append(host)
        if host != name:
            return real(host, port, *args, **more)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_no_name_leads_inside(
    database: Database, receivers: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = receivers()
    strict = WebhookChannel(settings())
    for addresses in (["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::ffff:127.0.0.1"], ["169.254.169.254"]):
        resolving(monkeypatch, "sig.example", *addresses)
        outcome = call(database, subscribed(database, f"https://sig.example:{receiver.port}/"), strict)
        assert (outcome.result, outcome.code) == ("deferred", "forbidden_address")
    assert call(database, subscribed(database, receiver.url), strict).code == "forbidden_address"
    assert receiver.calls == 0


def certificate(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    instant = datetime.now(UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(instant - timedelta(days=1)).not_valid_after(instant + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    made = builder.sign(key, hashes.SHA256())
    file, private = folder / "cert.pem", folder / "key.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, private)
    return file, context


def test_the_certificate_is_checked_against_the_name_and_the_name_is_asked_for_once(
    database: Database, receivers: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file, tls = certificate(tmp_path, "sig.example")
    receiver = receivers(tls=tls)
    with environment({"SSL_CERT_FILE": str(file)}):
        trusting = WebhookChannel(settings(), loopback=True)
    asked = resolving(monkeypatch, "sig.example", "127.0.0.1")
    subscription = subscribed(database, f"https://sig.example:{receiver.port}/")
    assert call(database, subscription, trusting).result == "accepted"
    assert asked.count("sig.example") == 1
    assert receiver.headers[0]["host"] == f"sig.example:{receiver.port}"

    assert call(database, subscription).code == "certificate"  # nobody vouches for it
    resolving(monkeypatch, "other.example", "127.0.0.1")
    outcome = call(database, subscribed(database, f"https://other.example:{receiver.port}/"), trusting)
    assert (outcome.result, outcome.code) == ("deferred", "certificate")


# Administrators


NEW = {"name": "SIG", "url": "https://sig.example.gov.co/hook?token=abc", "events": ["requests.*"]}


def test_the_life_of_a_subscription(
    client: TestClient, database: Database, issuer: Issuer, receivers: Callable[..., Receiver]
) -> None:
    admin, receiver = issuer.headers("administracion"), receivers()
    once = {**admin, "Idempotency-Key": "k-1"}
    made, again = (client.post("/v1/webhooks", json=NEW, headers=once) for _ in range(2))
    assert (made.status_code, made.json()) == (201, again.json())
    secret, at = made.json()["secret"], f"/v1/webhooks/{made.json()['id']}"
    assert secret.startswith("whsec_")
    listed = client.get("/v1/webhooks", headers=admin)
    seen = client.get(at, headers=admin)
    assert listed.json()["items"][0]["id"] == made.json()["id"]
    for answer in (listed, seen):
        assert "token" not in answer.text
        assert secret not in answer.text
    assert (seen.json()["url"], seen.json()["state"], seen.json()["waiting"]) == (
        "https://sig.example.gov.co/hook",
        "active",
        0,
    )
    with database.tx() as session:  # the routes let nobody subscribe on loopback
        session.get_one(Subscription, UUID(made.json()["id"])).url = receiver.url

    # A test reaches it whatever it subscribed to; both secrets sign for a day.
    receiver.secrets = [secret]
    test = client.post(f"{at}/test", headers={**admin, "Idempotency-Key": "k-2"})
    assert client.post(f"{at}/test", headers={**admin, "Idempotency-Key": "k-2"}).json() == test.json()
    tasks.send_due()
    assert [(body["type"], body["id"]) for body in receiver.bodies] == [("tejido.test", test.json()["event_id"])]
    new = client.post(f"{at}/secret", json={}, headers=admin).json()["secret"]
    assert new != secret
    receiver.secrets = [secret, new]
    tell(database, filed())
    tasks.send_due()
    assert len(receiver.bodies) == 2
    assert len(receiver.headers[-1]["webhook-signature"].split()) == 2
    with database.tx() as session:
        old = session.scalars(sa.select(Subscription.old_secret_until)).one()
        session.execute(sa.update(Subscription).values(old_secret_until=now()))
    assert old is not None
    assert timedelta(hours=23) < old - now() <= timedelta(hours=24)
    receiver.secrets = [new]
    tell(database, filed())
    tasks.send_due()
    signatures = receiver.headers[-1]["webhook-signature"].split()
    assert len(signatures) == 1
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(json.dumps(receiver.bodies[-1]), receiver.headers[-1])

    # It breaks, and is stopped; an administrator sees why and starts it again.
    receiver.answer = status(410, b"moved away")
    tell(database, filed())
    tasks.send_due()
    seen = client.get(at, headers=admin)
    assert (seen.json()["state"], seen.json()["active"]) == ("stopped", False)
    assert "410" in seen.json()["why"]
    assert seen.json()["last_failure"]["reply"] == "410 Gone: moved away"
    assert seen.json()["last_success_at"]
    assert client.post(f"{at}/test", headers=admin).json()["type"] == "urn:tejido:problem:webhook_inactive"
    calls = client.get(f"{at}/attempts", params={"limit": 2}, headers=admin).json()
    assert [one["code"] for one in calls["items"]] == ["gone", None]
    further = client.get(f"{at}/attempts", params={"limit": 2, "cursor": calls["next"]}, headers=admin).json()
    assert [one["event_type"] for one in further["items"]] == ["requests.submitted", "tejido.test"]
    failed = client.get(f"{at}/attempts", params={"outcome": "refused"}, headers=admin).json()["items"]
    assert [one["event_id"] for one in failed] == [calls["items"][0]["event_id"]]

    assert client.patch(at, json={"active": True}, headers=admin).status_code == 428
    stale = {**admin, "If-Match": '"77"'}
    assert client.patch(at, json={"active": True}, headers=stale).status_code == 412
    match = {**admin, "If-Match": seen.headers["ETag"]}
    started = client.patch(at, json={"active": True, "filters": {"office": ["obras"]}}, headers=match)
    assert (started.json()["state"], started.json()["why"]) == ("active", None)
    assert started.json()["filters"] == {"office": ["obras"]}
    assert started.json()["events"] == ["requests.*"]
    paused = client.patch(at, json={"active": False}, headers={**admin, "If-Match": started.headers["ETag"]})
    assert paused.json()["state"] == "paused"

    # Deleted: what still waited is cancelled.
    receiver.answer = status(204)
    with database.tx() as session:
        session.execute(sa.update(Subscription).values(active=True, filters={}))
    tell(database, filed())
    assert client.delete(at, headers=admin).status_code == 428
    assert client.delete(at, headers={**admin, "If-Match": "*"}).status_code == 204
    before = receiver.calls
    tasks.send_due()
    assert receiver.calls == before
    assert client.get(at, headers=admin).status_code == 404
    assert [one.status for one in deliveries(database, UUID(made.json()["id"]))][-1] == "cancelled"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "http://sig.example.gov.co/"}, "body.url"),
        ({"url": "https://localhost/"}, "body.url"),
        ({"url": "https://sig.example.gov.co:25/"}, "body.url"),
        ({"url": "https://a\x00b/"}, "body.url"),
        ({"events": []}, "body.events"),
        ({"events": ["requests.unheard_of"]}, "body.events"),
        ({"events": ["request\x00"]}, "body.events.0"),
        ({"filters": {"tracking_code": ["x"]}}, "body.filters"),
        ({"filters": {"nothing": ["x"]}}, "body.filters"),
        ({"filters": {"office": []}}, "body.filters.office"),
        ({"filters": {"office": ["\x00"]}}, "body.filters.office.0.constrained-str"),
        ({"secret": "whsec_AAAA"}, "body.secret"),
        ({"secret": "whsec_" + "A" * 33}, "body.secret"),
        ({"secret": "hello"}, "body.secret"),
        ({"name": ""}, "body.name"),
        ({"unknown": 1}, "body.unknown"),
    ],
)
def test_what_is_refused(client: TestClient, issuer: Issuer, change: dict[str, Any], field: str) -> None:
    answer = client.post("/v1/webhooks", json={**NEW, **change}, headers=issuer.headers("administracion"))
    assert answer.status_code == 422, answer.text
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert not [error for error in answer.json()["errors"] if error["reason"].startswith("field.")]


def test_only_administrators(client: TestClient, issuer: Issuer) -> None:
    one = f"/v1/webhooks/{new_id()}"
    wanted = {"since": now().isoformat()}
    for group in ("auditoria", "jefatura:oficina-juridica", "funcionario:oficina-juridica", "registro", "ciudadania"):
        who = issuer.headers(group)
        for method, path, body in (
            ("GET", "/v1/webhooks", None),
            ("POST", "/v1/webhooks", NEW),
            ("GET", one, None),
            ("PATCH", one, {}),
            ("DELETE", one, None),
            ("POST", f"{one}/secret", {}),
            ("POST", f"{one}/test", None),
            ("GET", f"{one}/attempts", None),
            ("POST", f"{one}/replays", wanted),
        ):
            assert client.request(method, path, json=body, headers=who).status_code == 403
    admin = issuer.headers("administracion")
    for path, body in ((f"{one}/secret", {}), (f"{one}/test", None), (f"{one}/replays", wanted)):
        assert client.post(path, json=body, headers=admin).status_code == 404
    assert client.get(f"{one}/attempts", headers=admin).status_code == 404


def test_what_is_told_again_counts_from_when_it_was_asked_for(
    client: TestClient, database: Database, issuer: Issuer, receivers: Callable[..., Receiver]
) -> None:
    admin, receiver = issuer.headers("administracion"), receivers()
    old = filed().model_copy(update={"occurred_at": now() - timedelta(days=10)})
    tell(database, old)
    subscription = subscribed(database, receiver, "requests.submitted")
    period = {"since": (old.occurred_at - timedelta(days=1)).isoformat()}
    for times in (1, 2):  # first what it had never been told, then what it had
        assert client.post(f"/v1/webhooks/{subscription}/replays", json=period, headers=admin).json()["queued"] == 1
        tasks.send_due()
        assert receiver.ids == [str(old.id)] * times
        [flow] = client.get("/v1/figures", headers=admin).json()["period"]
        assert 0 <= flow["seconds"]["p50"] < 60


def test_what_was_missed_is_told_again(
    client: TestClient,
    database: Database,
    issuer: Issuer,
    receivers: Callable[..., Receiver],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    admin, receiver = issuer.headers("administracion"), receivers()
    early = [filed().model_copy(update={"occurred_at": FRIDAY_EVENING + timedelta(hours=n)}) for n in range(4)]
    answered = told(contracts.RequestAnswered, **CITIZEN_EVENTS[contracts.RequestAnswered])
    tell(database, *early, answered)  # before anybody subscribed
    subscription = subscribed(database, receiver, "requests.submitted", "requests.reminder")
    last = filed().model_copy(update={"occurred_at": FRIDAY_EVENING + timedelta(hours=9)})
    tell(database, last)
    tasks.send_due()
    assert receiver.ids == [str(last.id)]

    at = f"/v1/webhooks/{subscription}/replays"
    period = {"since": FRIDAY_EVENING.isoformat(), "until": (FRIDAY_EVENING + timedelta(days=1)).isoformat()}
    for _ in range(2):  # the second time all of it waits already
        done = client.post(at, json=period, headers=admin)
        assert done.status_code == 202
        assert done.json()["complete"] is True
    assert done.json()["queued"] == 0
    tasks.send_due()
    assert receiver.ids == [str(last.id), *(str(event.id) for event in early), str(last.id)]
    assert len(deliveries(database, subscription)) == 5  # one delivery of an event, however often it is told
    assert {one.status for one in deliveries(database, subscription)} == {"delivered"}
    calls = client.get(f"/v1/webhooks/{subscription}/attempts", headers=admin).json()["items"]
    assert len([one for one in calls if one["event_id"] == str(last.id)]) == 2

    # In parts; each goes on where the one before ended.
    monkeypatch.setattr(service, "MOST_AT_ONCE", 2)
    receiver.bodies.clear()
    since, parts = period["since"], 0
    while True:
        done = client.post(at, json={**period, "since": since, "events": ["requests.sub*"]}, headers=admin)
        since, parts = done.json()["until"], parts + 1
        if done.json()["complete"]:
            break
    assert parts == 3
    tasks.send_due()
    assert sorted(receiver.ids) == sorted(str(event.id) for event in (*early, last))
    none = client.post(at, json={**period, "events": ["requests.reminder"]}, headers=admin)
    assert none.json()["queued"] == 0
    for refused in ({**period, "until": period["since"]}, {**period, "events": ["x.y"]}, {"since": "2026-12-01"}):
        assert client.post(at, json=refused, headers=admin).status_code == 422

    with moved_to(FRIDAY_EVENING + timedelta(days=30, hours=5)), database.tx() as session:
        assert service.forget_old(session) == 5
        assert service.forget_old(session) == 0
        assert session.scalars(sa.select(KnownEvent.id)).all() == [last.id]


def test_a_subscription_that_ends_during_a_call_leaves_nothing_waiting(
    database: Database, receivers: Callable[..., Receiver]
) -> None:
    receiver = receivers(slow(0.5))
    receiver.secrets = []
    subscription = subscribed(database, receiver)
    tell(database, filed())

    def answer(http: BaseHTTPRequestHandler) -> None:
        with database.tx() as session:
            found = queries.one(session, subscription, lock=True)
            assert found is not None
            service.unsubscribe(session, found)
        status(500)(http)

    receiver.answer = answer
    tasks.send_due()
    assert [one.status for one in deliveries(database, subscription)] == ["cancelled"]
