"""Mail under faults: workers killed, Redis and PostgreSQL started anew, and every message arrives. Counts are printed."""

import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from tests.tejido_notifications.conftest import MailServer

from tejido_local.postgres import Postgres
from tejido_local.processes import free_port
from tejido_local.running import RunningTown
from tejido_shared.contracts import RequestAnswered, Sealed
from tejido_shared.outbox import emit_all
from tejido_shared.personal import seal
from tejido_shared.testing import Issuer, wait_until

pytestmark = pytest.mark.faults
EVENTS = int(os.environ.get("TEJIDO_TEST_EVENTS", "600"))
"""A figure for the record wants 10,000."""


class Post(RunningTown):
    """The requests service as publisher, notifications with two workers, a PostgreSQL of its own and a mail server that counts."""

    def __init__(self, directory: Path, issuer: Issuer, postgres: Postgres) -> None:
        self.postgres = postgres
        self.server = MailServer()
        self.server.start()
        super().__init__(
            "test_post",
            directory,
            issuer,
            TEJIDO_DATA_KEY=os.environ["TEJIDO_DATA_KEY"],  # this process seals
            TEJIDO_RESEND_AFTER="3",
            TEJIDO_LOG_LEVEL="WARNING",
            NOTIFICATIONS_SMTP_PORT=str(self.server.port),
            NOTIFICATIONS_SMTP_SECURITY="none",
        )
        self.migrate("requests", "notifications")

    def start_all(self) -> None:
        self.start_relay("requests")
        self.start_worker("tejido_requests.worker", "requests-worker")
        self.start_relay("notifications")
        for name in ("first", "second"):
            self.start_worker("tejido_notifications.worker", name)
        self.start_beat("notifications")

    def emit(self, count: int) -> list[UUID]:
        """Commits `count` answers to be told, ten to a transaction; while PostgreSQL is away, later."""
        accepted: list[UUID] = []
        while len(accepted) < count:
            events = [(_answered(len(accepted) + n), 1) for n in range(10)]
            try:
                with self.database("requests").tx() as session:
                    accepted += emit_all(session, events)
            except sa.exc.OperationalError:
                time.sleep(0.2)
        return accepted

    def arrived(self) -> Counter[str]:
        return Counter(str(message["Message-ID"]) for message in list(self.server.received))

    def count(self, query: str) -> int:
        with self.database("notifications").tx() as session:
            return int(session.scalar(sa.text(query)) or 0)

    def close(self) -> None:
        super().close()
        self.server.stop()


def _answered(number: int) -> RequestAnswered:
    return RequestAnswered(
        request_id=uuid4(),
        number=f"BOG-2026-{number:06d}-00",
        type_name="Petición",
        answer_id=uuid4(),
        answered_at=datetime.now(UTC),
        recipient_email=Sealed(seal(f"persona{number}@correo.example")),
        answer=Sealed(seal("Sí.")),
    )


@pytest.fixture
def post(tmp_path: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    postgres = Postgres(tmp_path / "postgres", free_port(), "secret-of-a-test")
    with postgres:
        monkeypatch.setenv("TEJIDO_TEST_POSTGRES_URL", postgres.url())
        post = Post(tmp_path, issuer, postgres)
        try:
            yield post
        finally:
            post.close()


def test_every_message_arrives_whatever_is_killed(post: Post, capsys: pytest.CaptureFixture[str]) -> None:
    post.start_all()
    started, chance, accepted = time.monotonic(), random.Random(4), list[UUID]()
    emitting = threading.Thread(target=lambda: accepted.extend(post.emit(EVENTS)))
    emitting.start()
    kills, restarted = 0, {"redis", "postgres"}
    while len(post.arrived()) < EVENTS and time.monotonic() - started < 400 + EVENTS / 10:
        # Every few seconds; on a slow machine not before the last ones killed are back at work.
        before, slept = len(post.arrived()), time.monotonic()
        time.sleep(chance.uniform(2, 4))
        while len(post.arrived()) < min(before + EVENTS // 20, EVENTS) and time.monotonic() - slept < 60:
            time.sleep(0.1)
        done = len(post.arrived()) / EVENTS
        if done > 0.3 and "redis" in restarted:
            restarted.discard("redis")
            post.redis.stop()
            post.redis.start()
        elif done > 0.6 and "postgres" in restarted:
            restarted.discard("postgres")
            post.postgres.stop()
            post.postgres.start()
        elif done < 0.95:
            name = chance.choice(["first", "second"])
            post.kill(name)
            kills += 1
            post.start_worker("tejido_notifications.worker", name)
    emitting.join()
    took = time.monotonic() - started
    # What was in hand when PostgreSQL was started anew, and whose sender was killed then, waits for its lease to end.
    wait_until(lambda: not post.count("select count(*) from delivery where status <> 'delivered'"), 400, "the records")
    arrived, ended = post.arrived(), post.restarts["first"] + post.restarts["second"]
    doubled = [id_ for id_, times in arrived.items() if times > 1]
    # A copy was sent only where an earlier attempt ended without its outcome being known.
    unknown = post.count("select count(distinct delivery_id) from attempt where outcome = 'unknown'")
    with capsys.disabled():
        print(
            f"\n{EVENTS} events, {kills} kills, {ended} workers ended by themselves, Redis and PostgreSQL started anew: "
            f"arrived {len(arrived)}, "
            f"lost {EVENTS - len(arrived)}, doubled {len(doubled)} of {unknown} of which it could not be known, {took:.0f} s",
            file=sys.stderr,
        )
    assert not restarted
    assert len(arrived) == len(accepted) == EVENTS
    assert post.count("select count(*) from delivery") == EVENTS
    assert len(doubled) <= min(kills + ended, unknown)  # one line sends, so no end of a worker doubles two
    assert max(arrived.values()) <= 2
