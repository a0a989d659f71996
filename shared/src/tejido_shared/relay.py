"""The relay takes committed outbox rows to the queues of their subscribers, and again until they are confirmed.

Several relays of one service may run: a row is claimed by moving its `due_at`, under `FOR UPDATE SKIP LOCKED`, and the claim is
committed before Redis is spoken to, so that no lock is held on a slow Redis. A relay killed after the claim costs `resend_after`
seconds. While a subscriber's queue is long nothing more is put on it, and nothing is sent *again* before it is empty or the row
very late: what waits there is late, not lost. From the fifth time on an event is sent again ever more seldom.
"""

import threading
from datetime import timedelta
from typing import Any

import psycopg
import sqlalchemy as sa
import structlog
from kombu.exceptions import OperationalError
from opentelemetry.trace import SpanKind
from redis import RedisError

from tejido_shared import heartbeat, telemetry
from tejido_shared.contracts import LISTENERS
from tejido_shared.db import OUTBOX_CHANNEL, Database
from tejido_shared.inbox import TOGETHER
from tejido_shared.seam import outbox
from tejido_shared.settings import CommonSettings
from tejido_shared.worker import RECEIVE, QueueDepths, events_queue, make_celery, send

BATCH = 100
LONG_QUEUE = 20
POLL_SECONDS = 1.0
MOST_DOUBLINGS = 4

log = structlog.get_logger()


class Relay:
    """One relay of one service. `run` returns when `stop` is set."""

    def __init__(self, service: str, database: Database, settings: CommonSettings) -> None:
        self._service = service
        self._database = database
        self._resend_after = timedelta(seconds=settings.resend_after)
        self._heartbeat_file = settings.heartbeat_file
        self._app = make_celery(f"{service}-relay", settings)
        self._depths = QueueDepths(settings)
        self._subscribers = sorted(
            {name for event, names in LISTENERS.items() if event.type.startswith(f"{service}.") for name in names}
        )

    def run(self, stop: threading.Event) -> None:
        """Sends until `stop` is set. Redis or PostgreSQL going away is waited out."""
        while not stop.is_set():
            try:
                with self._database.connect() as listener:
                    listener.execute(f"LISTEN {OUTBOX_CHANNEL}")
                    log.info("relay_ready", subscribers=self._subscribers)
                    while not stop.is_set():
                        sent = self.send_due()
                        heartbeat.touch(self._heartbeat_file)
                        if not sent:
                            for _ in listener.notifies(timeout=POLL_SECONDS, stop_after=1):
                                pass
            except (psycopg.Error, sa.exc.OperationalError, RedisError, OperationalError) as error:
                log.warning("relay_waits", error=type(error).__name__)
                stop.wait(0.5)

    def send_due(self) -> int:
        """Sends what is due to every subscriber that can take it. Returns how many rows that were."""
        # While our own confirmations wait to be read, what was sent may well be confirmed already: nothing is repeated.
        may_repeat = self._depths.of(f"{self._service}.confirms") < LONG_QUEUE
        return sum(self._send_to(subscriber, may_repeat) for subscriber in self._subscribers)

    def _send_to(self, subscriber: str, may_repeat: bool) -> int:
        depth = self._depths.of(events_queue(subscriber))
        if depth >= LONG_QUEUE:
            return 0
        rows = self._claim(subscriber, may_repeat=may_repeat, all_waited=depth == 0)
        sent = 0
        try:
            for letters in self._batches(rows):
                with telemetry.span(
                    f"send {subscriber}",
                    SpanKind.PRODUCER,
                    letters[0]["envelope"].get("traceparent"),
                    events=len(letters),
                ):
                    send(self._app, RECEIVE, [self._service, letters], events_queue(subscriber))
                sent += len(letters)
        except (OperationalError, RedisError):
            self._give_back([row.id for row in rows])
            raise
        return sent

    def _claim(self, subscriber: str, *, may_repeat: bool, all_waited: bool) -> list[sa.Row[Any]]:
        """Takes what is to be sent now, the longest due first. What was sent before is taken when nothing of it can be waiting in the
        queue, or when it is so late that it must be lost though others keep the queue busy."""
        now = sa.func.now()
        first = outbox.c.sent == 0
        if not may_repeat:
            chosen = first
        elif all_waited:
            chosen = sa.true()
        else:
            chosen = first | (outbox.c.due_at <= now - 2 * self._resend_after)
        due = (
            sa.select(outbox.c.id)
            .where(outbox.c.subscriber == subscriber, outbox.c.due_at <= now, chosen)
            .order_by(outbox.c.due_at, outbox.c.id)
            .limit(2 * BATCH)
            .with_for_update(skip_locked=True)
        )
        wait = self._resend_after * sa.func.power(
            2, sa.func.least(sa.func.greatest(outbox.c.sent - 3, 0), MOST_DOUBLINGS)
        )
        claim = (
            sa.update(outbox)
            .where(outbox.c.id.in_(due.scalar_subquery()))
            .values(sent=outbox.c.sent + 1, due_at=now + wait)
            .returning(outbox.c.id, outbox.c.envelope, outbox.c.sent)
        )
        with self._database.tx() as session:
            return sorted(session.execute(claim).all(), key=lambda row: row.id)

    def _give_back(self, ids: list[int]) -> None:
        with self._database.tx() as session:
            session.execute(
                sa.update(outbox)
                .where(outbox.c.id.in_(ids))
                .values(sent=outbox.c.sent - 1, due_at=sa.func.now() + timedelta(seconds=1))
            )

    @staticmethod
    def _batches(rows: list[sa.Row[Any]]) -> list[list[dict[str, Any]]]:
        """First and second sendings together; what comes a third time goes alone, lest an event that kills its worker take others along."""
        letters = [{"envelope": row.envelope, "sent": row.sent} for row in rows]
        first = [letter for letter in letters if letter["sent"] <= TOGETHER]
        again = [letter for letter in letters if letter["sent"] > TOGETHER]
        return [first[i : i + BATCH] for i in range(0, len(first), BATCH)] + [[letter] for letter in again]
