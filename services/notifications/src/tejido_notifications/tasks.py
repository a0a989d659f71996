"""Background work: opens a transaction, calls a use case."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
import structlog
from opentelemetry.trace import SpanKind

from tejido_notifications import letters, service
from tejido_notifications.db import database, tx
from tejido_notifications.mailer import Mailer, Outcome
from tejido_notifications.settings import settings
from tejido_shared import telemetry

log = structlog.get_logger()
SEND_DUE = "notifications.send_due"
TIMETABLE = {SEND_DUE: 1.0}
"""Seconds between two runs of a task."""
RUN_SECONDS = 5.0
_SENDERS = 0x7E11D1


def send_due() -> bool:
    """Sends what is due over one connection, for a few seconds at most. Returns whether there may be more to send.

    No transaction is open while the server is spoken to. Every message is sent once, but for one case that nobody can rule out:
    the server took it and we ended, or the line broke, before that was on record. Then it is sent again under the same Message-ID.
    """
    with _sender() as sender:
        if sender is None:
            return False
        with tx() as session:
            service.take_over(session, sender)
        until = time.monotonic() + RUN_SECONDS
        with Mailer(settings()) as mailer:
            while time.monotonic() < until:
                with tx() as session:
                    claimed = service.claim(session, sender)
                if claimed is None:
                    return False
                with (
                    service.caused_by(claimed),
                    telemetry.span(f"send {claimed.template}", SpanKind.CLIENT, claimed.traceparent),
                ):
                    outcome = _attempt(mailer, claimed)
                    with tx() as session:
                        service.record(session, claimed, outcome)
                    log.info(
                        "message_attempted",
                        delivery_id=str(claimed.id),
                        template=claimed.template,
                        outcome=outcome.result,
                        why=outcome.code,
                    )
                if not mailer.connected and outcome.result != "unsendable":
                    return False  # the server is in trouble: the next run asks it again
    return True


def _attempt(mailer: Mailer, claimed: service.Claimed) -> Outcome:
    try:
        if claimed.letter is None:
            raise letters.Unsendable("undecryptable")
        recipient, context = claimed.letter
        letter = letters.write(claimed.cause_type, claimed.template, claimed.language, context)
        return mailer.send(letter, claimed.id, recipient)
    except letters.Unsendable as error:
        return Outcome("unsendable", service.text(error.code, **error.params), error.code)


@contextmanager
def _sender() -> Iterator[int | None]:
    """The number of a sender that nobody is, ours until the block or this process ends; none when all are taken.

    A lock of PostgreSQL's, which ends with the session: what a killed sender held is known at once to be nobody's.
    """
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # A sender whose machine vanished without a word is noticed within a minute.
        connection.exec_driver_sql(
            "set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3"
        )
        for number in range(settings().smtp_connections):
            if connection.scalar(sa.select(sa.func.pg_try_advisory_lock(_SENDERS, number))):
                try:
                    yield number
                finally:
                    connection.execute(sa.select(sa.func.pg_advisory_unlock(_SENDERS, number)))
                return
        yield None
