"""What it costs to send mail, against a bare smtplib loop over as many connections; and how soon a mail is on its way."""

import asyncio
import os
import smtplib
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa

from tejido_shared.contracts import RequestAnswered, Sealed
from tejido_shared.ids import new_id
from tejido_shared.outbox import emit_all
from tejido_shared.personal import seal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tejido_local.bench import Bench, Row

CONNECTIONS = 1
"""As many as are set where nothing is."""
AT_ONCE = 2000
WARM = 300
"""Mails until all connections are at work, which begin within a second of each other: a start is no rate."""
CAMPAIGN = 50_000
ASK_SECONDS = 0.03
"""Between two questions to the mail server, which answers them while it should take mail."""
LATE = 120
"""Messages whose latency is measured."""


def rows(bench: "Bench") -> "Iterator[Row]":
    from tejido_local.bench import Row, _row

    bench.migrate("requests", "notifications")
    town, database = bench.town, bench.town.database("notifications")
    with Sink() as sink:
        town.environment |= {
            "NOTIFICATIONS_SMTP_PORT": str(sink.port),
            "NOTIFICATIONS_SMTP_SECURITY": "none",
            "NOTIFICATIONS_SMTP_CONNECTIONS": str(CONNECTIONS),
        }
        os.environ |= town.environment  # this process seals, and sends the mail that the bare loop repeats

        def ours() -> float:
            bench.start_workers("notifications")
            before = sink.count()
            _queue(database, WARM + AT_ONCE, "service")
            _until(lambda: sink.count() >= before + WARM)
            started, first = time.perf_counter(), sink.count()
            _until(lambda: sink.count() >= before + WARM + AT_ONCE)
            rate = (before + WARM + AT_ONCE - first) / (time.perf_counter() - started)
            for name in ("beat", "worker", "sender"):
                town.kill(f"notifications-{name}")
            return rate

        content = _sample(database, sink)
        yield _row(
            f"mails over connections: {CONNECTIONS}, against bare smtplib",
            *bench.in_turn(ours, lambda: _bare(sink.port, content)),
            0.5,
            "/s",
        )
        for name in ("requests", "notifications"):
            town.start_relay(name)
            bench.start_workers(name)
        requests = town.database("requests")
        _told(requests, sink)  # everything is up
        alone = sorted(_told(requests, sink) for _ in range(LATE))
        yield _late(Row, "event to mail server at a low rate, p99", alone, 1.0)
        _queue(database, CAMPAIGN, "campaign")
        sink.wait_for_more()
        among = sorted(_told(requests, sink) for _ in range(LATE))
        left = _waiting(database)
        yield _late(Row, f"legal notice in a campaign ({CAMPAIGN - left:,} of {CAMPAIGN:,} sent), p99", among, 2.0)
        for name in ("requests-worker", "notifications-worker", "notifications-sender"):
            town.kill(name)
        for name in ("requests", "notifications"):
            town.kill(f"{name}-relay")
            town.kill(f"{name}-beat")


def _late(row: type["Row"], name: str, took: list[float], aim: float) -> "Row":
    p99 = took[int(len(took) * 0.99)]
    return row(name, f"{p99 * 1000:.0f} ms", f"{aim * 1000:.0f} ms", [p99 / aim], 1, at_most=True)


class Sink:
    """A mail server in a process of its own that takes everything and says when whose mail came."""

    def __enter__(self) -> "Sink":
        ours, theirs = get_context("spawn").Pipe()
        self._process = get_context("spawn").Process(target=_take_mail, args=(theirs,), daemon=True)
        self._process.start()
        self._pipe = ours
        self.port: int = ours.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    def _ask(self, question: str) -> Any:
        self._pipe.send(question)
        return self._pipe.recv()

    def count(self) -> int:
        return int(self._ask("count"))

    def arrived_at(self, recipient: str) -> float | None:
        """The instant on `time.monotonic`, which all processes share; none if it has not come."""
        return self._ask(recipient)  # type: ignore[no-any-return]

    def last(self) -> bytes:
        return self._ask("last")  # type: ignore[no-any-return]

    def wait_for_more(self) -> None:
        before = self.count()
        _until(lambda: self.count() > before + 50)


