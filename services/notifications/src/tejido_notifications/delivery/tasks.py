"""Background work: opens a transaction, calls a use case, speaks to other servers outside of it."""

import select
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from zlib import crc32

import psycopg
import sqlalchemy as sa
import structlog
from opentelemetry.trace import SpanKind

from tejido_notifications.channels import Channel, Line, Outcome
from tejido_notifications.channels.configured import channels
from tejido_notifications.db import database, tx
from tejido_notifications.delivery import composing, digests, queries, service
from tejido_notifications.letters.writing import Letter, Unsendable
from tejido_shared import telemetry
from tejido_shared.db import PATIENCE

log = structlog.get_logger()
SEND_DUE = "notifications.send_due"
TIMETABLE = {SEND_DUE: 1.0}
"""Seconds between two runs of a task."""
RUN_SECONDS = 5.0
PAUSE = 0.2
"""Seconds after which an idle line looks again."""
WRITE_DOWN = 45.0
"""Seconds that a sender tries to write down what came of a message while the database is away; below `service._GRACE`."""


def send_due() -> bool:
    """Sends what is due by every channel, for a few seconds at most. Returns whether there may be more to send.

    Each line of a channel is a thread of its own, so that a slow one holds up no other. No transaction is open while another server
    is spoken to. Every message is sent once, but for one case that nobody can rule out: the server took it and we ended, or the line
    broke, before that was on record. Then it is sent again under the same id.
    """
    with tx() as session:
        digests.gather(session)
    with tx() as session:
        wanted = queries.channels_with_work(session, list(channels()))
    found = {name: channels()[name] for name in wanted}
    with ExitStack() as stack:
        # Slow receivers hold up one worker process at most: the others go on sending mail and taking events in.
        if "webhook" in found and stack.enter_context(_sender("webhooks of one process", 1)) is None:
            del found["webhook"]
        at_work: dict[str, set[int]] = {name: set() for name in found}
        lines = [
            partial(_send, name, channel, at_work[name])
            for name, channel in found.items()
            for _ in range(channel.slots)
        ]
        if not lines:
            return False
        with ThreadPoolExecutor(len(lines), thread_name_prefix="line") as pool:
            sending = [pool.submit(line) for line in lines]
        return any(line.result() for line in sending)


def _send(name: str, channel: Channel, at_work: set[int]) -> bool:
    """Sends what is due over one line of a channel, if one is free. Returns whether there may be more to send.

    `at_work`: the numbers of this run's lines that are speaking. While one is, the run goes on, and the others wait for what comes.
    """
    with _sender(name, channel.slots) as sender:
        if sender is None:
            return False
        with tx() as session:
            service.take_over(session, name, sender.number)
        until = time.monotonic() + RUN_SECONDS
        with channel.open() as line:
            while time.monotonic() < until and sender.held():
                with tx() as session:
                    claimed = service.claim(session, name, sender.number, channel.rate)
                if claimed is None and not at_work:
                    return False
                if claimed is None:
                    time.sleep(PAUSE)
                    continue
                with (
                    _among(at_work, sender.number),
                    service.caused_by(claimed),
                    telemetry.span(f"send {claimed.template}", SpanKind.CLIENT, claimed.traceparent),
                ):
                    outcome, letter = _attempt(line, claimed)
                    _write_down(claimed, outcome, letter)
                    log.info(
                        "message_attempted",
                        delivery_id=str(claimed.id),
                        channel=name,
                        template=claimed.template,
                        outcome=outcome.result,
                        why=outcome.code,
                    )
                if not line.usable and outcome.result != "unsendable":
                    return False  # the server is in trouble: the next run asks it again
    return True


@contextmanager
def _among(at_work: set[int], number: int) -> Iterator[None]:
    at_work.add(number)
    try:
        yield
    finally:
        at_work.discard(number)


def _attempt(line: Line, claimed: service.Claimed) -> tuple[Outcome, Letter | None]:
    try:
        with tx() as session:
            message = composing.message(session, claimed)
        return line.send(message), message.letter
    except Unsendable as error:
        return Outcome("unsendable", service.text(error.code, **error.params), error.code), None


def _write_down(claimed: service.Claimed, outcome: Outcome, sent: Letter | None) -> None:
    """What came of it must not be lost to a database that is started anew meanwhile, or the message would be sent twice."""
    until = time.monotonic() + WRITE_DOWN
    while True:
        try:
            with tx() as session:
                service.record(session, claimed, outcome, sent)
        except sa.exc.OperationalError:
            if time.monotonic() > until:
                raise
            log.info("outcome_waits", delivery_id=str(claimed.id))
            time.sleep(0.5)
        else:
            return


@dataclass(frozen=True)
class _Sender:
    """Who holds a number."""

    number: int
    connection: psycopg.Connection[Any]

    def held(self) -> bool:
        """Whether the number is still ours. PostgreSQL says a word on the line, or hangs up, when it ends the session, and else nothing."""
        line = select.poll()
        line.register(self.connection.fileno(), select.POLLIN)
        return not line.poll(0)


@contextmanager
def _sender(channel: str, slots: int) -> Iterator[_Sender | None]:
    """The number of a sender that nobody is, ours until the block or this process ends; none when all are taken.

    A lock of PostgreSQL's, which ends with the session: what a killed sender held is known at once to be nobody's.
    """
    key = crc32(f"sender of {channel}".encode()) - 2**31
    # A connection of its own: those of the pool are for what the lines have to write down.
    with psycopg.connect(database.libpq_url, autocommit=True, **PATIENCE) as connection:
        # A sender whose machine vanished without a word is noticed within a minute.
        connection.execute(
            "set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3"
        )
        for number in range(slots):
            row = connection.execute("select pg_try_advisory_lock(%s, %s)", (key, number)).fetchone()
            if row is not None and row[0]:
                yield _Sender(number, connection)
                with suppress(psycopg.Error):  # it would be free once PostgreSQL has noticed that we left: not at once
                    connection.execute("select pg_advisory_unlock(%s, %s)", (key, number))
                return
        yield None
