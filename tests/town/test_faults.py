"""The seam under faults: real relays, real workers, a real Redis and PostgreSQL, killed at any moment. Counts are printed."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
import redis
import sqlalchemy as sa

from tejido_local.running import RunningTown
from tejido_shared import seam
from tejido_shared.contracts import RequestBecameOverdue
from tejido_shared.inbox import MAX_ATTEMPTS
from tejido_shared.outbox import emit_all
from tejido_shared.testing import Issuer, wait_until

pytestmark = pytest.mark.faults


class Line(RunningTown):
    """A publisher (requests) and a counting subscriber, each in processes of their own."""

    def __init__(self, directory: Path, issuer: Issuer) -> None:
        super().__init__(
            "test_faults", directory, issuer, TEJIDO_RESEND_AFTER="3", PYTHONPATH=str(Path(__file__).parent)
        )
        self.publisher = self.database("requests")
        self.subscriber = self.database("notifications")
        self.migrate("requests")
        self.run("-c", "import counting_worker; counting_worker.create_tables()")

    def start_all(self, **environment: str) -> None:
        self.start_relay("requests", "relay")
        self.start_worker("tejido_requests.worker", "confirmer")
        self.start_worker("counting_worker", "counter", **environment)

    def emit(self, count: int, number: str = "good", each: int = 10) -> list[UUID]:
        """Commits `count` events, a few in a transaction."""
        accepted: list[UUID] = []
        while len(accepted) < count:
            with self.publisher.tx() as session:
                accepted += emit_all(session, [(_event(number), 1) for _ in range(min(each, count - len(accepted)))])
        return accepted

    def effects(self) -> Counter[UUID]:
        with self.subscriber.tx() as session:
            return Counter(session.scalars(sa.text("select event_id from effect")))

    def pending(self) -> int:
        with self.publisher.tx() as session:
            return session.scalar(sa.select(sa.func.count()).select_from(seam.outbox)) or 0

    def dead(self) -> list[Any]:
        with self.subscriber.tx() as session:
            return list(session.execute(sa.select(seam.dead_letter).where(seam.dead_letter.c.dead_at.is_not(None))))

    def settle(self, accepted: list[UUID], what: str, seconds: float = 40) -> None:
        """Waits until everything accepted took effect and was confirmed; prints and checks the counts.

        It should take less than 15 s; the bound is wider, for a loaded machine loses nothing either."""
        took = wait_until(lambda: len(self.effects()) >= len(accepted) and not self.pending(), seconds, what)
        effects = self.effects()
        lost = [id_ for id_ in accepted if id_ not in effects]
        doubled = [id_ for id_, times in effects.items() if times > 1]
        print(
            f"\n{what}: accepted {len(accepted)}, delivered {len(effects)}, lost {len(lost)}, doubled {len(doubled)}, "
            f"caught up in {took:.1f} s"
        )
        assert not lost
        assert not doubled
        assert set(effects) == set(accepted)


def _event(number: str) -> RequestBecameOverdue:
    instant = datetime.now(UTC)
    return RequestBecameOverdue(
        request_id=uuid4(),
        number=number,
        type_name="Petición",
        office="o",
        received_at=instant,
        due_date=date.today(),
        overdue_at=instant,
    )


@pytest.fixture
def line(tmp_path: Path, issuer: Issuer) -> Iterator[Line]:
    line = Line(tmp_path, issuer)
    try:
        yield line
    finally:
        line.close()


def test_published_if_and_only_if_committed(line: Line) -> None:
    line.start_all()
    accepted = line.emit(50)
    with pytest.raises(ZeroDivisionError):
        _emit_and_fail(line)
    line.settle(accepted, "50 committed, 50 rolled back")


def _emit_and_fail(line: Line) -> None:
    with line.publisher.tx() as session:
        emit_all(session, [(_event("never"), 1) for _ in range(50)])
        session.flush()
        _ = 1 / 0


def test_workers_and_relays_killed_while_events_flow(line: Line) -> None:
    line.start_all(COUNTING_PAUSE="0.002")
    line.start_relay("requests", "second relay")
    chance = random.Random(7)
    accepted: list[UUID] = []
    emitting = threading.Thread(target=lambda: accepted.extend(line.emit(3000, each=5)))
    emitting.start()
    kills = 0
    while emitting.is_alive() or kills < 12:
        time.sleep(chance.uniform(0.2, 0.9))
        name = chance.choice(["counter", "relay", "second relay", "confirmer"])
        line.kill(name)
        kills += 1
        if name == "counter":
            line.start_worker("counting_worker", "counter", COUNTING_PAUSE="0.002")
        elif name == "confirmer":
            line.start_worker("tejido_requests.worker", "confirmer")
        else:
            line.start_relay("requests", name)
    emitting.join()
    line.settle(accepted, f"{kills} kills of workers and relays")


def test_redis_emptied_and_restarted_without_its_file(line: Line) -> None:
    line.start_all(COUNTING_PAUSE="0.002")

    accepted: list[UUID] = []
    emitting = threading.Thread(target=lambda: accepted.extend(line.emit(3000, each=5)))
    emitting.start()
    for _ in range(6):
        time.sleep(0.4)
        redis.Redis.from_url(line.redis.url).flushall()
    line.redis.remove()
    time.sleep(1)
    line.redis.start()
    emitting.join()
    line.settle(accepted, "Redis emptied 6 times and restarted empty")


def test_a_minute_without_redis(line: Line) -> None:
    """Writes go on over HTTP; half of the minute Redis refuses, half of it it accepts and does not answer."""
    line.start_all()
    url = line.start_api("requests")
    seconds = float(os.environ.get("TEJIDO_TEST_OUTAGE_SECONDS", "60"))
    accepted = line.emit(20)
    slowest = 0.0

    def write_until(end: float) -> None:
        nonlocal slowest
        while time.monotonic() < end:
            started = time.monotonic()
            answer = httpx2.post(f"{url}/v1/service-requests", json={"subject": "Un bache"}, timeout=5)
            assert answer.status_code == 201
            slowest = max(slowest, time.monotonic() - started)
            accepted.extend(line.emit(5))
            time.sleep(0.2)

    process = line.redis.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    write_until(time.monotonic() + seconds / 2)
    process.send_signal(signal.SIGCONT)
    line.redis.stop()
    write_until(time.monotonic() + seconds / 2)
    line.redis.start()
    with line.publisher.tx() as session:
        filed = session.scalar(sa.text("select count(*) from service_request"))
        # The acknowledgements of the petitions filed; the counting subscriber does not handle them.
        session.execute(sa.delete(seam.outbox).where(seam.outbox.c.envelope["type"].astext == "requests.submitted"))
    print(f"\n{filed} petitions filed without Redis, the slowest in {slowest * 1000:.0f} ms")
    line.settle(accepted, f"Redis away for {seconds:.0f} s")


def test_a_publishers_worker_away_floods_nothing(line: Line) -> None:
    """Nobody reads the confirmations for a while: events get through once, and are not repeated without end."""
    line.start_relay("requests", "relay")
    line.start_worker("counting_worker", "counter")
    broker = redis.Redis.from_url(line.redis.url)
    accepted = line.emit(600)
    wait_until(lambda: len(line.effects()) == 600, 20, "the effects")
    time.sleep(12)
    waiting = int(broker.llen("tejido:requests.confirms"))  # type: ignore[arg-type]
    print(f"\nconfirmations waiting after 12 s without their reader: {waiting}")
    assert waiting < 600
    line.start_worker("tejido_requests.worker", "confirmer")
    line.settle(accepted, "the publisher's worker away")


def test_a_lost_event_is_sent_again_while_others_keep_the_queue_busy(line: Line) -> None:
    line.start_all(COUNTING_PAUSE="0.01")
    accepted = line.emit(50)
    wait_until(lambda: len(line.effects()) == 50, 20, "the first events")
    stop = threading.Event()

    def keep_busy() -> None:
        while not stop.is_set():
            accepted.extend(line.emit(12))
            time.sleep(0.1)

    busy = threading.Thread(target=keep_busy)
    busy.start()
    time.sleep(2)
    line.kill("counter")
    line.start_worker("counting_worker", "counter", COUNTING_PAUSE="0.005")
    before = len(accepted)
    took = wait_until(lambda: set(accepted[:before]) <= set(line.effects()), 20, "the lost events")
    print(f"\nlost with a killed worker, under steady traffic: all there after {took:.1f} s")
    stop.set()
    busy.join()
    line.settle(accepted, "steady traffic and a killed worker", 30)


@pytest.mark.parametrize("number", ["poison", "killer"])
def test_a_poison_event_ends_as_a_dead_letter_and_is_replayed(line: Line, number: str) -> None:
    """`poison` makes its handler fail, `killer` kills the process that handles it. Its neighbours get through meanwhile."""
    line.environment["TEJIDO_RESEND_AFTER"] = "0.3"
    line.start_all()
    good = line.emit(30)
    (bad,) = line.emit(1, number)
    good += line.emit(30)
    wait_until(lambda: len(line.effects()) == 60, 30, "the good events")
    wait_until(lambda: line.dead(), 90, "the dead letter")
    (letter,) = line.dead()
    assert letter.event_id == bad
    assert letter.attempts == MAX_ATTEMPTS
    assert ("cannot be handled" if number == "poison" else "worker ended") in letter.error
    wait_until(lambda: not line.pending(), 15, "the confirmation")
    line.run(
        "-c",
        f"import counting_worker as c\nwith c.database.tx() as s: s.execute(c.healed.insert().values(number={number!r}))",
    )
    listed = line.run("-c", _COMMAND, "dead-letters", "list")
    assert str(bad) in listed
    line.run("-c", _COMMAND, "dead-letters", "replay", str(bad))
    assert not line.dead()
    line.settle([*good, bad], f"a {number} event, dead after {MAX_ATTEMPTS} attempts and replayed")


_COMMAND = """
import sys, counting_worker as c
from tejido_shared.manage import main
sys.exit(main("notifications", settings=c.settings, database=c.database, handlers=c.HANDLERS, create_app=None, argv=sys.argv[1:]))
"""