def _take_mail(pipe: Connection) -> None:
    from aiosmtpd.smtp import SMTP, Envelope, Session

    came: dict[str, float] = {}
    seen: dict[str, Any] = {"count": 0, "last": b""}

    class Handler:
        async def handle_EHLO(  # noqa: N802
            self, _: SMTP, session: Session, __: Envelope, hostname: str, responses: list[str]
        ) -> list[str]:
            session.host_name = hostname
            return [responses[0], "250-PIPELINING", *responses[1:]]  # as most mail servers do

        async def handle_DATA(  # noqa: N802
            self, _: SMTP, __: Session, envelope: Envelope
        ) -> str:
            seen["count"] += 1
            seen["last"] = envelope.content
            if envelope.rcpt_tos[0].startswith("late"):
                came[envelope.rcpt_tos[0]] = time.monotonic()
            return f"250 2.0.0 queued as {seen['count']}"

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(Handler(), hostname="mail.example.org", enable_SMTPUTF8=True), "127.0.0.1", 0
        )
        pipe.send(server.sockets[0].getsockname()[1])

        def answer() -> None:
            question = pipe.recv()
            pipe.send(seen[question] if question in seen else came.get(question))

        loop.add_reader(pipe.fileno(), answer)
        await asyncio.Event().wait()

    asyncio.run(serve())


def _bare(port: int, content: bytes) -> float:
    """Mails a second by as many threads, each a loop that does nothing but hand the same mail over its own connection."""
    each = AT_ONCE // CONNECTIONS

    def loop() -> None:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="localhost") as smtp:
            for number in range(each):
                smtp.sendmail("from@example.org", f"persona{number}@correo.example", content)

    threads = [threading.Thread(target=loop) for _ in range(CONNECTIONS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return each * CONNECTIONS / (time.perf_counter() - started)


def _sample(database: Any, sink: Sink) -> bytes:
    """A mail as we send it, so that the bare loop carries the same weight."""
    from tejido_notifications.delivery import tasks

    _queue(database, 1, "service")
    tasks.send_due()
    return sink.last()


def _queue(database: Any, amount: int, category: str) -> None:
    """Messages that are due now. Each has its own recipient and text, encrypted as always."""

    with database.tx() as session:
        session.execute(sa.text("set local statement_timeout = 0"))
        for start in range(0, amount, 1000):
            session.add_all(_delivery(start + n, category) for n in range(min(1000, amount - start)))
            session.flush()
            session.expunge_all()
            print(f"\r{start:,} queued", end="", file=sys.stderr, flush=True)
    print("\r" + " " * 20 + "\r", end="", file=sys.stderr)


def _delivery(number: int, category: str) -> Any:
    from tejido_notifications.models import Delivery

    event = _event(f"persona{number}@correo.example")
    return Delivery(
        id=new_id(),
        cause_id=new_id(),
        cause_type=event.type,
        about=event.request_id,
        audience="citizen",
        category=category,
        template="requests_answered",
        language="es",
        recipient=f"persona{number}@correo.example",
        context=event.model_copy(
            update={"answer": "La cuadrilla va el martes.", "recipient_name": "Ana"}
        ).model_dump_json(),
        correlation_id="bench",
    )


def _event(address: str) -> RequestAnswered:
    return RequestAnswered(
        request_id=uuid4(),
        number="BOG-2026-000001-37",
        type_name="Petición de interés general",
        answer_id=uuid4(),
        answered_at=datetime.now(UTC),
        recipient_name=Sealed(seal("Ana Niño")),
        recipient_email=Sealed(seal(address)),
        answer=Sealed(seal("La cuadrilla va el martes.")),
        office="atencion-ciudadania",
    )


_numbers = iter(range(10**9))


def _told(requests: Any, sink: Sink) -> float:
    """Seconds from the commit of an answer until the mail server has taken its mail."""
    address = f"late{next(_numbers)}@correo.example"
    with requests.tx() as session:
        emit_all(session, [(_event(address), 1)])
    committed = time.monotonic()
    _until(lambda: sink.arrived_at(address) is not None)
    arrived = sink.arrived_at(address)
    time.sleep(max(0.0, 0.2 - (time.monotonic() - committed)))
    return (arrived or 0) - committed


def _waiting(database: Any) -> int:
    with database.tx() as session:
        return int(session.scalar(sa.text("select count(*) from delivery where status = 'pending'")) or 0)


def _until(condition: Callable[[], object], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(ASK_SECONDS)
